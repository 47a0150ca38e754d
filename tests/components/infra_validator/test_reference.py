"""The answer of the exported model is that of the network, computed apart from its graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.infra_validator import reference
from unet.export import signatures
from unet.export.folding import folded
from unet.export.graph import Segmenter
from unet.images.reader import encode_png
from unet.network import create_unet
from unet.tiling import Geometry

RECORD = {
    "channels": 1, "scale": 1.0, "test_time_augmentation": False, "geometry": {"depth": 2, "stem_stride": 2},
    "normalization": {"over": "dataset", "mean": [100.0], "stddev": [50.0]},
}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    """With layers whose answer depends on where a tile starts, and on how they are exported."""
    keras.utils.set_random_seed(0)
    return create_unet(
        (None, None, 1), base_filters=4, depth=2, decoder="paper", stem_stride=2, normalization_layer="batch"
    )


@pytest.mark.parametrize("change", [{"test_time_augmentation": True}, {"mean": None, "stddev": None}])
def test_the_offline_answer_is_that_of_symmetries_and_images(tmp_path, network, change):
    path = tmp_path / "0.image"
    path.write_bytes(encode_png(np.random.default_rng(1).integers(0, 65536, (40, 290, 3), np.uint16)))
    model = Segmenter(
        folded(network), Geometry(2, 2), 1, **({"mean": 100.0, "stddev": 50.0} | change), class_values=(0, 1)
    )
    record = RECORD | {"test_time_augmentation": bool(change.get("test_time_augmentation"))}
    record |= {} if record["test_time_augmentation"] else {"normalization": {"over": "image"}}
    found = reference.expected_probabilities(network, path.read_bytes(), record)
    signatures.export(model, tmp_path / "model")
    answer = tf.saved_model.load(str(tmp_path / "model")).signatures["probabilities"]
    maps = answer(image_bytes=tf.constant([path.read_bytes()]))["probabilities_bytes"][0]
    served = np.concatenate([tf.io.decode_png(m, dtype=tf.uint16).numpy() for m in maps], -1) / 65535
    assert np.ptp(served) > 0.1
    np.testing.assert_allclose(found, served, atol=2e-5)


def test_tiles_of_a_deep_network_start_where_its_poolings_pair_the_same_pixels():
    keras.utils.set_random_seed(0)
    network = create_unet((None, None, 1), base_filters=1, depth=4, decoder="paper", stem_stride=2)
    image = np.random.default_rng(1).integers(0, 256, (60, 150, 1), np.uint8)
    record = RECORD | {"geometry": {"depth": 4, "stem_stride": 2}}
    found = reference.expected_probabilities(network, encode_png(image), record)
    whole = Segmenter(network, Geometry(4, 2), 1, 100.0, 50.0, class_values=(0, 1)).predict(image)
    assert np.ptp(whole) > 0.01
    np.testing.assert_allclose(found, whole, atol=1e-5)
