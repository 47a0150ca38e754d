from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter

from data.synthetic import write_cells
from unet.dataset.cache import InspectionCache
from unet.dataset.inspection import Inspection, inspect
from unet.dataset.layouts import find_samples
from unet.masks.labels import LabelMap

LABEL_MAP = LabelMap({"background": 0, "foreground": 255})


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def look(
    folder: Path,
    cache: Path,
    label_map: LabelMap = LABEL_MAP,
    max_pixels: int = 10**6,
    use_channels: Any = None,
) -> Inspection:
    samples, problems = find_samples(folder)
    assert problems == []
    with InspectionCache(cache) as checked:
        return inspect(samples, label_map, max_pixels=max_pixels, use_channels=use_channels, checked=checked)


def test_facts_of_a_sample(tmp_path: Path, cache: Path) -> None:
    write_cells(tmp_path, 2, (40, 60), bit_depth=16)
    facts = look(tmp_path, cache).facts[0]
    path = tmp_path / "images/cell_000.png"
    pixels = np.asarray(Image.open(path), np.float64)
    assert (facts.height, facts.width, facts.channels, facts.bit_depth) == (40, 60, 1, 16)
    assert facts.mean == pytest.approx(pixels.mean() / 257)
    assert facts.stored == path.stat().st_size
    assert sum(facts.class_pixels.values()) == 40 * 60
    foreground = (np.asarray(Image.open(tmp_path / "masks/cell_000.png")) > 0).sum()
    assert facts.class_pixels["foreground"] == foreground


def test_chosen_channels_are_read_anew_and_not_from_the_cache(tmp_path: Path, cache: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    both = np.stack([np.full((20, 30), 10, np.uint8), np.full((20, 30), 200, np.uint8)])
    tifffile.imwrite(tmp_path / "images/a.tif", both, photometric="minisblack", metadata={"axes": "CYX"})
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "masks/a.png")
    [[problem]] = look(tmp_path, cache).problems.values()
    assert problem.found == "a TIFF of 2 channels"
    found = [look(tmp_path, cache, use_channels=use).facts[0] for use in ([1], [2], "all")]
    assert [(facts.channels, facts.mean) for facts in found] == [(1, 10), (1, 200), (2, 105)]


def test_all_bad_files_are_found_in_order_and_at_once(tmp_path: Path, cache: Path) -> None:
    write_cells(tmp_path, 6, (40, 60))
    image, mask = (
        (lambda i: tmp_path / f"images/cell_{i:03d}.png"),
        (lambda i: tmp_path / f"masks/cell_{i:03d}.png"),
    )
    image(0).write_bytes(b"")
    mask(0).write_bytes(mask(0).read_bytes()[:50])
    for i, size in ((3, (40, 60)), (4, (60, 41))):
        Image.new("L", size).save(mask(i))
    inspection = look(tmp_path, cache)
    assert [facts.name for facts in inspection.facts] == ["cell_001", "cell_002", "cell_005"]
    found = [[(p.path, p.found) for p in problems] for problems in inspection.problems.values()]
    assert found == [
        [
            (str(image(0)), "an empty file (0 bytes)"),
            (str(mask(0)), "a damaged or truncated file (the end is missing)"),
        ],
        [(str(mask(3)), "transposed: mask of 40 x 60 for an image of 60 x 40 pixels")],
        [(str(mask(4)), "mask of 60 x 41 for an image of 60 x 40 pixels")],
    ]


def test_images_that_their_orientation_turns_are_told(tmp_path: Path, cache: Path) -> None:
    write_cells(tmp_path, 6, (40, 60))
    for i, orientation in enumerate((1, 3, 6, 9)):  # upright, turned by 180 and 90 degrees, of no meaning
        exif = Image.Exif()
        exif[274] = orientation
        with Image.open(tmp_path / f"images/cell_{i:03d}.png") as image:
            image.save(tmp_path / f"images/cell_{i:03d}.jpg", exif=exif)
        (tmp_path / f"images/cell_{i:03d}.png").unlink()
    stored = np.zeros((40, 60), np.uint8)
    (tmp_path / "images/cell_004.png").unlink()
    tags = [(274, "H", 1, 4, True)]
    tifffile.imwrite(tmp_path / "images/cell_004.tif", stored, photometric="minisblack", extratags=tags)
    inspection = look(tmp_path, cache)
    assert [(facts.name, facts.turned) for facts in inspection.facts] == [
        *((f"cell_{i:03d}", i in (1, 4)) for i in (0, 1, 3, 4, 5))
    ]
    [[problem]] = inspection.problems.values()
    assert problem.found == (
        "transposed: mask of 60 x 40 for an image of 40 x 60 pixels, which its orientation (EXIF) turned"
    )
    assert problem.advice == (
        "turn the mask by 90 degrees, or remove the orientation if the mask fits the image as it is stored"
    )


