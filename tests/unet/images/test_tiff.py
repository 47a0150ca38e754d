from __future__ import annotations

import io
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter

from unet.images.formats import count_pages, pages_per_image
from unet.images.raster import ImageError
from unet.images.reader import decode, read_image

PAGES = np.random.default_rng(0).integers(0, 256, (6, 30, 40), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)


def written(pixels: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


def chained(pages: np.ndarray, thumbnails: bool = False, **options: Any) -> bytes:
    """A stack whose pages are each written with their own data."""
    out = io.BytesIO()
    with tifffile.TiffWriter(out, **options) as writer:
        for page in pages:
            writer.write(page, photometric="minisblack", compression="zlib", metadata=None)
            if thumbnails:
                writer.write(page[::4, ::4].copy(), photometric="minisblack", subfiletype=1, metadata=None)
    return out.getvalue()


def offsets(data: bytes) -> list[int]:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return [page.offset for page in file.pages]


def decoded(source: bytes | Path, page: int = 0) -> np.ndarray:
    return decode(read_image(source, page=page).data)[..., 0]


@pytest.mark.parametrize(
    "data",
    [
        *(chained(PAGES, bigtiff=big, byteorder=order) for big in (False, True) for order in "<>"),
        *(chained(PAGES, thumbnails=True, byteorder=order) for order in "<>"),
        written(PAGES, photometric="minisblack"),
        written(PAGES, photometric="minisblack", ome=True, metadata={"axes": "ZYX"}),
        written(PAGES, imagej=True, metadata={"axes": "ZYX"}),
        # One page for all images: so ImageJ keeps stacks of more than 4 GB.
        written(PAGES, imagej=True, truncate=True, metadata={"axes": "ZYX"}),
        written(PAGES, photometric="minisblack", truncate=True),
    ],
)
def test_every_page_of_a_stack(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "stack.tif").write_bytes(data)
    for source in (data, tmp_path / "stack.tif"):
        assert count_pages(source) == 6
        for number, page in enumerate(PAGES):
            np.testing.assert_array_equal(decoded(source, number), page)


def test_sixteen_bits_in_one_page_for_all_images() -> None:
    deep = PAGES.astype(np.uint16) * 257
    np.testing.assert_array_equal(
        decoded(written(deep, imagej=True, metadata={"axes": "ZYX"}, truncate=True), 5), deep[5]
    )


@pytest.mark.parametrize("compression", [None, "group4"])
def test_pages_of_scanners(compression: str | None, tmp_path: Path) -> None:
    pages = [Image.fromarray(page > 127) for page in PAGES]
    pages[0].save(tmp_path / "fax.tif", save_all=True, append_images=pages[1:], compression=compression)
    for number, page in enumerate(PAGES):
        np.testing.assert_array_equal(decoded(tmp_path / "fax.tif", number), (page > 127) * 255)


def test_a_page_costs_the_same_in_a_long_stack(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        path = tmp_path / f"{count}.tif"
        tifffile.imwrite(path, np.zeros((count, 16, 16), np.uint8), photometric="minisblack")
        count_pages(path)
        start = time.process_time()
        for page in range(count - 20, count):
            read_image(path, page=page)
        return time.process_time() - start

    assert seconds(1000) < 5 * seconds(25)  # 40 times where each page reads all before it


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    for pages in (PAGES, PAGES[:2]):
        path.write_bytes(chained(pages))
        assert count_pages(path) == len(pages)


def in_a_circle() -> bytes:
    data = bytearray(chained(PAGES))
    second, first = offsets(bytes(data))[1::-1]
    (tags,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * tags, first)
    return bytes(data)


WHOLE, ONE = chained(PAGES), written(PAGES, imagej=True, truncate=True)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        *((WHOLE[: offsets(WHOLE)[4] + more], "page 4 lies beyond its end|page 4") for more in (0, 1, 9)),
        (in_a_circle(), "its pages form a circle"),
        (ONE[:-2000], r"\d of 6 images"),
    ],
)
def test_a_stack_that_breaks_off_is_not_a_shorter_one(data: bytes, found: str) -> None:
    with pytest.raises(ImageError, match=f"damaged or truncated file .({found})"):
        count_pages(data)
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_image(data)


