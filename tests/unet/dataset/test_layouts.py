from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet.dataset.layouts import find_samples
from unet.dataset.sample import BLOCK_PREFIX


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_files_pair_by_stem_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "images/img_10.PNG", "images/img_1.tif", "images/img_2.jpg", "images/Größe.bmp")
    touch(tmp_path, "masks/img_1.png", "masks/img_2.PNG", "masks/img_10.tiff", "masks/gro\u0308ße.png")
    touch(tmp_path, "images/.DS_Store", "images/Thumbs.db", "masks/._img_1.png", "masks/.hidden/x.png")
    samples, problems = find_samples(tmp_path)
    assert problems == []
    assert [sample.name for sample in samples] == ["Größe", "img_1", "img_2", "img_10"]
    assert [sample.mask.name for sample in samples] == [
        "gro\u0308ße.png",
        "img_1.png",
        "img_2.PNG",
        "img_10.tiff",
    ]
    assert {(s.split, s.fold, s.group == s.name) for s in samples} == {(None, None, True)}


@pytest.mark.parametrize(
    ("names", "block", "groups"),
    [
        (range(1, 13), 5, ["block-000"] * 5 + ["block-001"] * 5 + ["block-002"] * 2),
        (range(3), 1, ["block-000", "block-001", "block-002"]),
        (range(3), 0, ["slice_0", "slice_1", "slice_2"]),
    ],
)
def test_blocks_are_consecutive_slices(tmp_path: Path, names: range, block: int, groups: list[str]) -> None:
    touch(tmp_path, *(f"{part}/slice_{i}.png" for part in ("images", "masks") for i in names))
    assert [sample.group for sample in find_samples(tmp_path, slices_per_group=block)[0]] == groups


@pytest.mark.parametrize(
    ("files", "where", "found"),
    [
        (["images/a.png", "images/b.png", "masks/a.png"], "images/b.png", "image without mask"),
        (["images/a.png", "masks/a.png", "masks/b.png"], "masks/b.png", "mask without image"),
        (["images/img_1.png", "masks/img_10.png"], "images/img_1.png", "image without mask"),
        (
            ["images/a.png", "images/a.tif", "masks/a.png"],
            "images/a.tif",
            "second file of that name beside a.png",
        ),
        (
            ["images/a.png", "masks/A.png", "masks/a.png"],
            "masks/a.png",
            "second file of that name beside A.png",
        ),
        (["images/sub/a.png", "masks/a.png"], "images/sub", "a folder inside a folder, which is not read"),
        (["images/a.png"], "masks", "no such folder"),
        (["masks/a.png"], "images", "no such folder"),
        (["other/a.png"], "", "no images, but the folders other"),
        (["set/images/a.png", "set/masks/a.png"], "", "no images"),
        (["a.png", "b.png"], "", "2 files, none of which ends in _mask"),
        (["a.png", "a_mask.png", "b.png"], "b.png", "image without mask"),
        (["a.png", "a_mask.png", "b_mask.png"], "b_mask.png", "mask without image"),
        (["a.png/x", "b.png", "b_mask.png"], "a.png", "a folder inside a folder, which is not read"),
        (["train/images/a.png", "train/masks/a.png"], "val", "no such folder beside train/"),
        (["i1/images/a.png", "i2/images/a.png"], "", "a folder for each image"),
        (["images/.x", "masks/.x"], "", "no images"),
    ],
)
def test_problems_of_folders_are_listed(tmp_path: Path, files: list[str], where: str, found: str) -> None:
    touch(tmp_path, *files)
    problems = find_samples(tmp_path)[1]
    assert (str(tmp_path / where), found) in [(problem.path, problem.found) for problem in problems]
    assert all(problem.advice for problem in problems)


def test_missing_folder_and_file_instead_of_folder(tmp_path: Path) -> None:
    touch(tmp_path, "file")
    assert find_samples(tmp_path / "none")[1][0].found == "no such folder"
    assert find_samples(tmp_path / "file")[1][0].found == "not a folder"


