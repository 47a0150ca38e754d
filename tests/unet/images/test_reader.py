from __future__ import annotations

import contextlib
import io
import re
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter

from pipeline.config.profile import load, parse_overrides
from unet.images.formats import count_pages
from unet.images.raster import ImageError
from unet.images.reader import NeedsRange, decode, encode_png, read_image, to_grayscale

NUMBERS = np.random.default_rng(0)
GRAY = NUMBERS.integers(0, 256, (30, 40), np.uint8)
DEEP = NUMBERS.integers(0, 1 << 16, (30, 40), np.uint16)
RGB = NUMBERS.integers(0, 256, (30, 40, 3), np.uint8)
DEEP_RGB = NUMBERS.integers(0, 1 << 16, (30, 40, 3), np.uint16)


def saved(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def png(depth: int, color_type: int, shape: tuple[int, int], rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of any kind; `rows` starts each row with its filter, `extra` is put before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], depth, color_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def deep_rgb_png(pixels: np.ndarray) -> bytes:
    height, width, _ = pixels.shape
    return png(16, 2, (height, width), b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))


def bits_png(depth: int, rows: list[int], extra: bytes = b"", color_type: int = 0) -> bytes:
    """One byte a row: 8 / depth pixels of it."""
    return png(depth, color_type, (len(rows), 8 // depth), b"".join(bytes([0, row]) for row in rows), extra)


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
        (saved(GRAY, "PNG"), (30, 40, 1), 8),
        (saved(RGB, "PNG"), (30, 40, 3), 8),
        (saved(DEEP, "PNG"), (30, 40, 1), 16),
        (deep_rgb_png(DEEP_RGB), (30, 40, 3), 16),
        (saved(GRAY, "JPEG"), (30, 40, 1), 8),
        (saved(RGB, "JPEG"), (30, 40, 3), 8),
        (saved(RGB, "JPEG", progressive=True), (30, 40, 3), 8),
    ],
    ids=["grey png", "rgb png", "16-bit png", "16-bit rgb png", "grey jpeg", "rgb jpeg", "progressive jpeg"],
)
def test_canonical_files_pass_through(data: bytes, shape: tuple[int, int, int], depth: int) -> None:
    image = read_image(data)
    pixels = decode(data).astype(np.float64) / (257 if depth == 16 else 1)
    assert image.data == data
    assert (image.height, image.width, image.channels) == shape == pixels.shape
    assert image.bit_depth == depth
    assert image.mean == pytest.approx(pixels.mean())
    assert image.stddev == pytest.approx(pixels.std())


