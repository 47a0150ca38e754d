"""How a file is opened, turned and refused; what the formats hold is tested with `unet.images.reader`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from unet.images.raster import ImageError, damaged, opened, require_room, require_size, upright


def test_a_refusal_is_one_sentence_of_what_was_found_and_what_to_do() -> None:
    error = damaged("the end is missing")
    assert str(error) == "a damaged or truncated file (the end is missing); copy or export it again"
    assert (error.found, error.advice) == tuple(str(error).split("; "))


def test_content_and_files_are_opened_alike(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    for source in (b"content", tmp_path / "a", str(tmp_path / "a")):
        with opened(source) as file:
            assert file.read() == b"content"


def test_a_link_that_leads_nowhere_is_told_from_one_that_does(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    with (
        pytest.raises(ImageError, match="a link to a file that does not exist; restore that file"),
        opened(link),
    ):
        pass
    (tmp_path / "file").write_bytes(b"x")
    with opened(link) as file:
        assert file.read() == b"x"


@pytest.mark.parametrize(("name", "found"), [("none", "No such file or directory"), ("", "Is a directory")])
def test_what_cannot_be_opened(tmp_path: Path, name: str, found: str) -> None:
    with pytest.raises(ImageError) as caught, opened(tmp_path / name):
        pass
    assert caught.value.found == f"cannot be read ({found})"
    assert caught.value.advice == "check the path and its permissions"


def test_an_image_may_have_as_many_pixels_as_allowed() -> None:
    require_size(5, 20, 100)
    with pytest.raises(ImageError) as caught:
        require_size(5, 20, 99)
    assert caught.value.found == "5 x 20 pixels, more than max_pixels = 99"
    assert "raise max_pixels with --set" in caught.value.advice


def test_a_header_may_promise_what_the_file_can_hold() -> None:
    require_room(100, 100.0)
    with pytest.raises(ImageError, match="the header promises more pixels than the file can hold"):
        require_room(101, 100.5)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 3)])
@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9, None])
def test_orientations_are_those_of_exif(orientation: int | None, shape: tuple[int, ...]) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = Image.fromarray(pixels)
    if orientation is not None:
        image.getexif()[274] = orientation
    found = upright(pixels, orientation)
    np.testing.assert_array_equal(found, np.asarray(ImageOps.exif_transpose(image)))
    assert found.flags.c_contiguous