def sketch(folder: Path) -> dict[str, tuple[str, str, str | None]]:
    samples, problems = find_samples(folder)
    assert problems == []
    return {
        s.name: (str(s.image.relative_to(folder)), str(s.mask.relative_to(folder)), s.split) for s in samples
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            ["a.jpg", "a_mask.png", "b.PNG", "B_MASK.tif", "notes.txt"],
            {"a": ("a.jpg", "a_mask.png", None), "b": ("b.PNG", "B_MASK.tif", None)},
        ),
        (["Images/a.jpg", "MASKS/a_mask.png"], {"a": ("Images/a.jpg", "MASKS/a_mask.png", None)}),
        (
            ["images/a.png", "images/a_mask.png", "masks/a.png", "masks/a_mask.png"],
            {
                "a": ("images/a.png", "masks/a.png", None),
                "a_mask": ("images/a_mask.png", "masks/a_mask.png", None),
            },
        ),
        (
            [
                *("train/images/a.png", "train/masks/a.png", "valid/b.png", "valid/b_mask.png"),
                *("test/images/c.png", "test/masks/c_mask.png"),
            ],
            {
                "a": ("train/images/a.png", "train/masks/a.png", "train"),
                "b": ("valid/b.png", "valid/b_mask.png", "eval"),
                "c": ("test/images/c.png", "test/masks/c_mask.png", "test"),
            },
        ),
    ],
)
def test_layouts(tmp_path: Path, files: list[str], expected: dict[str, tuple[str, str, str | None]]) -> None:
    touch(tmp_path, *files)
    assert sketch(tmp_path) == expected


def test_the_suffix_that_would_pair_is_proposed(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/b.png", "masks/a_seg.png", "masks/b_seg.png")
    assert {p.advice.rpartition(": ")[2] for p in find_samples(tmp_path)[1]} == {"--set 'mask_suffix=_seg'"}
    assert [s.name for s in find_samples(tmp_path, mask_suffix="_seg")[0]] == ["a", "b"]


def of_splits(*names: str) -> list[str]:
    """Paths of images and masks of these names in each folder of a split."""
    folders = [f"{split}/{part}" for split in ("train", "val", "test") for part in ("images", "masks")]
    return [f"{folder}/{name}" for folder in folders for name in names]


def test_a_mask_among_the_images_takes_no_mask_of_another_image(tmp_path: Path) -> None:
    touch(tmp_path, "images/0.png", "images/0_mask.png", "masks/0_mask.png")
    samples, [problem] = find_samples(tmp_path)
    assert len(samples) == 1
    assert problem.found == "no mask but that of another image, 0_mask.png"


def test_one_name_in_the_folders_of_two_splits_is_told_apart_by_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, *of_splits("p1_a.png"), "train/images/p2_b.png", "train/masks/p2_b.png")
    samples, problems = find_samples(tmp_path)
    assert problems == []
    names = ["test-p1_a", "train-p1_a", "val-p1_a"]
    assert [(s.name, s.group, s.image.parts[-3]) for s in samples] == [
        ("p2_b", "p2_b", "train"),
        *((name, name, name.partition("-")[0]) for name in names),
    ]
    # Patterns see the names of the files.
    [problem] = find_samples(tmp_path, group_pattern="^p[0-9]")[1]
    assert problem.found == "group 'p1' is in splits eval (val-p1_a), test (test-p1_a), train (train-p1_a)"


