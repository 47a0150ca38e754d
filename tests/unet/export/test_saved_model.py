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
from unet.evaluation.rows import predicted_of
from unet.export.graph import Segmenter
from unet.export.saved_model import segmenter_of, write
from unet.export.warmup import WARMUP_REQUESTS
from unet.images.display import PALETTE
from unet.inference.model import Model
from unet.network import create_unet
from unet.registry.decision import Decision, scores
from unet.registry.records import TRAINING_RECORD
from unet.tiling import Geometry

pytestmark = pytest.mark.usefixtures("loaded_once")


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


def record_of(count: int, **change: Any) -> dict[str, Any]:
    return {
        "classes": ["background", "cell", "wall"][:count],
        "class_values": [0, 100, 255][:count],
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
    ("count", "activation", "change"),
    [(2, None, {}), (2, "softmax", {"scale": 0.5}), (3, None, {})],
    ids=["threshold", "threshold, resized", "factors"],
)
def test_an_operating_point_decides_alike_in_every_signature_in_tiles_and_in_the_reference(
    count: int, activation: str | None, change: dict[str, Any], tmp_path: Path
) -> None:
    keras.utils.set_random_seed(8)
    shape = (None, None, 1)
    network = create_unet(
        shape, classes=count, base_filters=4, depth=DEPTH, decoder="paper", activation=activation
    )
    image = noise(70, 45, 1)
    plain = segmenter_of([network], record_of(count, **change))
    before = plain.predict(image)
    # A tenth of the pixels is of the last class.
    if count == 2:
        point: dict[str, Any] = {"threshold": float(np.quantile(before[..., 1], 0.9))}
    else:
        factor = 1 / np.quantile(before[..., 2] / before[..., :2].max(-1), 0.9)
        point = {"factors": [1.0, 1.0, float(factor)]}
    decision = Decision.of(point)
    record = record_of(count, **change, operating_point={"aim": "dice", **point})
    write([network], record, tmp_path / "1")
    model = Model(tmp_path / "1")
    encoded = model.read(png(image))

    found = model.probabilities(image[..., 0])
    np.testing.assert_allclose(found, before, rtol=0, atol=1e-5)
    expected = scores(found, decision).argmax(-1)
    best = np.sort(scores(found, decision), -1)
    clear = best[..., -1] - best[..., -2] > 1e-5 * decision.factors.max()
    assert 0.05 < (expected == count - 1).mean() < 0.15
    assert clear.mean() > 0.9
    served = np.searchsorted(record["class_values"], model.mask(image[..., 0]))
    np.testing.assert_array_equal(served[clear], expected[clear])
    assert (plain.segment(image) != served).any()
    np.testing.assert_array_equal(model.segment(encoded).indices, expected)
    tensors = tf.saved_model.load(str(tmp_path / "1")).signatures["tensors"]
    masks = tensors(images=tf.constant(image[None], tf.float32))["masks"].numpy()
    np.testing.assert_array_equal(masks[0][clear], np.array(record["class_values"])[expected][clear])
    maps = [tf.io.decode_png(data, dtype=tf.uint16)[..., 0] for data in model.served_probabilities(encoded)]
    np.testing.assert_allclose(np.stack(maps, -1) / 65535, before, rtol=0, atol=2e-5)

    ground_truth = noise(70, 45, 1) % count
    outputs = model.evaluated(png(image), png(ground_truth))
    pairs = ground_truth[..., 0].astype(int) * count + served
    np.testing.assert_array_equal(outputs["confusion"], np.bincount(pairs.ravel(), minlength=count**2))
    told = predicted_of(outputs)
    assert told is not None
    np.testing.assert_array_equal(told, served)

    (tmp_path / "image").write_bytes(png(image))
    softmax = network if activation else keras.Sequential([network, keras.layers.Softmax()])
    write_expected(softmax, tmp_path / "image", record)
    with np.load(tmp_path / "image.npz") as stored:
        assert stored["clear"].mean() > 0.9
        np.testing.assert_array_equal(stored["indices"][stored["clear"]], served[stored["clear"]])


def test_a_decision_is_of_the_classes_of_the_network() -> None:
    with pytest.raises(ValueError, match="`decision` must be of 3 classes"):
        Segmenter(
            network(1), Geometry(DEPTH), 1, None, None, VALUES, decision=Decision.of({"threshold": 0.5})
        )
