"""TIFFs read from disk as they are used, and written tile by tile."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unet.images.raster import ImageError
from unet.images.reader import decode, read_image
from unet.inference import large_tiff
from unet.inference.large_tiff import open_page, page_sizes, write_tiff


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


PLAIN: list[tuple[np.ndarray, dict[str, Any]]] = [
    (noise(70, 50), {}),
    (noise(70, 50, dtype=np.uint16), {}),
    (noise(70, 50, 3), {"photometric": "rgb"}),
    (noise(70, 50, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    (noise(70, 50, 2), {"planarconfig": "contig", "extrasamples": ["unassalpha"]}),
    (noise(70, 50, dtype=np.uint16), {"compression": "zlib", "rowsperstrip": 16}),
    (noise(70, 50, 3), {"photometric": "rgb", "compression": "lzw", "tile": (32, 16)}),
    (noise(70, 50, 3), {"photometric": "rgb", "compression": "jpeg", "tile": (32, 32)}),
]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(("pixels", "how"), PLAIN)
def test_plain_pages_are_what_the_reader_of_small_images_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray, how: dict[str, Any], byteorder: Any
) -> None:
    monkeypatch.setattr("unet.inference.scratch.IN_MEMORY", 0)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, byteorder=byteorder) as file:
        file.write(noise(9, 8))
        file.write(pixels, **how)
    page = 1
    assert page_sizes(path)[page] == (70, 50)
    found = open_page(path, page, tmp_path)
    assert isinstance(found, np.memmap)
    expected = decode(read_image(path, page=page).data)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("pixels", "how"),
    [
        (noise(70, 50), {"photometric": "miniswhite"}),
        (noise(70, 50).astype(np.float32), {}),
        (noise(3, 70, 50), {"photometric": "rgb", "planarconfig": "separate"}),
        (noise(70, 50), {"extratags": [(274, "H", 1, 6, True)]}),
        (noise(70, 50) > 99, {}),
        (noise(70, 50, 2), {"photometric": "minisblack", "planarconfig": "contig"}),
    ],
)
def test_other_pages_are_left_to_the_reader_of_small_images(
    tmp_path: Path, pixels: np.ndarray, how: dict[str, Any]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, **how)
    assert open_page(tmp_path / "a.tif", 0) is None


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_truncated_file_is_damaged(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(200, 200), compression=compression, rowsperstrip=8)
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        last = page.dataoffsets[-1] + page.databytecounts[-1]
    data = path.read_bytes()
    assert last == len(data)  # the directory comes first
    path.write_bytes(data[:-100])
    with pytest.raises(ImageError, match="damaged or truncated"):
        open_page(path, 0)
    path.write_bytes(data[:4])
    with pytest.raises(ImageError, match="damaged or truncated"):
        page_sizes(path)
    if compression:  # the middle of a strip
        path.write_bytes(data[:-5000] + bytes(5000))
        with pytest.raises(ImageError, match="damaged or truncated"):
            open_page(path, 0)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(70, 50), compression="zlib")
    monkeypatch.setattr("unet.inference.scratch.IN_MEMORY", 0)
    with pytest.raises(ImageError, match=r"GB in .*nowhere for a while"):
        open_page(tmp_path / "a.tif", 0, tmp_path / "nowhere")


@pytest.mark.parametrize(
    "values", [None, np.array([0, 7, 255], np.uint8), np.array([[0, 0, 0], [1, 2, 3], [9, 8, 7]], np.uint8)]
)
def test_what_is_written_is_read_again(tmp_path: Path, values: np.ndarray | None) -> None:
    plane = np.random.default_rng(1).integers(0, 3, (700, 1100)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", plane, values)
    expected = plane if values is None else values[plane]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), expected)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert not file.is_bigtiff
        assert file.pages[0].is_tiled


def test_bigtiff_where_the_size_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_tiff, "_BIG_TIFF", 1000)
    write_tiff(tmp_path / "a.tif", noise(60, 70, dtype=np.uint16))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
        np.testing.assert_array_equal(file.asarray(), noise(60, 70, dtype=np.uint16))


@pytest.mark.parametrize("how", [{"imagej": True}, {"photometric": "minisblack"}])
def test_each_page_of_a_stack_is_itself(tmp_path: Path, how: dict[str, Any]) -> None:
    stack = noise(3, 30, 20)
    tifffile.imwrite(tmp_path / "a.tif", stack, **how)
    for page in range(3):
        found = open_page(tmp_path / "a.tif", page)
        assert found is not None
        np.testing.assert_array_equal(found[..., 0], stack[page])
