from __future__ import annotations

import dataclasses
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter

from unet.images.raster import ImageError
from unet.masks.advice import propose_classes
from unet.masks.labels import IGNORE, LabelMap
from unet.masks.reader import count_classes, read_mask, read_mask_stats
from unet.masks.values import MaskStats

BINARY = {"background": 0, "foreground": 255}
NUMBERS = np.random.default_rng(0)
GRAY = NUMBERS.integers(0, 256, (30, 40), np.uint8)
RGB = NUMBERS.integers(0, 256, (30, 40, 3), np.uint8)


def saved(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


def png(depth: int, color_type: int, shape: tuple[int, int], rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of any kind; `rows` starts each row with its filter, `extra` is put before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], depth, color_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bits_png(depth: int, rows: list[int], extra: bytes = b"", color_type: int = 0) -> bytes:
    """One byte a row: 8 / depth pixels of it."""
    return png(depth, color_type, (len(rows), 8 // depth), b"".join(bytes([0, row]) for row in rows), extra)


def smooth(shape: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)))


INDICES = (GRAY > 127).astype(np.uint8)
IDS = np.repeat(np.arange(40, dtype=np.uint8)[None], 30, 0)
IDS[:5] = 0
SHARP = (np.hypot(*(np.mgrid[:128, :128] - 64)) < 40).astype(np.uint8)
BLURRED = np.asarray(Image.fromarray(SHARP * np.uint8(255)).filter(ImageFilter.GaussianBlur(1)))
THREE = {"background": 0, "membrane": 7, "cell": 255}
INDEXED = Image.fromarray(INDICES).convert("P")
INDEXED.putpalette([0, 0, 0, 255, 0, 0])


@pytest.mark.parametrize(
    ("data", "classes"),
    [
        (saved(INDICES * np.uint8(255), "PNG"), BINARY),
        (saved(INDICES * np.uint8(255), "BMP"), BINARY),
        (saved(INDICES * np.uint8(255), "TIFF"), BINARY),
        (saved(INDICES, "PNG"), {"background": 0, "foreground": 1}),
        (saved(INDICES * np.uint16(1000), "PNG"), {"background": 0, "foreground": 1000}),
        (saved(1 - INDICES, "PNG"), {"cell": 1, "membrane": 0}),
        (saved(np.array([0, 7, 255], np.uint8)[INDICES], "PNG"), THREE),
        (saved(INDICES.astype(bool), "PNG"), BINARY),
        (saved(INDICES.astype(bool), "PNG"), {"background": 0, "foreground": 1}),
        (saved(INDICES.astype(bool), "TIFF"), BINARY),
        (saved(np.stack([INDICES * np.uint8(255)] * 3, -1), "PNG"), BINARY),
        (saved(np.stack([INDICES * np.uint8(255)] * 4, -1), "PNG"), BINARY),
        (saved(INDEXED, "PNG"), {"background": 0, "foreground": 1}),
        (saved(INDEXED, "PNG", bits=1), {"background": 0, "foreground": 1}),
    ],
)
def test_masks_become_class_indices(data: bytes, classes: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "mask").write_bytes(data)
    mask = read_mask(tmp_path / "mask", LabelMap(classes)).indices
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, INDICES)


@pytest.mark.parametrize(
    ("data", "classes", "expected"),
    [
        (bits_png(2, [0b00_01_10_00]), {"a": 0, "b": 1, "c": 2}, [0, 1, 2, 0]),
        (bits_png(2, [0b00_01_10_00]), {"a": 0, "b": 85, "c": 170}, [0, 1, 2, 0]),
        # An optimiser made a palette of the grey values 0, 128 and 255.
        (
            bits_png(2, [0b00_01_10_00], chunk(b"PLTE", bytes([0] * 3 + [128] * 3 + [255] * 3)), 3),
            {"a": 0, "b": 128, "c": 255},
            [0, 1, 2, 0],
        ),
    ],
)
def test_masks_of_few_bits(data: bytes, classes: dict[str, int], expected: list[int]) -> None:
    assert read_mask(data, LabelMap(classes)).indices.tolist() == [expected]


