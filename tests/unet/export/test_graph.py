"""The exported graph answers as its network does, whatever the size of its tiles and the scale of images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.unet.encoded_images import noise
from tests.unet.export.segmenters import DEPTH, VALUES, area, network, segmenter
from unet.export.graph import Segmenter
from unet.preprocessing.resizing import resize, resize_image
from unet.tiling import Geometry


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (17, 11), (70, 150), (300, 1)])
def test_stride_of_tiles_changes_nothing(channels: int, size: tuple[int, int]) -> None:
    image = noise(*size, channels)
    one, many = segmenter(channels, stride=1024), segmenter(channels, stride=16)
    probabilities = one.predict(image)
    assert probabilities.shape == (*size, 3)
    np.testing.assert_allclose(many.predict(image), probabilities, rtol=0, atol=1e-5)
    best = np.sort(probabilities, -1)
    clear = best[..., -1] - best[..., -2] > 1e-5
    assert clear.mean() > 0.9 or size == (1, 1)
    np.testing.assert_array_equal(one.segment(image)[clear], many.segment(image)[clear])


def test_answers_are_those_of_the_network() -> None:
    image = noise(40, 60, 1)
    x = np.pad((image[..., 0].astype(np.float32) - 100) / 60, ((20, 20), (20, 20)), mode="reflect")
    expected = keras.ops.convert_to_numpy(network(1, "softmax")(x[None, ..., None]))[0]
    np.testing.assert_allclose(segmenter().predict(image), expected, rtol=0, atol=1e-5)


def test_logits_and_softmax_networks_answer_the_same() -> None:
    image = noise(30, 20, 1)
    softmax = Segmenter(network(1, "softmax"), Geometry(DEPTH), 1, 100.0, 60.0, VALUES)
    by_logits, by_softmax = segmenter().predict(image), softmax.predict(image)
    np.testing.assert_allclose(by_logits, by_softmax, rtol=0, atol=1e-6)


def test_both_bit_depths_live_on_one_scale() -> None:
    image, model = noise(30, 20, 1), segmenter()
    np.testing.assert_array_equal(
        model.predict(image), model.predict(image.astype(np.uint16) * np.uint16(257))
    )


# Sides at which tiles end with the image, so that a flipped image is paired as its flipped tiles are.
@pytest.mark.parametrize("size", [(4, 4), (40, 36), (120, 72)])
def test_symmetries_answer_with_the_mean_of_all_eight(size: tuple[int, int]) -> None:
    plain, image = segmenter(stride=1024), noise(*size, 1)
    answers = []
    for step in (1, -1):
        for k in range(4):
            turned = np.rot90(image[:, ::step], k)
            answers.append(np.rot90(plain.predict(turned), -k)[:, ::step])
    found = segmenter(stride=32, symmetries=True).predict(image)
    np.testing.assert_allclose(found, np.mean(answers, 0), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (41, 33), (121, 70)])
def test_symmetries_leave_no_trace_of_the_tiles(size: tuple[int, int]) -> None:
    small, large = (segmenter(stride=stride, symmetries=True) for stride in (16, 1024))
    np.testing.assert_allclose(small.predict(noise(*size, 1)), large.predict(noise(*size, 1)), atol=1e-5)


def test_several_networks_answer_with_the_mean_of_their_probabilities() -> None:
    image = noise(40, 33, 1)
    networks = [network(1), network(1, "softmax")]
    networks[1].set_weights(
        [w[..., ::-1] for w in networks[1].get_weights()[:-2]] + networks[1].get_weights()[-2:]
    )
    each = [Segmenter(n, Geometry(DEPTH), 1, 100.0, 60.0, VALUES).predict(image) for n in networks]
    both = Segmenter(networks, Geometry(DEPTH), 1, 100.0, 60.0, VALUES)
    np.testing.assert_allclose(both.predict(image), np.mean(each, 0), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 0.01


@pytest.mark.parametrize(("scale", "constants"), [(0.25, True), (2.0, False)])
def test_scaled_images_are_answered_at_their_own_size(scale: float, constants: bool) -> None:
    mean, stddev = (100.0, 60.0) if constants else (None, None)
    plain, *scaled = (
        Segmenter(network(1), Geometry(DEPTH), 1, mean, stddev, VALUES, area(stride), factor)
        for stride, factor in ((1024, 1.0), (16, scale), (64, scale))
    )
    for size in ((1, 1), (17, 11), (300, 3), (90, 140)):
        image = noise(*size, 1)
        small = resize_image(tf.constant(image.astype(np.uint16) * 257), scale).numpy()
        expected = resize(tf.constant(plain.predict(small)), *size, lambda x: x, tf.float32).numpy()
        best = np.sort(expected, -1)
        clear = best[..., -1] - best[..., -2] > 1e-5
        for model in scaled:  # whatever the size of the tiles
            np.testing.assert_allclose(model.predict(image), expected, atol=1e-5)
            np.testing.assert_array_equal(model.segment(image)[clear], expected.argmax(-1)[clear])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 0}, "channels=0"),
        ({"channels": 3}, "input_shape="),
        ({"geometry": Geometry(3)}, "depth=3"),
        ({"class_values": (0, 1)}, r"class_values=\(0, 1\)"),
        ({"class_values": (0, 1, 1)}, r"class_values=\(0, 1, 1\)"),
        ({"class_values": (0, 1, 65536)}, "65536"),
        ({"class_values": (-1, 0, 1)}, "-1"),
        ({"stddev": 0.0}, "stddev=0"),
        ({"mean": float("nan")}, "mean=nan"),
        ({"max_area": 2303}, "max_area=2303"),
    ],
)
def test_arguments_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "geometry": Geometry(DEPTH), "channels": 1, "mean": 0.0, "stddev": 1.0, "class_values": VALUES,
        "max_area": area(64),
    }  # fmt: skip
    with pytest.raises(ValueError, match=f"Received.*{message}"):
        Segmenter(network(1), **(arguments | change))


def test_other_activations_and_types_are_refused() -> None:
    with pytest.raises(ValueError, match="Received: activation="):
        Segmenter(network(1, "sigmoid"), Geometry(DEPTH), 1, 0.0, 1.0, VALUES)
    with pytest.raises(ValueError, match="Received: dtype=float32"):
        segmenter().segment(np.zeros((4, 4, 1), np.float32))  # type: ignore[arg-type]
