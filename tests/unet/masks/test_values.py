"""What a mask file holds, from pixels of every kind; `unet.masks.reader` gives them a meaning."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from unet.images.raster import ImageError, Raster
from unet.masks.values import MaskStats, color_of, count_values, number_of, values_and_stats


def raster(pixels: Any, depth: int = 8, palette: Any = None, white_is_zero: bool = False) -> Raster:
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return Raster(pixels, depth, palette, "PNG", None, white_is_zero)


def mask_stats(kind: str, depth: int, palette: list[int] | None = None) -> MaskStats:
    return MaskStats(kind, 1, 1, depth, "PNG", {}, palette or [])


def test_a_gray_mask_is_counted() -> None:
    values, found = values_and_stats(raster(np.array([[0, 7, 7], [7, 0, 9]], np.uint8)))
    assert values.tolist() == [[0, 7, 7], [7, 0, 9]]
    assert found == MaskStats("grey", 2, 3, 8, "PNG", {0: 2, 7: 3, 9: 1}, [])
    assert MaskStats.of(json.loads(json.dumps(dataclasses.asdict(found)))) == found


def test_three_equal_channels_are_gray_and_others_a_color() -> None:
    gray = np.array([[[7, 7, 7], [8, 8, 8]]], np.uint8)
    values, found = values_and_stats(raster(gray))
    assert (values.tolist(), found.kind, found.counts) == ([[7, 8]], "grey", {7: 1, 8: 1})
    for second, color in (((9, 8, 7), 0x090807), ((8, 9, 8), 0x080908), ((8, 8, 9), 0x080809)):
        values, found = values_and_stats(raster(np.array([[(7, 7, 7), second]], np.uint8)))
        assert (found.kind, found.counts) == ("colour", {0x070707: 1, color: 1})
        assert values.tolist() == [[0x070707, color]]


def test_a_palette_names_the_color_of_each_index() -> None:
    _, found = values_and_stats(
        raster(np.array([[0, 1]], np.uint8), palette=np.array([[0, 0, 0], [1, 2, 3]], np.uint8))
    )
    assert (found.kind, found.palette, found.counts) == ("palette", [0, 0x010203], {0: 1, 1: 1})


@pytest.mark.parametrize(
    ("depth", "white_is_zero", "expected"),
    [(1, True, [[1, 0]]), (1, False, [[0, 1]]), (8, True, [[0, 1]])],
)
def test_only_one_bit_is_read_as_it_looks(depth: int, white_is_zero: bool, expected: list[list[int]]) -> None:
    values, found = values_and_stats(raster(np.array([[0, 1]], np.uint8), depth, None, white_is_zero))
    assert values.tolist() == expected
    assert found.white_is_zero == (depth == 1 and white_is_zero)


@pytest.mark.parametrize(
    ("pixels", "found", "advice"),
    [
        (np.array([[0, np.nan, np.inf]]), "a mask with 2 pixels of NaN or infinity", "number of its class"),
        (np.array([[0, 0.5]]), "a mask of fractions", "as a whole number"),
        (np.array([[0, -1]], np.int16), "a mask of negative values, down to -1", "use values from 0"),
        (np.array([[0.0, -2.0]]), "a mask of negative values, down to -2", "use values from 0"),
        (np.array([[[0, 1, 2]]], np.uint16), "a mask in colours of 16 bits", "8 bits a channel"),
    ],
)
def test_unusable_values(pixels: np.ndarray, found: str, advice: str) -> None:
    with pytest.raises(ImageError) as caught:
        values_and_stats(raster(pixels))
    assert caught.value.found == found
    assert advice in caught.value.advice


def test_whole_numbers_may_be_stored_as_fractions() -> None:
    values, found = values_and_stats(raster(np.array([[0.0, 3.0]], np.float32), 32))
    assert (values.dtype, found.counts) == (np.int64, {0: 1, 3: 1})


def test_more_colors_than_any_blurred_mask_has() -> None:
    pixels = np.zeros((1, (1 << 16) + 1, 3), np.uint8)
    pixels[0, :, 0], pixels[0, :, 1] = np.arange(pixels.shape[1]) >> 8 & 255, np.arange(pixels.shape[1]) & 255
    _, found = values_and_stats(raster(pixels))  # the last one is the first again
    assert len(found.counts) == 1 << 16
    pixels[0, -1, 2] = 1
    with pytest.raises(ImageError, match=f"a mask of more than {1 << 16} colours; it may be an image"):
        values_and_stats(raster(pixels))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64])
@pytest.mark.parametrize("highest", [1, 5, 256])
def test_counts_are_those_of_each_value(dtype: type, highest: int) -> None:
    values: np.ndarray = np.random.default_rng(0).integers(0, highest, (20, 30)).astype(dtype)
    found, counts = np.unique(values, return_counts=True)
    assert count_values(values) == dict(zip(found.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize(
    ("kind", "depth", "value", "highest", "expected"),
    [
        ("grey", 1, 1, 255, 255),
        ("grey", 1, 1, 2, 255),
        ("grey", 1, 1, 1, 1),
        ("grey", 1, 1, 1000, 255),
        ("grey", 2, 1, 255, 85),
        ("grey", 2, 3, 3, 3),
        ("grey", 2, 3, 4, 255),
        ("grey", 4, 2, 255, 34),
        ("grey", 4, 2, 256, 2),  # no grey value of 8 bits: the numbers are those of the file
        ("grey", 8, 7, 255, 7),
        ("palette", 2, 1, 255, 1),
    ],
)
def test_few_bits_are_numbers_or_grays_as_the_legend_has_them(
    kind: str, depth: int, value: int, highest: int, expected: int
) -> None:
    assert number_of(mask_stats(kind, depth), value, highest) == expected


@pytest.mark.parametrize(
    ("found", "value", "color"),
    [
        (mask_stats("palette", 8, [0, 0x010203]), 1, 0x010203),
        (mask_stats("palette", 8, [0, 0x010203]), 2, 0),
        (mask_stats("colour", 8), 0x010203, 0x010203),
        (mask_stats("grey", 8), 16, 0x101010),
        (mask_stats("grey", 1), 1, 0xFFFFFF),
        (mask_stats("grey", 16), 1000, 0xFFFFFF),
    ],
)
def test_the_color_of_a_stored_value(found: MaskStats, value: int, color: int) -> None:
    assert color_of(found, value) == color


def test_an_image_of_32_bits_is_no_mask_of_as_many_values() -> None:
    most = 1 << 17
    values = np.arange(most, dtype=np.uint32).reshape(256, -1)
    assert len(count_values(values)) == most
    with pytest.raises(ImageError, match="a mask of more than 131072 values") as caught:
        values_and_stats(raster(np.arange(most + 256, dtype=np.uint32).reshape(256, -1), depth=32))
    assert caught.value.advice == "it may be an image; or cut it into parts"
