"""What the client of the InfraValidator finds wrong with answers; the functions load nothing of a model."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.infra_validator.probe import check_image, check_refusals, peak_memory

HEIGHT, WIDTH = 6, 9


def png(pixels: np.ndarray) -> bytes:
    if pixels.dtype == np.uint16:
        return bytes(tf.io.encode_png(pixels.reshape(*pixels.shape[:2], -1)).numpy())
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "0.png"
    path.write_bytes(png(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)))
    return path


def answering(mask: np.ndarray) -> Callable[..., dict[str, Any]]:
    """A signature that answers every image with this mask."""
    return lambda image_bytes: {"mask_bytes": tf.constant([png(mask)])}


def indices() -> np.ndarray:
    return np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 2


@pytest.mark.parametrize(
    "values", [[7, 255], [0, 256], [0, 65535], [[0, 0, 0], [255, 0, 9]]], ids=["8", "16", "16b", "colour"]
)
def test_a_mask_of_the_classes_values_passes(values: list[Any], image: Path):
    deep = np.uint16 if np.max(values) > 255 else np.uint8
    assert check_image(answering(np.array(values, deep)[indices()]), str(image), values) == []


def test_a_mask_of_another_size_is_wrong(image: Path):
    [sentence] = check_image(answering(np.zeros((HEIGHT, WIDTH + 1), np.uint8)), str(image), [0, 1])
    assert sentence == f"{image}: the mask is (6, 10, 1), the image is (6, 9)"


def test_a_single_other_value_is_wrong(image: Path):
    mask = np.array([7, 255], np.uint8)[indices()]
    mask[3, 4] = 8
    assert check_image(answering(mask), str(image), [7, 255]) == [
        f"{image}: the mask has other values than the classes'"
    ]


def test_a_color_that_is_a_classes_in_two_channels_alone_is_wrong(image: Path):
    mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask[0, 0] = 255, 0, 8
    [sentence] = check_image(answering(mask), str(image), [[0, 0, 0], [255, 0, 9]])
    assert "other values" in sentence


@pytest.mark.parametrize(("clear", "wrong"), [(True, 1), (False, 0)])
def test_pixels_that_the_network_is_sure_of_are_compared(clear: bool, wrong: int, image: Path):
    expected = indices()
    expected[2, 3] = 1 - expected[2, 3]
    sure = np.ones_like(expected, bool)
    sure[2, 3] = clear
    np.savez(image.with_suffix(".npz"), indices=expected, clear=sure)
    mask = np.array([7, 255], np.uint8)[indices()]
    assert (
        check_image(answering(mask), str(image), [7, 255])
        == [f"{image}: 1 of 54 pixels are not those that the network gives offline"] * wrong
    )


def test_each_thing_that_is_no_image_must_be_refused():
    assert check_refusals(answering(np.zeros((6, 9), np.uint8))) == [
        "an empty file got a mask instead of an error",
        "a text got a mask instead of an error",
        "a TIFF got a mask instead of an error",
        "half an image got a mask instead of an error",
    ]

    def decoding(image_bytes: tf.Tensor) -> Any:
        return {"mask_bytes": [tf.io.decode_png(image_bytes[0])]}

    assert check_refusals(decoding) == []


def test_what_is_refused_is_no_image_though_it_begins_like_one():
    sent: list[bytes] = []

    def keep(image_bytes: tf.Tensor) -> Any:
        sent.append(image_bytes[0].numpy())
        raise tf.errors.InvalidArgumentError(None, None, "no")

    assert check_refusals(keep) == []
    assert [data[:4] for data in sent] == [b"", b"no i", b"II*\0", b"\x89PNG"]


def test_the_peak_is_in_megabytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    assert abs(peak_memory() - kilobytes / 1024) < 10
