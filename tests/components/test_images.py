from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from components import images
from components.images import ImageError

BINARY = {"background": 0, "foreground": 255}
NUMBERS = np.random.default_rng(0)
GREY = NUMBERS.integers(0, 256, (30, 40), np.uint8)
DEEP = NUMBERS.integers(0, 1 << 16, (30, 40), np.uint16)
RGB = NUMBERS.integers(0, 256, (30, 40, 3), np.uint8)
DEEP_RGB = NUMBERS.integers(0, 1 << 16, (30, 40, 3), np.uint16)


def saved(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def png(depth: int, colour_type: int, shape: tuple[int, int], rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of any kind; `rows` starts each row with its filter, `extra` is put before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], depth, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def deep_rgb_png(pixels: np.ndarray) -> bytes:
    height, width, _ = pixels.shape
    return png(16, 2, (height, width), b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))


def bits_png(depth: int, rows: list[int], extra: bytes = b"", colour_type: int = 0) -> bytes:
    """One byte a row: 8 / depth pixels of it."""
    return png(depth, colour_type, (len(rows), 8 // depth), b"".join(bytes([0, row]) for row in rows), extra)


def rotated(kind: str, pixels: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(pixels, kind, exif=exif)


def smooth(shape: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)))


@pytest.mark.parametrize(
    ("data", "shape", "depth"),
    [
        (saved(GREY, "PNG"), (30, 40, 1), 8),
        (saved(RGB, "PNG"), (30, 40, 3), 8),
        (saved(DEEP, "PNG"), (30, 40, 1), 16),
        (deep_rgb_png(DEEP_RGB), (30, 40, 3), 16),
        (saved(GREY, "JPEG"), (30, 40, 1), 8),
        (saved(RGB, "JPEG"), (30, 40, 3), 8),
        (saved(RGB, "JPEG", progressive=True), (30, 40, 3), 8),
    ],
    ids=["grey png", "rgb png", "16-bit png", "16-bit rgb png", "grey jpeg", "rgb jpeg", "progressive jpeg"],
)
def test_canonical_files_pass_through(data: bytes, shape: tuple[int, int, int], depth: int) -> None:
    image = images.read_image(data)
    pixels = images.decode(data).astype(np.float64) / (257 if depth == 16 else 1)
    assert image.data == data
    assert (image.height, image.width, image.channels) == shape == pixels.shape
    assert image.bit_depth == depth
    assert image.mean == pytest.approx(pixels.mean())
    assert image.stddev == pytest.approx(pixels.std())


WITH_ALPHA = np.concatenate([RGB, GREY[..., None]], axis=-1)
PALETTE = Image.fromarray(GREY // 64).convert("P")
PALETTE.putpalette([200, 0, 0, 0, 100, 0, 0, 0, 50, 9, 8, 7])
COLOURS = np.array([[200, 0, 0], [0, 100, 0], [0, 0, 50], [9, 8, 7]], np.uint8)
BITS = GREY > 127


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (saved(WITH_ALPHA, "PNG"), RGB),
        (saved(WITH_ALPHA, "TIFF"), RGB),
        (saved(np.stack([GREY, GREY // 2], -1), "PNG"), GREY),
        (saved(PALETTE, "PNG"), COLOURS[GREY // 64]),
        (saved(PALETTE, "PNG", transparency=b"\0\xff"), COLOURS[GREY // 64]),
        (saved(Image.fromarray(GREY).convert("P"), "PNG"), GREY),
        (saved(BITS, "PNG"), BITS * np.uint8(255)),
        (saved(BITS, "TIFF", compression="group4"), BITS * np.uint8(255)),
        (bits_png(4, [0x0F, 0x18]), np.array([[0, 255], [17, 136]], np.uint8)),
        (saved(GREY, "PNG", transparency=3), GREY),
        (saved(GREY, "BMP"), GREY),
        (saved(RGB, "BMP"), RGB),
        (saved(GREY, "TIFF", compression="tiff_lzw"), GREY),
        (saved(DEEP, "TIFF"), DEEP),
        (saved(DEEP, "TIFF", compression="tiff_adobe_deflate"), DEEP),
        (rotated("PNG", RGB), np.rot90(RGB, -1)),
        (rotated("TIFF", DEEP), np.rot90(DEEP, -1)),
    ],
)
def test_other_files_are_encoded_once_without_loss(data: bytes, pixels: np.ndarray) -> None:
    image = images.read_image(data)
    decoded = images.decode(image.data)
    assert image.data != data
    assert images.read_image(image.data) == image
    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels.reshape(decoded.shape))


def test_rotated_and_cmyk_jpegs_become_rgb_png() -> None:
    turned = images.read_image(rotated("JPEG", smooth((30, 40, 3))))
    assert (turned.height, turned.width, turned.data[1:4]) == (40, 30, b"PNG")
    cmyk = Image.fromarray(smooth((30, 40, 3))).convert("CMYK")
    expected = np.asarray(Image.open(io.BytesIO(saved(cmyk, "JPEG"))).convert("RGB"))
    np.testing.assert_array_equal(images.decode(images.read_image(saved(cmyk, "JPEG")).data), expected)


BIG = smooth((64, 64))
PNG_FILE, JPEG_FILE, TIFF_FILE = (saved(BIG, kind) for kind in ("PNG", "JPEG", "TIFF"))
FLIPPED = bytearray(PNG_FILE)
FLIPPED[len(FLIPPED) // 2] ^= 1


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"GIF89a" + bytes(20), "not a PNG, JPEG, TIFF or BMP file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        *((data[: len(data) // 2], "damaged or truncated") for data in (PNG_FILE, JPEG_FILE, TIFF_FILE)),
        *((data[:12], "damaged or truncated") for data in (PNG_FILE, JPEG_FILE, TIFF_FILE)),
        (PNG_FILE[:-12], "damaged or truncated"),
        (JPEG_FILE[:-2], "damaged or truncated"),
        (JPEG_FILE[:-9] + b"\xff\x72" + JPEG_FILE[-7:], "unknown marker 72"),
        (bytes(FLIPPED), "damaged or truncated"),
        (saved(smooth((8, 8)).astype(np.float32), "TIFF"), "32-bit floating-point"),
        (saved(smooth((8, 8)).astype(np.int32), "TIFF"), "32-bit signed"),
        (saved(BIG, "TIFF", save_all=True, append_images=[Image.fromarray(BIG)]), "2 pages"),
        (saved(BIG, "PNG", save_all=True, append_images=[Image.fromarray(BIG[::-1])]), "2 pages or frames"),
        (png(16, 6, (1, 1), bytes(9)), "16-bit PNG with alpha"),
        (png(16, 4, (1, 1), bytes(5)), "16-bit PNG with alpha"),
    ],
)
def test_unusable_files_are_refused_with_advice(data: bytes, found: str) -> None:
    with pytest.raises(ImageError, match=found) as caught:
        images.read_image(data)
    assert caught.value.advice


def test_16_bit_colour_tiff_is_refused() -> None:
    # 2 x 1 pixels; Pillow cannot write it, and reads its high bytes alone.
    tags = [(256, 2), (257, 1), (258, 16), (259, 1), (262, 2), (273, 200), (277, 3), (278, 1), (279, 12)]
    entries = b"".join(
        struct.pack("<HHIHH", tag, 3, 1, value, 0) if tag != 258 else struct.pack("<HHII", tag, 3, 3, 180)
        for tag, value in tags
    )
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    data = head.ljust(180, b"\0") + struct.pack("<3H", 16, 16, 16)
    with pytest.raises(ImageError, match="a 16-bit TIFF that is not plain grey"):
        images.read_image(data.ljust(200, b"\0") + bytes(12))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_large_files_are_refused(kind: str) -> None:
    data = saved(BIG, kind)
    with pytest.raises(ImageError, match="64 x 64 pixels, more than max_pixels = 4095"):
        images.read_image(data, max_pixels=4095)
    assert images.read_image(data, max_pixels=4096).height == 64


def test_size_is_checked_before_pixels_are_decoded() -> None:
    with pytest.raises(ImageError, match="1000000 x 1000000 pixels"):
        images.read_image(png(8, 0, (1_000_000, 1_000_000), b""))


def test_large_images_raise_no_warning() -> None:
    side = 9_500  # Pillow would warn from 89 million pixels on
    data = png(1, 0, (side, side), bytes((side + 7) // 8 * side + side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.read_mask(data, BINARY).shape == (side, side)


def test_odd_metadata_raises_no_warning_in_many_threads() -> None:
    broken_exif = (
        b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\x0e\x01\x02\0\xff\0\0\0\xff\0\0\0"
    )
    data = saved(BIG, "JPEG", exif=broken_exif)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(images.read_image, [data] * 64))
    assert warnings.filters == before
    assert {image.data for image in results} == {data}


@pytest.mark.parametrize("length", range(0, 60, 7))
def test_any_damage_is_an_image_error(length: int) -> None:
    numbers = np.random.default_rng(length)
    for data in (PNG_FILE, JPEG_FILE, TIFF_FILE, saved(PALETTE, "BMP")):
        noise = bytearray(data)
        for at in numbers.integers(0, min(len(data), 400), 5):
            noise[at] = numbers.integers(256)
        with contextlib.suppress(ImageError):
            images.read_image(bytes(noise), max_pixels=10**6)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            images.read_image(path)


INDICES = (GREY > 127).astype(np.uint8)
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
    mask = images.read_mask(tmp_path / "mask", classes)
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
    assert images.read_mask(data, classes).tolist() == [expected]


@pytest.mark.parametrize(
    ("data", "found", "advice"),
    [
        (
            saved(INDICES, "PNG"),
            rf"foreground=255\): 1 \({INDICES.sum()} pixels\)",
            "{background=0, foreground=1}",
        ),
        (
            saved(GREY, "PNG"),
            r"\): 1 \(\d+ pixels\), 2 .*, 5 \(\d+ pixels\), \.\.\.",
            "it may number objects",
        ),
        (saved(smooth((64, 64)), "JPEG"), "of no class", "save masks as PNG"),
        (saved(RGB, "PNG"), "a mask in colour", "save it in grey"),
        (saved(INDEXED, "PNG"), "of no class", "--set 'classes={background=0, foreground=1}'"),
        (b"", "an empty file", "again"),
    ],
)
def test_unusable_masks_are_refused_with_advice(data: bytes, found: str, advice: str) -> None:
    with pytest.raises(ImageError, match=found) as caught:
        images.read_mask(data, BINARY)
    assert advice in caught.value.advice


@pytest.mark.parametrize("pixels", [GREY, GREY[..., None], RGB, DEEP, DEEP[..., None]])
def test_encode_png_is_lossless(pixels: np.ndarray) -> None:
    decoded = images.decode(images.encode_png(pixels))
    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels.reshape(decoded.shape))


@pytest.mark.parametrize("pixels", [DEEP_RGB, GREY.astype(np.float32), RGB[..., :2], RGB[None]])
def test_encode_png_refuses_what_png_or_pillow_cannot_hold(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot encode"):
        images.encode_png(pixels)


@pytest.fixture(scope="module")
def tf() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow

        return tensorflow


@pytest.mark.parametrize("shape", [(64, 64, 3), (61, 83, 3), (61, 83)])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}])
def test_jpeg_equals_tensorflow(tf: Any, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    data = saved(smooth(shape), "JPEG", quality=80, **options)
    expected = tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)
    np.testing.assert_array_equal(images.decode(data), expected)


@pytest.mark.parametrize("pixels", [GREY, RGB, DEEP, DEEP_RGB])
def test_png_equals_tensorflow(tf: Any, pixels: np.ndarray) -> None:
    data = deep_rgb_png(pixels) if pixels is DEEP_RGB else images.encode_png(pixels)
    expected = tf.io.decode_png(data, dtype=pixels.dtype)
    np.testing.assert_array_equal(images.decode(data), expected)


def test_grey_of_all_rounding_cases_equals_tensorflow(tf: Any) -> None:
    levels = np.arange(0, 256, 3, np.uint8)
    rgb = np.stack(np.meshgrid(levels, levels, levels), -1)
    weighted = tf.reduce_sum(tf.cast(rgb, tf.int32) * [299, 587, 114], -1)
    np.testing.assert_array_equal(images.to_grey(rgb), (weighted + 500) // 1000)
    same = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, -1)
    np.testing.assert_array_equal(images.to_grey(same), same[:, 0])