@pytest.mark.parametrize(
    ("data", "found", "advice"),
    [
        (
            saved(INDICES, "PNG"),
            rf"foreground=255\): 1 \({INDICES.sum()} pixels\)",
            "{background=0, foreground=1}",
        ),
        (
            saved(GRAY, "PNG"),
            r"\): \d+ \(\d+ pixels\), .*, \d+ \(\d+ pixels\), \.\.\.",
            "it may be an image",
        ),
        (saved(smooth((64, 64)), "JPEG"), "of no class", "save masks as PNG"),
        (saved(RGB, "PNG"), "a mask in colour", "save it in grey"),
        (
            saved(np.array([[0, 0, 0], [9, 8, 7]], np.uint8)[INDICES], "PNG"),
            "#090807",
            'foreground="#090807"',
        ),
        (saved(IDS, "PNG"), "of no class", "--set 'classes={background=0, object=\"instances\"}'"),
        (saved(BLURRED, "PNG"), "of no class", "--set mask_values=nearest"),
        (saved(INDICES / np.float32(2), "TIFF"), "a mask of fractions", "whole number"),
        (saved(np.where(INDICES, np.nan, np.float32(0)), "TIFF"), "pixels of NaN or infinity", "its class"),
        (saved(INDEXED, "PNG"), "of no class", "--set 'classes={background=0, foreground=1}'"),
        (b"", "an empty file", "again"),
    ],
)
def test_unusable_masks_are_refused_with_advice(data: bytes, found: str, advice: str) -> None:
    with pytest.raises(ImageError, match=found) as caught:
        read_mask(data, LabelMap(BINARY))
    assert advice in caught.value.advice


COLORS = {"sky": "#000000", "roof": "#ff0000", "wall": "#00ff80"}
TABLE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 128]], np.uint8)
CLASS_OF = np.random.default_rng(1).integers(0, 3, (30, 40), np.uint8)


def palette_of(colors: np.ndarray, indices: np.ndarray) -> Image.Image:
    image = Image.fromarray(indices).convert("P")
    image.putpalette(colors.reshape(-1).tolist())
    return image


@pytest.mark.parametrize(
    "data",
    [
        saved(TABLE[CLASS_OF], "PNG"),
        saved(np.concatenate([TABLE[CLASS_OF], GRAY[..., None]], -1), "PNG"),
        saved(palette_of(TABLE, CLASS_OF), "PNG"),
        saved(TABLE[CLASS_OF], "BMP"),
        saved(TABLE[CLASS_OF], "TIFF"),
    ],
    ids=["rgb", "rgba", "palette", "bmp", "tiff"],
)
def test_colors_are_classes(data: bytes) -> None:
    mask = read_mask(data, LabelMap(COLORS))
    np.testing.assert_array_equal(mask.indices, CLASS_OF)
    assert mask.instances is None


def test_gray_files_among_colors_count_as_gray_colors() -> None:
    label_map = LabelMap({"dark": "#000000", "light": "#ffffff"})
    np.testing.assert_array_equal(
        read_mask(saved(INDICES * np.uint8(255), "PNG"), label_map).indices, INDICES
    )
    np.testing.assert_array_equal(read_mask(saved(INDICES.astype(bool), "PNG"), label_map).indices, INDICES)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_objects_keep_their_ids(dtype: type) -> None:
    data = saved(IDS.astype(dtype), "TIFF")
    mask = read_mask(data, LabelMap({"background": 0, "cell": "instances"}))
    np.testing.assert_array_equal(mask.indices, IDS > 0)
    assert mask.instances is not None
    np.testing.assert_array_equal(mask.instances, IDS)
    other = read_mask(data, LabelMap({"background": 0, "cell": "instances", "edge": 39}, ignore=1))
    assert other.instances is not None
    assert other.indices[9, [0, 1, 2, 39]].tolist() == [0, IGNORE, 1, 2]
    assert other.instances[9, [0, 1, 2, 39]].tolist() == [0, 0, 2, 0]


LABELS = np.arange(300 * 300).reshape(300, 300)


@pytest.mark.parametrize("step", [1, 70_000])
@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_numbers_of_more_than_16_bits_are_counted_anew(step: int, dtype: type) -> None:
    label_map = LabelMap({"background": 0, "cell": "instances"})
    labels = np.repeat(np.arange(3000, dtype=dtype)[None], 3, 0) * dtype(step)
    labels[:, 0] += dtype(100_000 * 3)
    mask = read_mask(tiff(labels), label_map)
    assert mask.instances is not None
    _, expected = np.unique(labels, return_inverse=True)
    np.testing.assert_array_equal(mask.instances, expected.reshape(labels.shape) + 1)
    assert mask.indices.all()