def test_one_proposal_for_the_values_of_all_masks(tmp_path: Path, cache: Path) -> None:
    write_cells(tmp_path, 4, (40, 60), classes=3)
    Image.new("L", (60, 40), 3).save(tmp_path / "masks/cell_000.png")
    problems = look(tmp_path, cache).problems
    advice = {problem.advice for several in problems.values() for problem in several}
    assert len(problems) == 4
    assert len(advice) == 1
    assert all(f"={value}" in next(iter(advice)) for value in range(4))


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_blurred_mask_among_sharp_ones_has_its_own_advice(kind: str, tmp_path: Path, cache: Path) -> None:
    write_cells(tmp_path, 4, (128, 128))
    path = tmp_path / "masks/cell_001.png"
    with Image.open(path) as mask:
        blurred = mask.filter(ImageFilter.GaussianBlur(1))
    path.unlink()
    blurred.save(path.with_suffix(f".{kind}"))
    [[problem]] = look(tmp_path, cache).problems.values()
    assert "mask_values=nearest" in problem.advice
    assert "classes=" not in problem.advice


def test_a_file_that_was_checked_is_not_decoded_again(tmp_path: Path, cache: Path) -> None:
    write_cells(tmp_path, 3, (40, 60))
    before = look(tmp_path, cache)
    [path] = cache.iterdir()
    with sqlite3.connect(path) as database:  # a mark that decoding would not leave
        rows = database.execute("SELECT key, value FROM checked WHERE key LIKE 'image%'").fetchall()
        for key, value in rows:
            marked = json.dumps({**json.loads(value), "mean": 77.0})
            database.execute("UPDATE checked SET value = ? WHERE key = ?", (marked, key))
    database.close()
    (tmp_path / "images/cell_000.png").touch()
    after = look(tmp_path, cache)
    assert len(rows) == 3
    assert [facts.mean for facts in after.facts] == [77.0] * 3
    assert [f.class_pixels for f in after.facts] == [f.class_pixels for f in before.facts]
    # Classes are counted from what is known of the mask; a smaller limit is still one.
    other = look(tmp_path, cache, LabelMap({"foreground": 255, "background": 0}))
    assert list(other.facts[0].class_pixels) == ["foreground", "background"]
    assert len(look(tmp_path, cache, max_pixels=100).problems) == 3


def test_pages_of_a_stack_are_told_apart(tmp_path: Path, cache: Path) -> None:
    pages = np.arange(4 * 40 * 60).reshape(4, 40, 60).astype(np.uint16)
    tifffile.imwrite(tmp_path / "cells.tif", pages, photometric="minisblack")
    masks = (pages % 2 * 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "cells_mask.tif", masks, photometric="minisblack")
    for _ in range(2):  # decoded, then remembered
        facts = look(tmp_path, cache).facts
        assert [f.mean for f in facts] == pytest.approx((pages.mean((1, 2)) / 257).tolist())
        assert len({f.content for f in facts}) == 4


@pytest.mark.parametrize("where", ["{split}/masks", "masks/{split}"])
def test_a_class_map_beside_folders_of_splits_is_found(tmp_path: Path, cache: Path, where: str) -> None:
    for split in ("train", "val", "test"):
        for part, top in (("images", 200), ("masks", 2)):
            folder = tmp_path / where.format(split=split).replace("masks", part)
            folder.mkdir(parents=True)
            Image.fromarray(
                np.arange(900, dtype=np.uint16).reshape(30, 30).astype(np.uint8) % (top + 1)
            ).save(folder / f"{split}.png")
    (tmp_path / "classes.txt").write_text("field\nwater\nroad\n")
    problems = [problem for found in look(tmp_path, cache).problems.values() for problem in found]
    assert {problem.advice for problem in problems} == {
        "take the classes of classes.txt: --set 'classes={field=0, water=1, road=2}'"
    }