def test_stacks_and_slices_of_one_name_in_the_folders_of_splits_are_others(tmp_path: Path) -> None:
    touch(tmp_path, *of_splits(*(f"{i}.png" for i in range(3))))
    samples, problems = find_samples(tmp_path, slices_per_group=2)
    assert problems == []
    assert [s.group for s in samples[:3]] == ["block-test-000", "block-test-000", "block-test-001"]
    for split, pages in (("train", 4), ("val", 2), ("test", 3)):
        (tmp_path / "stacks" / split).mkdir(parents=True)
        for name in ("cells.tif", "cells_mask.tif"):
            write_stack(tmp_path / "stacks" / split / name, pages)
    samples, problems = find_samples(tmp_path / "stacks")
    assert problems == []
    assert [s.name for s in samples] == [
        *(f"{split}-cells-{i:04d}" for split, n in (("test", 3), ("train", 4), ("val", 2)) for i in range(n))
    ]
    assert {s.group for s in samples} == {"test-cells", "train-cells", "val-cells"}


def test_a_name_that_is_there_already_is_told(tmp_path: Path) -> None:
    touch(tmp_path, *of_splits("a.png"), "train/images/val-a.png", "train/masks/val-a.png")
    [problem] = find_samples(tmp_path)[1]
    assert (problem.path, problem.found) == (
        str(tmp_path / "val/images/a.png"),
        "the same name as train/images/val-a.png",
    )


def write_stack(path: Path, pages: int) -> None:
    tifffile.imwrite(path, np.zeros((pages, 8, 9), np.uint8), photometric="minisblack")


@pytest.mark.parametrize(
    ("image", "mask"), [("cells.tif", "cells_mask.tif"), ("train-volume.tif", "train-labels.tif")]
)
def test_two_stacks_side_by_side(tmp_path: Path, image: str, mask: str) -> None:
    write_stack(tmp_path / image, 7)
    write_stack(tmp_path / mask, 7)
    samples, problems = find_samples(tmp_path)
    name = image.removesuffix(".tif")
    assert problems == []
    assert [(s.name, s.page, s.group) for s in samples] == [(f"{name}-{i:04d}", i, name) for i in range(7)]
    groups = [s.group for s in find_samples(tmp_path, slices_per_group=3)[0]]
    assert groups == [f"block-{name}-00{i // 3}" for i in range(7)]
    write_stack(tmp_path / mask, 6)
    assert [p.found for p in find_samples(tmp_path)[1]] == ["6 pages of masks for 7 pages of images"]


def test_pages_that_are_channels_are_one_image(tmp_path: Path) -> None:
    field = np.zeros((3, 2, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "cells.tif", field, imagej=True, metadata={"axes": "ZCYX"})
    write_stack(tmp_path / "cells_mask.tif", 3)
    samples, problems = find_samples(tmp_path)
    assert ([sample.page for sample in samples], problems) == ([0, 1, 2], [])
    write_stack(tmp_path / "cells_mask.tif", 6)
    [problem] = find_samples(tmp_path)[1]
    assert problem.found == "6 pages of masks for 3 pages of images, each of 2 channels"
    assert problem.advice.startswith("save the images as slices")


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [("^p[0-9]+", ["p1", "p1", "p2", "x_1"]), ("^p([0-9]+)_([a-z])", ["1-a", "1-b", "2-a", "x_1"])],
)
def test_groups_from_a_pattern(tmp_path: Path, pattern: str, groups: list[str]) -> None:
    for part in ("images", "masks"):
        touch(tmp_path, *(f"{part}/{name}.png" for name in ("p1_a", "p1_b", "p2_a", "x_1")))
    assert [s.group for s in find_samples(tmp_path, group_pattern=pattern)[0]] == groups


def test_spans_are_read_as_one_set(tmp_path: Path) -> None:
    for span in (1, 2, 10):
        touch(tmp_path, f"span-{span}/images/p1_a.png", f"span-{span}/masks/p1_a.png")
    touch(tmp_path, "span-x/images/a.png", "other/images/a.png")
    folder = tmp_path / "span-{SPAN}"
    assert [(s.name, s.group) for s in find_samples(folder)[0]] == [
        (f"{i}-p1_a", f"{i}-p1_a") for i in (1, 2, 10)
    ]
    assert [s.name for s in find_samples(folder, span_window=2)[0]] == ["2-p1_a", "10-p1_a"]
    assert {s.group for s in find_samples(folder, group_pattern="p[0-9]")[0]} == {"p1"}
    assert find_samples(tmp_path / "day-{SPAN}")[1][0].found == "no folder matches this pattern"