def test_too_many_objects_are_refused_by_whoever_looks() -> None:
    label_map = LabelMap({"background": 0, "cell": "instances"})
    for labels in (LABELS, LABELS * 90_000 % 2**32):
        with pytest.raises(ImageError, match=r"\d{5} objects in a mask, more than 65535"):
            read_mask(tiff(labels.astype(np.uint32)), label_map)
        with pytest.raises(ImageError, match="cut the image into parts"):
            count_classes(read_mask_stats(tiff(labels.astype(np.uint32))), label_map)


@pytest.mark.parametrize(
    "data",
    [
        tiff(INDICES.astype(bool)),  # which says that 0 is white
        tiff(INDICES, photometric="miniswhite"),
        tiff(INDICES.astype(np.uint16), photometric="miniswhite"),
        tiff(INDICES == 0, photometric="miniswhite", software="a scanner"),
        saved(Image.fromarray(INDICES.astype(bool)), "TIFF", compression="group4"),
    ],
    ids=["bool", "8 bits", "16 bits", "by another program", "fax"],
)
def test_masks_that_show_0_as_white(data: bytes) -> None:
    label_map = LabelMap({"background": 0, "foreground": 1})
    np.testing.assert_array_equal(read_mask(data, label_map).indices, INDICES)


def test_one_bit_masks_read_as_they_look_are_counted() -> None:
    scanned = read_mask_stats(tiff(INDICES == 0, photometric="miniswhite", software="a scanner"))
    assert scanned.white_is_zero
    assert not read_mask_stats(tiff(INDICES.astype(bool))).white_is_zero


def test_ignored_pixels_are_no_class() -> None:
    values = np.array([0, 1, 255], np.uint8)[CLASS_OF]
    label_map = LabelMap({"a": 0, "b": 1}, ignore=255)
    mask = read_mask(saved(values, "PNG"), label_map)
    np.testing.assert_array_equal(mask.indices, values)
    counts, ignored = count_classes(read_mask_stats(saved(values, "PNG")), label_map)
    assert counts == {"a": (CLASS_OF == 0).sum(), "b": (CLASS_OF == 1).sum()}
    assert ignored == (CLASS_OF == 2).sum()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_blurred_masks_are_thresholded_on_demand(kind: str) -> None:
    mask = read_mask(saved(BLURRED, kind), LabelMap(BINARY, mask_values="nearest"))
    assert (mask.indices == SHARP).mean() > 0.99
    np.testing.assert_array_equal(
        mask.indices, np.asarray(Image.open(io.BytesIO(saved(BLURRED, kind)))) > 127
    )
    color = Image.fromarray(np.array([[0, 0, 0], [255, 0, 0]], np.uint8)[SHARP])
    label_map = LabelMap({"a": "#000000", "b": "#ff0000"}, mask_values="nearest")
    assert (read_mask(saved(color, kind), label_map).indices == SHARP).mean() > 0.98


@pytest.mark.parametrize(
    ("masks", "classes"),
    [
        ([INDICES, INDICES * 255], {"background": 0, "class_1": 1, "class_255": 255}),
        ([INDICES * 255], BINARY),
        ([INDICES], {"background": 0, "foreground": 1}),
        ([INDICES.astype(bool)], BINARY),
        ([IDS, IDS], {"background": 0, "object": "instances"}),
        ([GRAY], None),
        ([TABLE[CLASS_OF]], {"background": "#000000", "class_1": "#00ff80", "class_2": "#ff0000"}),
    ],
)
def test_proposed_classes_fit_all_masks(masks: list[np.ndarray], classes: dict[str, Any] | None) -> None:
    if masks[0] is GRAY:
        masks = [NUMBERS.integers(5, 256, (300, 400), np.uint8)]
    files = [saved(m if m.dtype == bool else m.astype(np.uint8), "PNG") for m in masks]
    proposed = propose_classes([read_mask_stats(data) for data in files])
    assert proposed == ([classes] if classes else [])
    for data in files:
        if classes:
            read_mask(data, LabelMap(classes))


@pytest.mark.parametrize("mask", [INDICES, TABLE[CLASS_OF], IDS])
def test_surveys_survive_json(mask: np.ndarray) -> None:
    mask_stats = read_mask_stats(saved(mask, "PNG"))
    assert MaskStats.of(json.loads(json.dumps(dataclasses.asdict(mask_stats)))) == mask_stats
    assert sum(mask_stats.counts.values()) == mask.shape[0] * mask.shape[1]
