from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.infra_validator.component import write_expected
from tests.unet.encoded_images import noise, png
from tests.unet.export.segmenters import DEPTH, VALUES, area, network, segmenter
from unet.export.graph import Segmenter
from unet.export.saved_model import segmenter_of, write
from unet.export.warmup import WARMUP_REQUESTS
from unet.images.display import PALETTE
from unet.inference.model import Model
from unet.metrics.measurement import above
from unet.network import create_unet
from unet.registry.records import TRAINING_RECORD
from unet.tiling import Geometry


@pytest.mark.parametrize(("background", "colors"), [("first", PALETTE[:3]), ("none", PALETTE[1:4])])
def test_a_model_answers_as_its_record_says_and_carries_it(
    background: str, colors: Sequence[tuple[int, int, int]], tmp_path: Path
) -> None:
    record: dict[str, Any] = {
        "class_values": VALUES,
        "background": background,
        "channels": 1,
        "normalization": {"over": "dataset", "mean": [100.0], "stddev": [60.0]},
        "scale": 1.0,
        "test_time_augmentation": False,
        "max_pixels": 188 * 188,
        "geometry": {"depth": DEPTH},
        "max_area": area(32),
        "learning_rate": 0.5,
    }
    write([network(1)], record, tmp_path / "1")
    assert json.loads((tmp_path / "1" / TRAINING_RECORD).read_text()) == {**record, "class_values": [*VALUES]}
    image = noise(70, 45, 1)
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    answer = signatures["serving_default"]
    mask = tf.io.decode_png(answer(image_bytes=tf.constant([png(image)]))["mask_bytes"][0])[..., 0]
    np.testing.assert_array_equal(mask, np.array(VALUES)[segmenter().segment(image)])
    shown = tf.io.decode_png(signatures["colored"](image_bytes=tf.constant([png(image)]))["mask_bytes"][0])
    np.testing.assert_array_equal(shown, np.array(colors)[segmenter().segment(image)])
    requests = list(tf.data.TFRecordDataset(str(tmp_path / "1" / WARMUP_REQUESTS)))
    assert len(requests) == 2  # the larger ones would be refused


def record_of_two(**change: Any) -> dict[str, Any]:
    return {
        "classes": ["background", "cell"],
        "class_values": [0, 255],
        "background": "first",
        "channels": 1,
        "normalization": {"over": "dataset", "mean": [100.0], "stddev": [60.0]},
        "scale": 1.0,
        "test_time_augmentation": False,
        "max_pixels": 10**6,
        "geometry": {"depth": DEPTH},
        "base_filters": 4,
        "max_area": area(32),
        **change,
    }


@pytest.mark.parametrize(
    ("activation", "change"),
    [(None, {}), ("softmax", {"scale": 0.5})],
    ids=["logits", "resized"],
)
def test_a_threshold_decides_alike_in_every_signature_in_tiles_and_in_the_reference(
    activation: str | None, change: dict[str, Any], tmp_path: Path
) -> None:
    keras.utils.set_random_seed(8)
    shape = (None, None, 1)
    network = create_unet(
        shape, classes=2, base_filters=4, depth=DEPTH, decoder="paper", activation=activation
    )
    image = noise(70, 45, 1)
    plain = segmenter_of([network], record_of_two(**change))
    before = plain.predict(image)[..., 1]
    threshold = float(np.quantile(before, 0.9))
    record = record_of_two(**change, operating_point={"aim": "dice", "threshold": threshold})
    write([network], record, tmp_path / "1")
    model = Model(tmp_path / "1")
    encoded = model.read(png(image))

    cell = model.probabilities(image[..., 0])[..., 1]
    np.testing.assert_allclose(cell, before, rtol=0, atol=1e-5)
    expected = cell > threshold
    clear = np.abs(cell - threshold) > 1e-5
    assert 0.05 < expected.mean() < 0.15
    assert clear.mean() > 0.9
    served = model.mask(image[..., 0]) == 255
    np.testing.assert_array_equal(served[clear], expected[clear])
    assert (plain.segment(image) == 1).mean() != served.mean()
    np.testing.assert_array_equal(model.segment(encoded).indices, expected)
    tensors = tf.saved_model.load(str(tmp_path / "1")).signatures["tensors"]
    masks = tensors(images=tf.constant(image[None], tf.float32))["masks"].numpy()
    np.testing.assert_array_equal(masks[0][clear] == 255, expected[clear])
    maps = [tf.io.decode_png(data, dtype=tf.uint16)[..., 0] for data in model.served_probabilities(encoded)]
    np.testing.assert_allclose(np.array(maps[1]) / 65535, before, rtol=0, atol=2e-5)

    ground_truth = noise(70, 45, 1) % 2
    outputs = model.evaluated(png(image), png(ground_truth))
    pairs = ground_truth[..., 0].astype(int) * 2 + served
    np.testing.assert_array_equal(outputs["confusion"], np.bincount(pairs.ravel(), minlength=4))
    assert outputs["threshold"] == np.float32(threshold)
    rounded = tf.io.decode_png(outputs["probabilities_bytes"][0], dtype=tf.uint16).numpy()
    far = np.abs(cell - threshold) > 2 / 65535
    np.testing.assert_array_equal(above(rounded, float(outputs["threshold"]))[far], expected[far])

    (tmp_path / "image").write_bytes(png(image))
    softmax = network if activation else keras.Sequential([network, keras.layers.Softmax()])
    write_expected(softmax, tmp_path / "image", record)
    with np.load(tmp_path / "image.npz") as stored:
        assert stored["clear"].mean() > 0.9
        np.testing.assert_array_equal(stored["indices"][stored["clear"]], served[stored["clear"]])


def test_a_threshold_is_of_two_classes() -> None:
    with pytest.raises(ValueError, match=r"`threshold` is of two classes, in \[0, 1\)"):
        Segmenter(network(1), Geometry(DEPTH), 1, None, None, VALUES, threshold=0.5)