def test_an_accent_of_two_unicode_forms_tears_no_group(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        touch(tmp_path, f"{kind}/Jos\u00e9-1.png", f"{kind}/Jose\u0301-2.png")
    for pattern in ("Jos\u00e9", "Jose\u0301"):
        samples, _ = find_samples(tmp_path, group_pattern=pattern)
        assert [(s.name, s.group) for s in samples] == [(f"Jos\u00e9-{n}", "Jos\u00e9") for n in (1, 2)]


@pytest.mark.parametrize(
    ("settings", "group"),
    [({"group_pattern": "^p."}, "p1"), ({"slices_per_group": 2}, "block-000"), ({}, None)],
)
def test_a_group_that_settings_tear_over_folders_is_a_problem(
    tmp_path: Path, settings: dict[str, str | int], group: str | None
) -> None:
    for split, name in (("train", "p1_a"), ("val", "p2_a"), ("test", "p1_b")):
        touch(tmp_path, f"{split}/images/{name}.png", f"{split}/masks/{name}.png")
    found = [problem.found for problem in find_samples(tmp_path, **settings)[1]]  # type: ignore[arg-type]
    assert found == ([f"group {group!r} is in splits test (p1_b), train (p1_a)"] if group else [])


def test_a_group_that_the_user_calls_a_block_is_none_of_ours(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{part}/block-{i}_{i}.png" for part in ("images", "masks") for i in range(2)))
    for sample in find_samples(tmp_path, group_pattern="^block-.")[0]:
        assert not sample.group.startswith(BLOCK_PREFIX)


def test_companions_are_no_images(tmp_path: Path) -> None:
    touch(
        tmp_path, "images/a.tif", "images/a.tfw", "images/a.tif.aux.xml", "images/a.prj", "images/a.strange"
    )
    touch(tmp_path, "images/b.png", "images/b_flows.tif", "images/b_outlines.png", "images/b_seg.npy")
    touch(tmp_path, "images/@eaDir/a.tif/thumb.jpg", "masks/a.png", "masks/b.png", "masks/b.pgw")
    assert sorted(sketch(tmp_path)) == ["a", "b"]


def test_masks_of_cellpose_beside_its_other_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        touch(tmp_path, *(f"{name}{end}" for end in (".tif", "_masks.tif", "_cp_masks.png", "_flows.tif")))
    [problem] = find_samples(tmp_path)[1]
    assert problem.advice.endswith("--set 'mask_suffix=_masks'")
    assert [s.mask.name for s in find_samples(tmp_path, mask_suffix="_masks")[0]] == [
        "a_masks.tif",
        "b_masks.tif",
    ]


@pytest.mark.parametrize(
    ("image", "mask", "pairs"),
    [
        ("images/image_{}", "masks/mask_{}", ("images/image_*", "masks/mask_*")),
        ("images/case_{}_0000", "masks/case_{}", ("images/*_0000", "masks/*")),
        ("images/{}_training", "masks/{}_manual1", ("images/*_training", "masks/*_manual1")),
        ("images/{}", "masks/mask_{}", ("images/*", "masks/mask_*")),
        ("JPEGImages/{}", "SegmentationClass/{}", ("JPEGImages/*", "SegmentationClass/*")),
        ("imagesTr/c_{}_0000", "labelsTr/c_{}", ("imagesTr/*_0000", "labelsTr/*")),
        ("img_{}", "mask_{}", ("img_*", "mask_*")),
        ("{}_img", "{}_lbl", ("*_img", "*_lbl")),
        ("photos/{}", "annotations/{}", ("photos/*", "annotations/*")),
        ("images/{}", "labels/{}", ("images/*", "labels/*")),
        ("photos/{}", "masks/{}", ("photos/*", "masks/*")),
        ("Images/IMG{}", "Masks/GT{}", ("Images/img*", "Masks/gt*")),
    ],
)
@pytest.mark.parametrize("numbers", [["001", "002", "012"], ["8", "9", "10", "11"]])
def test_names_that_pair_but_for_a_constant_part_get_one_setting(
    tmp_path: Path, image: str, mask: str, pairs: tuple[str, str], numbers: list[str]
) -> None:
    touch(tmp_path, *(f"{form.format(number)}.png" for form in (image, mask) for number in numbers))
    samples, [problem] = find_samples(tmp_path)
    assert samples == []
    assert problem.of_the_set
    same_names = (image + mask).count("/{}") == 2 and len(Path(image).name) == len(Path(mask).name)
    assert ("folders of other names" in problem.found) == same_names
    assert problem.advice.endswith(f"""--set 'pairs=["{pairs[0]}", "{pairs[1]}"]'""")
    samples, problems = find_samples(tmp_path, pairs=pairs)
    assert problems == []
    assert len(samples) == len(numbers)
    for sample in samples:
        number = next(n for n in reversed(numbers) if sample.name.endswith(n))
        assert (sample.image.stem, sample.mask.stem) == tuple(
            Path(form.format(number)).name for form in (image, mask)
        )


def test_folders_of_splits_with_other_names_inside_get_one_setting(tmp_path: Path) -> None:
    splits = ("train", "val", "test")
    touch(tmp_path, *(f"{s}/{p}/{s}_{i}.tif" for s in splits for p in ("images", "labels") for i in range(2)))
    samples, problems = find_samples(tmp_path)
    assert samples == []
    assert {problem.advice.partition("--set ")[2] for problem in problems} == {
        """'pairs=["images/*", "labels/*"]'"""
    }
    samples, problems = find_samples(tmp_path, pairs=("images/*", "labels/*"))
    assert problems == []
    assert [sample.split for sample in samples] == ["test"] * 2 + ["train"] * 2 + ["eval"] * 2


def test_a_file_without_partner_is_no_constant_part(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/a{i}.png" for i in range(5)), *(f"masks/a{i}.png" for i in range(4)))
    assert [p.found for p in find_samples(tmp_path)[1]] == ["image without mask"]


def test_a_pattern_may_stand_for_folders(tmp_path: Path) -> None:
    touch(tmp_path, *(f"case{i}/{part}.png" for i in range(3) for part in ("image", "mask")))
    samples, problems = find_samples(tmp_path, pairs=("*/image", "*/mask"))
    assert problems == []
    assert [(s.name, s.mask.parent.name) for s in samples] == [(f"case{i}", f"case{i}") for i in range(3)]


def test_a_pattern_without_files_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png")
    [problem] = find_samples(tmp_path, pairs=("images/b*", "images/*"))[1]
    assert problem.found == "no file matches 'images/b*'"
    assert find_samples(tmp_path, pairs=("photos/*", "images/*"))[1][0].found == "no such folder"


@pytest.mark.parametrize("val", ["val", "validation", "Valid", "eval"])
def test_folders_of_splits_inside_images_and_masks(tmp_path: Path, val: str) -> None:
    for i, split in enumerate(("Train", val, "test")):
        touch(tmp_path, *(f"{part}/{split}/{i}.png" for part in ("images", "masks")))
    assert [split for *_, split in sketch(tmp_path).values()] == ["train", "eval", "test"]


def test_both_folders_that_mean_eval_are_read(tmp_path: Path) -> None:
    for split in ("train", "val", "validation", "test"):
        touch(tmp_path, *(f"{split}/{part}/{split}.png" for part in ("images", "masks")))
    assert {name: split for name, (*_, split) in sketch(tmp_path).items()} == {
        "train": "train",
        "val": "eval",
        "validation": "eval",
        "test": "test",
    }


def test_files_that_are_no_images_here_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.npy", "b.npy")
    assert find_samples(tmp_path)[1][0].found == "no images, but 2 files of .npy, which are not read"