def test_a_page_taken_out_of_a_stack_is_an_image() -> None:
    taken = written(PAGES[0], description="ImageJ=1.54\nimages=6\nslices=6\n", metadata=None)
    assert count_pages(taken) == 1
    np.testing.assert_array_equal(decoded(taken), PAGES[0])


TWO = np.stack([PAGES[0], PAGES[1]], -1)
COLORS = np.random.default_rng(2).integers(0, 256, (3, 256), np.uint16)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (written(RGB, photometric="ycbcr"), "YCBCR colours"),
        (written(TWO, photometric="minisblack", planarconfig="contig"), "2 channels"),
        (written(TWO, photometric="minisblack", planarconfig="contig", extrasamples=[0]), "2 channels"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(ImageError, match=found) as caught:
        read_image(data)
    assert caught.value.advice.startswith(("save it as", "keep one channel"))


FIELD = PAGES[:4]  # four channels of one field, and the same as two channels of two fields or slices
WITH_AXES: dict[str, dict[str, Any]] = {
    "ome": {"ome": True, "photometric": "minisblack"},
    "imagej": {"imagej": True},
    "imagej of one page": {"imagej": True, "truncate": True},
    "tifffile": {"photometric": "minisblack"},
}


@pytest.mark.parametrize("kind", WITH_AXES)
@pytest.mark.parametrize(
    ("axes", "shape", "images"),
    [
        ("CYX", (4,), [(0, 1, 2, 3)]),
        ("ZCYX", (2, 2), [(0, 1), (2, 3)]),
        ("CZYX", (2, 2), [(0, 2), (1, 3)]),
        ("ZYX", (4,), [(0,), (1,), (2,), (3,)]),
    ],
)
def test_channels_are_no_pages(kind: str, axes: str, shape: tuple[int, ...], images: list[Any]) -> None:
    if kind.startswith("imagej") and axes == "CZYX":
        pytest.skip("ImageJ has one order of axes")
    data = written(FIELD.reshape(*shape, 30, 40), metadata={"axes": axes}, **WITH_AXES[kind])
    assert (count_pages(data), pages_per_image(data)) == (len(images), len(images[0]))
    for page, planes in enumerate(images):
        image = read_image(data, page=page, use_channels="all")
        expected = np.stack([FIELD[plane] for plane in planes], -1)
        np.testing.assert_array_equal(decode(image.data, image.channels), expected)
        if len(planes) > 1:
            with pytest.raises(ImageError, match=f"^a TIFF of {len(planes)} channels; keep one "):
                read_image(data, page=page)
            chosen = read_image(data, page=page, use_channels=[2])
            np.testing.assert_array_equal(decode(chosen.data), expected[..., 1:2])


def test_a_channel_axis_that_does_not_fit_the_pages_is_none() -> None:
    described = '{"shape": [3, 30, 40], "axes": "CYX"}'
    data = written(FIELD, photometric="minisblack", metadata=None, description=described)
    assert count_pages(data) == 4


BANDS = np.moveaxis(FIELD, 0, -1)


@pytest.mark.parametrize(
    ("pixels", "options", "kept"),
    [
        (BANDS, {"photometric": "rgb", "extrasamples": [0]}, 4),
        (BANDS, {"photometric": "rgb", "extrasamples": [1]}, 3),
        (BANDS, {"photometric": "rgb", "extrasamples": [2]}, 3),
        (np.moveaxis(PAGES[:5], 0, -1), {"photometric": "rgb", "extrasamples": [0, 2]}, 4),
        (BANDS, {"photometric": "minisblack"}, 4),
        (FIELD, {"photometric": "minisblack", "planarconfig": "separate"}, 4),
        (FIELD, {"photometric": "rgb", "planarconfig": "separate", "extrasamples": [0]}, 4),
    ],
)
def test_only_what_is_marked_as_alpha_is_dropped(pixels: np.ndarray, options: dict, kept: int) -> None:
    data = written(pixels, **{"planarconfig": "contig"} | options)
    image = read_image(data, use_channels="all")
    np.testing.assert_array_equal(decode(image.data, image.channels), BANDS[..., :kept])
    if kept == 3:
        np.testing.assert_array_equal(decode(read_image(data).data), BANDS[..., :3])
    else:
        with pytest.raises(ImageError, match=f"a TIFF of {kept} channels"):
            read_image(data)


def test_many_channels_count_against_the_limit_of_pixels() -> None:
    data = written(FIELD, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(ImageError, match=r"40 x 30 pixels of 4 channels, more than max_pixels = 2399"):
        read_image(data, use_channels="all", max_pixels=2 * 1200 - 1)
    assert read_image(data, use_channels="all", max_pixels=2 * 1200).channels == 4


@pytest.mark.parametrize("alpha", [1, 2])
def test_alpha_beside_gray_is_dropped(alpha: int) -> None:
    data = written(TWO, photometric="minisblack", planarconfig="contig", extrasamples=[alpha])
    np.testing.assert_array_equal(decoded(data), PAGES[0])


@pytest.mark.parametrize("factor", [1, 256, 257])
def test_color_maps_of_8_and_of_16_bits(factor: int) -> None:
    data = written(PAGES[0], photometric="palette", colormap=COLORS * np.uint16(factor))
    pixels = decode(read_image(data).data)
    np.testing.assert_array_equal(pixels, COLORS.T[PAGES[0]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pixels", [PAGES[0], RGB.astype(np.uint16) * 257])
def test_orientation_of_tiff(orientation: int, pixels: np.ndarray) -> None:
    data = written(pixels, extratags=[(0x0112, 3, 1, orientation, True)])
    turned = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1), 7: pixels[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(pixels),
    }[orientation]  # fmt: skip
    decoded = decode(read_image(data).data)
    np.testing.assert_array_equal(decoded, turned.reshape(decoded.shape))


def test_jpeg_in_tiff_is_near_the_pixels() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    pixels = np.asarray(noise.filter(ImageFilter.GaussianBlur(2)))
    decoded = decode(read_image(written(pixels, photometric="rgb", compression="jpeg")).data)
    assert abs(decoded.astype(int) - pixels).mean() < 8


def test_planes_that_an_ome_description_promises_take_no_memory() -> None:
    first = written(PAGES[:2], photometric="minisblack", ome=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(io.BytesIO(first)) as file:
        description = str(file.ome_metadata)
    promised = description.replace('SizeZ="2"', 'SizeZ="3000"').replace('SizeT="1"', 'SizeT="3000"')
    assert promised.count('"3000"') == 2
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for text, page in ((promised, PAGES[0]), ("", PAGES[1])):
            writer.write(page, photometric="minisblack", description=text, metadata=None)
    tracemalloc.start()
    try:
        assert count_pages(out.getvalue()) == 2
        assert tracemalloc.get_traced_memory()[1] < 8 << 20  # 9 million planes take nine times as much
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("codec", "side"),
    [
        *(("zlib", 500), ("lzw", 500), ("zstd", 500), ("jpegxl", 512)),
        *(("jpeg2000", 2000), ("lerc", 1500), ("lzma", 3000)),
    ],
)
def test_a_page_of_one_color_may_be_a_few_bytes(codec: str, side: int) -> None:
    blank = np.zeros((side, side), np.uint8)
    data = written(blank, photometric="minisblack", compression=codec, rowsperstrip=side)
    np.testing.assert_array_equal(decoded(data), blank)


def test_a_white_page_of_a_fax_has_a_bit_for_each_row() -> None:
    out = io.BytesIO()
    Image.new("1", (9920, 2000), 1).save(out, "TIFF", compression="group4", tiffinfo={278: 2000})
    assert decoded(out.getvalue()).min() == 255


@pytest.mark.parametrize("depths", [(5, 6, 5), (8, 8, 16)])
def test_channels_of_different_depths_are_refused_without_work(depths: tuple[int, ...]) -> None:
    data = bytearray(written(RGB, photometric="rgb"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        struct.pack_into("<3H", data, file.pages.first.tags[258].valueoffset, *depths)
    with pytest.raises(ImageError, match="channels of different depths"):
        read_image(bytes(data))
