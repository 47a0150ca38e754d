"""A whole folder is read, and everything that would stop a run is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from data.synthetic import write_cells
from pipeline.check.check import check
from pipeline.config.profile import load
from pipeline.root import Root
from tests.pipeline.check.checking import found, printed, run
from unet.dataset import split_memory
from unet.dataset.plan import make_plan
from unet.errors import BadInput


def test_good_data(tmp_path: Path) -> None:
    write_cells(tmp_path, 10, (40, 60))
    report = run(tmp_path)
    assert report.ok
    assert report.summary.sizes == {"60 x 40": 10}
    assert (report.summary.bit_depths, report.summary.channels) == ({8: 10}, {1: 10})
    assert report.summary.splits == {"train": 6, "eval": 2, "test": 2}
    assert not report.proposals  # looking for them takes longer than the check, and nobody asked
    assert sum(report.summary.class_shares.values()) == pytest.approx(1)
    text = printed(report)
    assert "10 usable images, 0 problems" in text
    assert "train 6, eval 2, test 2" in text
    assert "What to do" not in text


@pytest.mark.parametrize(
    ("where", "refused"),
    [
        ("images", True),
        ("masks/runs", True),
        ("link/runs", True),
        ("new", True),
        ("runs", False),
        ("", False),
    ],
)
def test_a_root_among_the_images_is_refused_before_it_is_made(
    tmp_path: Path, where: str, refused: bool
) -> None:
    write_cells(tmp_path, 10)
    (tmp_path / "link").symlink_to("images")
    (tmp_path / "new").mkdir()
    Image.new("L", (96, 96)).save(tmp_path / "new" / "a.png")
    config = load(overrides={"data": tmp_path, "serving_data": tmp_path / "new"})
    report = check(config, Root.at(tmp_path / where))
    assert [p.found for p in report.problems] == ["the root lies in a folder of images"] * refused


def test_every_problem_is_in_one_table(tmp_path: Path) -> None:
    write_cells(tmp_path, 10)
    images, masks = tmp_path / "images", tmp_path / "masks"
    (masks / "cell_000.png").unlink()
    (images / "cell_001.png").write_bytes(b"")
    (images / "cell_002.png").write_bytes((images / "cell_002.png").read_bytes()[:200])
    (images / "cell_003.png").write_text("not an image")
    Image.new("L", (5, 6)).save(masks / "cell_004.png")
    Image.fromarray(np.full((96, 96), 3, np.uint8)).save(masks / "cell_005.png")
    report = run(tmp_path)
    assert not report.ok
    assert found(report) == {
        "images/cell_000.png": "image without mask",
        "images/cell_001.png": "an empty file (0 bytes)",
        "images/cell_002.png": "a damaged or truncated file (the end is missing)",
        "images/cell_003.png": "not a PNG, JPEG, TIFF or BMP file (it starts with b'not an i')",
        "masks/cell_004.png": "mask of 5 x 6 for an image of 96 x 96 pixels",
        "masks/cell_005.png": "pixel values of no class (background=0, foreground=255): 3 (9216 pixels)",
    }
    text = printed(report)
    assert all(path in text for path in found(report))
    assert text.count("What to do") == 1
    assert "4 usable images, 6 problems" in text


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    assert found(run(tmp_path / "none")) == {str(tmp_path / "none"): "no such folder"}
    assert found(run(tmp_path)) == {str(tmp_path): "no images"}
    assert "0 usable images, 1 problem" in printed(run(tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slices_per_group": 5}, "the eval and test split would be empty"),
        ({"fold": 7}, "fold = 7"),
        ({"max_pixels": 100}, "96 x 96 pixels, more than max_pixels = 100"),
        (
            {"classes": {"background": 0, "foreground": 255, "rare": 7}},
            "class 'rare' occurs in no mask of the train and eval and test split",
        ),
    ],
)
def test_what_would_stop_the_run_later(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    write_cells(tmp_path, 5)
    report = run(tmp_path, **settings)
    assert any(message in problem.found for problem in report.problems)
    assert all(problem.advice for problem in report.problems)


def test_copies_in_two_splits_are_left_out_and_named(tmp_path: Path) -> None:
    write_cells(tmp_path, 5)
    for part in ("images", "masks"):
        (tmp_path / part / "cell_004.png").write_bytes((tmp_path / part / "cell_003.png").read_bytes())
    rows = [
        f"images/cell_00{i}.png,masks/cell_00{i}.png,{s}"
        for i, s in enumerate(["train", "train", "eval", "test"])
    ]
    for split, copies in (("test", 0), ("train", 1)):
        lines = ["image,mask,split", *rows, f"images/cell_004.png,masks/cell_004.png,{split}"]
        (tmp_path / "manifest.csv").write_text("\n".join(lines))
        report = run(tmp_path)
        assert report.ok
        assert len(report.copies) == copies
    assert "Left out: cell_00" in printed(report)


def test_an_image_that_a_manifest_moves_to_test_is_told(tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "data-root" / "splits.json"
    write_cells(data, 5)
    make_plan(data, load(overrides={"data": data}).reading(path))
    assert run(data).moved == []
    before = split_memory.load(path).names
    taught = next(name for name, split in before.items() if split == "train")
    swapped = {**before, taught: "test", next(n for n, s in before.items() if s == "test"): "train"}
    rows = [f"images/{name}.png,masks/{name}.png,{split}" for name, split in swapped.items()]
    (data / "manifest.csv").write_text("\n".join(["image,mask,split", *rows]))
    report = run(data)
    assert report.ok
    assert report.moved == [taught]
    assert f"Moved:   {taught}: test images that taught or chose earlier models" in printed(report)


def test_remembered_splits_are_used_and_not_written(tmp_path: Path) -> None:
    write_cells(tmp_path / "data", 5)
    path = tmp_path / "data-root" / "splits.json"
    run(tmp_path / "data")
    assert not path.exists()
    path.parent.mkdir()
    path.write_text(
        json.dumps({"images": {}, "groups": {}, "names": {f"cell_00{i}": "test" for i in range(3)}})
    )
    assert run(tmp_path / "data").summary.splits == {"train": 1, "eval": 1, "test": 3}
    path.write_text("{")
    assert "are damaged" in run(tmp_path / "data").problems[0].found


def test_one_missing_mask_is_one_problem(tmp_path: Path) -> None:
    write_cells(tmp_path, 3)
    (tmp_path / "masks/cell_001.png").unlink()
    assert found(run(tmp_path)) == {"images/cell_001.png": "image without mask"}


def test_what_concerns_the_whole_set_is_not_skipped(tmp_path: Path) -> None:
    write_cells(tmp_path, 6)
    (tmp_path / "images/cell_005.png").write_bytes(b"")
    splits = ["train", "test", "train", "eval", "test", "train"]
    rows = [f"images/cell_00{i}.png,masks/cell_00{i}.png,{'p' if i < 2 else i},{s}"
            for i, s in enumerate(splits)]  # fmt: skip
    (tmp_path / "manifest.csv").write_text("\n".join(["image,mask,group,split", *rows]))
    report = check(load(overrides={"data": tmp_path}), Root(tmp_path / "root"), skip_bad=True)
    assert [problem.found for problem in report.problems] == [
        "group 'p' is in splits test (cell_001), train (cell_000)"
    ]
    assert [problem.found for problem in report.skipped] == ["an empty file (0 bytes)"]
    settings = load(overrides={"data": tmp_path}).reading(Root(tmp_path / "root").splits, report.skip)
    with pytest.raises(BadInput, match="group 'p'"):
        make_plan(tmp_path, settings)


def test_numbers_of_objects_may_be_large(tmp_path: Path) -> None:
    write_cells(tmp_path, 6)
    for path in (tmp_path / "masks").iterdir():
        labels, _ = ndimage.label(np.asarray(Image.open(path)))
        path.unlink()
        tifffile.imwrite(path.with_suffix(".tif"), labels.astype(np.int32) * 100_000)
    config = load(overrides={"data": tmp_path, "classes": {"background": 0, "cell": "instances"}})
    report = check(config, Root(tmp_path / "root"), proposals=True)
    assert report.ok
    assert report.proposals


def write_rare(folder: Path, rare: int, count: int = 20) -> None:
    """Images of which the first few show a cell, and the others nothing."""
    write_cells(folder, count, (40, 60))
    for i in range(rare, count):
        Image.new("L", (60, 40)).save(folder / f"masks/cell_{i:03d}.png")


@pytest.mark.parametrize("seed", range(6))
def test_no_seed_is_refused_where_three_images_show_a_class(tmp_path: Path, seed: int) -> None:
    write_rare(tmp_path, 3)
    report = run(tmp_path, seed=seed)
    assert report.ok, report.problems
    assert report.summary.class_images["foreground"] == {"train": 1, "eval": 1, "test": 1}
    assert ["foreground", "1", "1", "1"] in [line.split() for line in printed(report).splitlines()]


def test_a_class_in_two_images_is_refused_and_its_images_counted(tmp_path: Path) -> None:
    write_rare(tmp_path, 2)
    [problem] = run(tmp_path).problems
    assert problem.found.startswith("class 'foreground' occurs in no mask of the ")
    assert "images (or groups) that show it: 2, and each split needs one" in problem.advice


def test_images_of_each_class_are_listed_only_where_they_differ(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (40, 60))
    report = run(tmp_path)
    assert "Images that show" not in printed(report)
    assert set(report.summary.class_images) == {"background", "foreground"}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"use_channels": "all"}, "cell_003 has 2 channels, the network is to see 4"),
        ({"use_channels": "all", "channels": 2}, "cell_000 has 4 channels, the network is to see 2"),
        ({"use_channels": [2, 1]}, ""),
        ({"use_channels": [3]}, "an image of 2 channels, which has no channel 3"),
    ],
)
def test_all_images_have_the_channels_of_the_network(
    tmp_path: Path, settings: dict[str, Any], problem: str
) -> None:
    write_cells(tmp_path, 10)
    for path in [*(tmp_path / "images").iterdir()]:
        gray = np.asarray(Image.open(path))
        count = 2 if path.stem == "cell_003" else 4
        bands = np.stack([gray // (i + 1) for i in range(count)])
        path.unlink()
        tifffile.imwrite(path.with_suffix(".tif"), bands, photometric="minisblack", metadata={"axes": "CYX"})
    report = run(tmp_path, **settings)
    if not problem:
        assert report.ok
        assert report.channels == 2
        assert "10 of 2 channels" in printed(report)
    else:
        [found_one] = report.problems
        assert problem in f"{found_one.found}; {found_one.advice}"
