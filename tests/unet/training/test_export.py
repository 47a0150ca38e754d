"""What an exported model says of its training, and how it decides."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.unet.training.tiny import SETTINGS
from unet.export.settings import ExportSettings
from unet.images.reader import decode
from unet.metrics import class_factors
from unet.registry.decision import decision_of, scores
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

    found = choose_on_images(predict, tiles, Geometry(2), "dice", 2, 1)
    assert found["argmax"] == {"precision": None, "recall": 0.0, "dice": 0.0}
    assert found["chosen"] == {"precision": 1.0, "recall": 1.0, "dice": 1.0}
    assert 0 < found["threshold"] < 0.4


def likely(x):
    """Of a background, a class that is what the tiles show but never likelier than 0.4, and other classes."""
    p = tf.sigmoid(3 * x[:, 20:-20, 20:-20, 0]) * 0.4  # [1, h, w]
    return tf.stack([0.9 - p, p, tf.fill(tf.shape(p), 0.1)], -1)


def test_the_factors_of_several_classes_are_chosen_on_all_pixels_of_the_images(tiles):
    found = choose_on_images(likely, tiles, Geometry(2), "dice", 3, 1)
    assert found["argmax"] == {"mean_dice": 0.0, "dice": [pytest.approx(0.66, abs=0.1), 0.0, None]}
    assert found["chosen"] == {"mean_dice": 1.0, "dice": [1.0, 1.0, None]}
    assert found["factors"][0] < found["factors"][1]
    assert found["factors"][2] == found["step"] == 1


def test_of_two_classes_without_a_background_both_count(tiles):
    found = choose_on_images(lambda x: likely(x)[..., :2], tiles, Geometry(2), "dice", 2, 0)
    assert found["argmax"]["mean_dice"] == pytest.approx(found["argmax"]["dice"][0] / 2)
    assert found["chosen"] == {"mean_dice": 1.0, "dice": [1.0, 1.0]}


@pytest.mark.parametrize("large", [2**22, 1000])
def test_of_many_pixels_few_are_held(tiles, monkeypatch, large):
    monkeypatch.setattr(class_factors, "PIXELS", large)
    found = choose_on_images(likely, tiles, Geometry(2), "dice", 3, 1)
    assert (found["step"] > 1) == (large == 1000)
    assert found["chosen"]["mean_dice"] == 1


@pytest.mark.parametrize(
    ("aim", "classes"),
    [("recall>=0.75", SETTINGS.classes), ("dice", {"background": 0, "cell": 255, "other": 7})],
    ids=["threshold", "factors"],
)
def test_an_exported_model_decides_by_the_operating_point_that_its_record_tells(
    tiles, tmp_path, aim, classes
):
    settings = SETTINGS.model_copy(update={"normalize": "dataset", "scale": 1.0, "classes": classes})
    keras.utils.set_random_seed(8)
    network = build_network(settings, 1, None, "softmax", "float32")
    how = ExportSettings(operating_point=aim, test_time_augmentation=True)
    export([network], settings, how, tiles, tiles, tmp_path / "1", {})
    record = training_record(tmp_path / "1")
    point = record["operating_point"]
    assert (point["aim"], point["why_not"]) == (aim, "")
    # The network sees 32 x 32 pixels of each tile: what the signature `network` says of the tiles is exact.
    network_of = tf.saved_model.load(str(tmp_path / "1")).signatures["network"]
    hits = real = predicted = 0
    for image, mask in zip(tiles.features["tile"], tiles.features["tile_mask"], strict=True):
        x = (decode(image).astype(np.float32) - tiles.mean[0]) / tiles.stddev[0]
        p = network_of(patches=tf.constant(x[None]))["probabilities"][0, :32, :32].numpy()
        found = scores(p, decision_of([record])).argmax(-1) == 1
        truth = decode(mask)[20:52, 20:52, 0] == 1
        hits, real, predicted = hits + (truth & found).sum(), real + truth.sum(), predicted + found.sum()
    if aim == "dice":
        before, after = (point[key]["dice"][1] for key in ("argmax", "chosen"))
        assert 2 * hits / (real + predicted) == pytest.approx(after, abs=0.01)
        assert before < after
    else:
        assert hits / real == pytest.approx(point["chosen"]["recall"], abs=0.01)
        assert point["chosen"]["recall"] >= 0.75