WITH_ALPHA = np.concatenate([RGB, GRAY[..., None]], axis=-1)
PALETTE = Image.fromarray(GRAY // 64).convert("P")
PALETTE.putpalette([200, 0, 0, 0, 100, 0, 0, 0, 50, 9, 8, 7])
COLORS = np.array([[200, 0, 0], [0, 100, 0], [0, 0, 50], [9, 8, 7]], np.uint8)
BITS = GRAY > 127


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (saved(WITH_ALPHA, "PNG"), RGB),
        (saved(WITH_ALPHA, "TIFF"), RGB),
        (saved(np.stack([GRAY, GRAY // 2], -1), "PNG"), GRAY),
        (saved(PALETTE, "PNG"), COLORS[GRAY // 64]),
        (saved(PALETTE, "PNG", transparency=b"\0\xff"), COLORS[GRAY // 64]),
        (saved(Image.fromarray(GRAY).convert("P"), "PNG"), GRAY),
        (saved(BITS, "PNG"), BITS * np.uint8(255)),
        (saved(BITS, "TIFF", compression="group4"), BITS * np.uint8(255)),
        (bits_png(4, [0x0F, 0x18]), np.array([[0, 255], [17, 136]], np.uint8)),
        (saved(GRAY, "PNG", transparency=3), GRAY),
        (saved(GRAY, "BMP"), GRAY),
        (saved(RGB, "BMP"), RGB),
        (saved(GRAY, "TIFF", compression="tiff_lzw"), GRAY),
        (saved(DEEP, "TIFF"), DEEP),
        (saved(DEEP, "TIFF", compression="tiff_adobe_deflate"), DEEP),
        (rotated("PNG", RGB), np.rot90(RGB, -1)),
        (rotated("TIFF", DEEP), np.rot90(DEEP, -1)),
    ],
)
def test_other_files_are_encoded_once_without_loss(data: bytes, pixels: np.ndarray) -> None:
    image = read_image(data)
    decoded = decode(image.data)
    assert image.data != data
    assert read_image(image.data) == replace(image, turned=False)
    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels.reshape(decoded.shape))


def test_rotated_and_cmyk_jpegs_become_rgb_png() -> None:
    turned = read_image(rotated("JPEG", smooth((30, 40, 3))))
    assert (turned.height, turned.width, turned.data[1:4]) == (40, 30, b"PNG")
    cmyk = Image.fromarray(smooth((30, 40, 3))).convert("CMYK")
    expected = np.asarray(Image.open(io.BytesIO(saved(cmyk, "JPEG"))).convert("RGB"))
    np.testing.assert_array_equal(decode(read_image(saved(cmyk, "JPEG")).data), expected)


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
        (png(8, 0, (20_000, 20_000), bytes(5000)), "promises more pixels than the file can hold"),
        (b"BM" + saved(BIG, "BMP")[2:200], "damaged or truncated"),
    ],
)
def test_unusable_files_are_refused_with_advice(data: bytes, found: str) -> None:
    with pytest.raises(ImageError, match=found) as caught:
        read_image(data)
    assert caught.value.advice


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


INKS = Image.fromarray(RGB).convert("CMYK")
COLOR_MAP = (np.arange(256 * 3).reshape(3, 256) % 251 * 257).astype(np.uint16)


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        *((tiff(DEEP, compression=c), DEEP) for c in (None, "lzw", "zlib", "packbits", "zstd")),
        *((tiff(DEEP_RGB, compression=c, photometric="rgb"), DEEP_RGB) for c in (None, "lzw", "zlib")),
        (tiff(DEEP, compression="lzw", predictor=True), DEEP),
        (tiff(DEEP, byteorder=">"), DEEP),
        (tiff(DEEP, bigtiff=True), DEEP),
        (tiff(GRAY, tile=(16, 16)), GRAY),
        (tiff(RGB, tile=(16, 16), photometric="rgb", compression="zlib"), RGB),
        (tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"), RGB),
        (
            tiff(np.concatenate([DEEP_RGB, DEEP[..., None]], -1), photometric="rgb", extrasamples=[2]),
            DEEP_RGB,
        ),
        (tiff(GRAY, photometric="miniswhite"), 255 - GRAY),
        (tiff(DEEP, photometric="miniswhite"), 65535 - DEEP),
        (tiff(GRAY, photometric="palette", colormap=COLOR_MAP), (COLOR_MAP.T >> 8)[GRAY].astype(np.uint8)),
        (tiff(BITS, photometric="minisblack"), BITS * np.uint8(255)),
        (saved(INKS, "TIFF"), np.asarray(INKS.convert("RGB"))),
        (saved(INKS, "JPEG", quality=100), None),
        (tiff(smooth((64, 64, 3)), photometric="rgb", compression="jpeg"), None),
        (tiff(smooth((64, 64)), compression="jpeg"), None),
        (png(16, 6, (1, 1), bytes([0, 1, 2, 3, 4, 5, 6, 7, 8])), np.array([[[258, 772, 1286]]], np.uint16)),
        (png(16, 4, (1, 1), bytes([0, 1, 2, 3, 4])), np.array([[258]], np.uint16)),
        (saved(np.stack([GRAY] * 3, -1), "TIFF"), GRAY),
    ],
)
def test_tiff_and_others_keep_every_bit(data: bytes, pixels: np.ndarray | None) -> None:
    image = read_image(data)
    decoded = decode(image.data)
    assert decoded.shape == (image.height, image.width, image.channels)
    if pixels is not None:
        assert decoded.dtype == pixels.dtype
        np.testing.assert_array_equal(decoded, pixels.reshape(decoded.shape))


def test_equal_channels_count_as_gray_and_pass_through() -> None:
    data = saved(np.stack([GRAY] * 3, -1), "PNG")
    image = read_image(data)
    assert image.data == data
    assert image.channels == 1
    assert image.mean == pytest.approx(GRAY.mean())


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.0, 1.0), (-1.234567891, 1.234567891), (0.0, 4294967295.0), (1e-9, 1.0000001e-9), (3.0, 3.0),
        (-32768.0, 32767.0), (float(np.float32(0.1)), float(np.float32(6.1463413))),
    ],
)  # fmt: skip
def test_the_proposed_range_holds_the_values(low: float, high: float) -> None:
    pixels = np.array([[low, high]] * 2, np.float64)
    with pytest.raises(NeedsRange) as caught:
        read_image(tiff(pixels))
    [proposed] = re.findall(r"value_range=(\[.*\])'", caught.value.advice)
    black, white = load(overrides=parse_overrides([f"value_range={proposed}"])).value_range or (0, 0)
    assert read_image(tiff(pixels), value_range=(black, white)).bit_depth == 16
    assert len(proposed) < 30


