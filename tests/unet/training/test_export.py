"""What an exported model says of its training, and how it decides."""

import numpy as np
import pytest
import tensorflow as tf

from tests.unet.training.tiny import SETTINGS
from unet.export.settings import ExportSettings
from unet.images.reader import decode
from unet.registry.records import training_record
from unet.tiling import Geometry, tile_area
from unet.training.build import build_network
from unet.training.export import choose_on_images, export


@pytest.mark.parametrize(
    ("normalize", "normalization"),
    [("dataset", {"over": "dataset", "mean": [90.0], "stddev": [60.0]}), ("image", {"over": "image"})],
)
def test_its_record_has_what_answers_are_made_by(tiles, tmp_path, normalize, normalization):
    change = {"depth": 1, "normalize": normalize, "value_range": (0.0, 1.0), "scale": 0.5, "ignore": 7}
    settings = SETTINGS.model_copy(update=change)
    how = ExportSettings(serving_memory=0.25, serving_max_pixels=1234)
    network = build_network(settings, 1, None, "softmax", "float32")
    export([network], settings, how, tiles, tiles, tmp_path / "1", {"start": "fresh"})
    geometry = Geometry(1)
    assert training_record(tmp_path / "1") == {
        "classes": ["background", "cell"],
        "class_values": [0, 255],
        "class_colors": [[0, 0, 0], [230, 159, 0]],
        "labels": {"classes": {"background": 0, "cell": 255}, "ignore": 7},
        "background": "first",
        "channels": 1,
        "value_range": [0.0, 1.0],
        "use_channels": None,
        "normalization": normalization,
        "max_pixels": 1234,
        "base_filters": 2,
        "scale": 0.5,
        "test_time_augmentation": False,
        "max_area": tile_area(2.5e8, 2, geometry),
        "geometry": {"depth": 1, "stem_stride": 1, "halo": 8, "step": 2, "smallest": 18},
        "start": "fresh",
    }


def test_the_threshold_is_chosen_on_all_pixels_of_the_images(tiles):
    """The tiles are bright in their cells, which have a probability, but of at most 0.4."""

    def predict(x):
        p = tf.sigmoid(3 * x[:, 20:-20, 20:-20, 0]) * 0.4  # [1, h, w]
        return tf.stack([1 - p, p], -1)

    found = choose_on_images(predict, tiles, Geometry(2), "dice")
    assert found["argmax"] == {"precision": None, "recall": 0.0, "dice": 0.0}
    assert found["chosen"] == {"precision": 1.0, "recall": 1.0, "dice": 1.0}
    assert 0 < found["threshold"] < 0.4


def test_an_exported_model_decides_by_the_threshold_that_its_record_tells(tiles, tmp_path):
    settings = SETTINGS.model_copy(update={"normalize": "dataset", "scale": 1.0})
    network = build_network(settings, 1, None, "softmax", "float32")
    how = ExportSettings(operating_point="recall>=0.75", test_time_augmentation=True)
    export([network], settings, how, tiles, tiles, tmp_path / "1", {})
    point = training_record(tmp_path / "1")["operating_point"]
    assert (point["aim"], point["why_not"]) == ("recall>=0.75", "")
    assert point["chosen"]["recall"] >= 0.75
    # The network sees 32 x 32 pixels of each tile: what the signature `network` says of the tiles is exact.
    network_of = tf.saved_model.load(str(tmp_path / "1")).signatures["network"]
    hits = real = 0
    for image, mask in zip(tiles.features["tile"], tiles.features["tile_mask"], strict=True):
        x = (decode(image).astype(np.float32) - tiles.mean[0]) / tiles.stddev[0]
        p = network_of(patches=tf.constant(x[None]))["probabilities"][0, :32, :32, 1].numpy()
        truth = decode(mask)[20:52, 20:52, 0] == 1
        hits, real = hits + (truth & (p > point["threshold"])).sum(), real + truth.sum()
    assert hits / real == pytest.approx(point["chosen"]["recall"], abs=0.01)