@pytest.mark.parametrize(
    "pixels",
    [
        np.linspace(-3, 5, 600, dtype=np.float32).reshape(20, 30),
        np.linspace(0, 1, 1800, dtype=np.float64).reshape(20, 30, 3),
        np.linspace(-300, 300, 600).astype(np.int16).reshape(20, 30),
        np.linspace(0, 2**31, 600).astype(np.uint32).reshape(20, 30),
    ],
)
def test_other_values_need_a_range(pixels: np.ndarray) -> None:
    data = tiff(pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    with pytest.raises(NeedsRange, match="values from") as caught:
        read_image(data)
    low, high = caught.value.low, caught.value.high
    assert (low, high) == (pixels.min(), pixels.max())
    image = read_image(data, value_range=(low, high))
    decoded = decode(image.data)
    assert decoded.dtype == np.uint16
    expected = (pixels.astype(np.float64) - low) / (high - low) * 65535
    assert abs(decoded.reshape(pixels.shape) - expected).max() <= 0.5 + 1e-6
    with pytest.raises(ImageError, match="outside value_range"):
        read_image(data, value_range=(low, high - 1e-3 * (high - low)))


@pytest.mark.parametrize(("value", "found"), [(np.nan, "1 pixels of NaN"), (np.inf, "1 pixels of inf")])
def test_what_is_no_number_is_refused(value: float, found: str) -> None:
    pixels = np.zeros((5, 5), np.float32)
    pixels[2, 3] = value
    for value_range in (None, (0.0, 1.0)):
        with pytest.raises(ImageError, match=found):
            read_image(tiff(pixels), value_range=value_range)


def test_pages_of_a_stack(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 1 << 16, (7, 20, 30), np.uint16)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib")
    assert count_pages(path) == count_pages(path.read_bytes()) == 7
    for source in (path, path.read_bytes()):
        for page in (0, 3, 6):
            decoded = decode(read_image(source, page=page).data)
            np.testing.assert_array_equal(decoded[..., 0], stack[page])
    with pytest.raises(ImageError, match="page 7 of 7"):
        read_image(path, page=7)
    assert count_pages(saved(GRAY, "PNG")) == 1


def test_pages_of_different_kinds_and_thumbnails(tmp_path: Path) -> None:
    path = tmp_path / "mixed.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GRAY, metadata=None)
        writer.write(GRAY[::2, ::2], subfiletype=1, metadata=None)
        writer.write(DEEP_RGB, photometric="rgb", metadata=None)
    assert count_pages(path) == 2
    np.testing.assert_array_equal(decode(read_image(path, page=1).data), DEEP_RGB)


def test_tiff_that_lies_about_its_size() -> None:
    data = bytearray(tiff(np.zeros((64, 64), np.uint8), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offsets = {tag.code: tag.valueoffset for tag in file.pages[0].tags}
    for tag in (256, 257, 278):
        data[offsets[tag] : offsets[tag] + 4] = struct.pack("<I", 20_000)
    with pytest.raises(ImageError, match="damaged"):
        read_image(bytes(data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_large_files_are_refused(kind: str) -> None:
    data = saved(BIG, kind)
    with pytest.raises(ImageError, match="64 x 64 pixels, more than max_pixels = 4095"):
        read_image(data, max_pixels=4095)
    assert read_image(data, max_pixels=4096).height == 64


def test_size_is_checked_before_pixels_are_decoded() -> None:
    with pytest.raises(ImageError, match="1000000 x 1000000 pixels"):
        read_image(png(8, 0, (1_000_000, 1_000_000), b""))


def test_large_images_raise_no_warning() -> None:
    side = 9_500  # Pillow would warn from 89 million pixels on
    data = png(1, 0, (side, side), bytes((side + 7) // 8 * side + side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(data).height == side


def test_odd_metadata_raises_no_warning_in_many_threads() -> None:
    broken_exif = (
        b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\x0e\x01\x02\0\xff\0\0\0\xff\0\0\0"
    )
    data = saved(BIG, "JPEG", exif=broken_exif)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read_image, [data] * 64))
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
            read_image(bytes(noise), max_pixels=10**6)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(path)


@pytest.mark.parametrize("pixels", [GRAY, GRAY[..., None], RGB, DEEP, DEEP[..., None], DEEP_RGB])
def test_encode_png_is_lossless(pixels: np.ndarray) -> None:
    decoded = decode(encode_png(pixels))
    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels.reshape(decoded.shape))


@pytest.mark.parametrize("pixels", [GRAY.astype(np.float32), RGB[..., :2], RGB[None]])
def test_encode_png_refuses_what_png_cannot_hold(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot encode"):
        encode_png(pixels)


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
    np.testing.assert_array_equal(decode(data), expected)


@pytest.mark.parametrize("pixels", [GRAY, RGB, DEEP, DEEP_RGB])
def test_png_equals_tensorflow(tf: Any, pixels: np.ndarray) -> None:
    data = deep_rgb_png(pixels) if pixels is DEEP_RGB else encode_png(pixels)
    expected = tf.io.decode_png(data, dtype=pixels.dtype)
    np.testing.assert_array_equal(decode(data), expected)


def test_gray_of_all_rounding_cases_equals_tensorflow(tf: Any) -> None:
    levels = np.arange(0, 256, 3, np.uint8)
    rgb = np.stack(np.meshgrid(levels, levels, levels), -1)
    weighted = tf.reduce_sum(tf.cast(rgb, tf.int32) * [299, 587, 114], -1)
    np.testing.assert_array_equal(to_grayscale(rgb), (weighted + 500) // 1000)
    same = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, -1)
    np.testing.assert_array_equal(to_grayscale(same), same[:, 0])
