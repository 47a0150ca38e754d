"""Lists of names say which split an image is in, whatever program wrote them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data.synthetic import write_cells
from tests.pipeline.check.checking import printed, run
from unet.dataset.layouts import find_samples
from unet.dataset.sample import Problem, Sample

NAMES = [f"2007_{i:06d}" for i in range(40)]
TRAIN, VAL, TEST = NAMES[:24], NAMES[24:32], NAMES[32:]


def voc(folder: Path, lists: dict[str, list[str]], where: str = "ImageSets/Segmentation") -> None:
    for part, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
        (folder / part).mkdir(parents=True)
        for name in NAMES:
            (folder / part / f"{name}{suffix}").write_bytes(b"x")
    (folder / where).mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        (folder / where / name).write_text("\n".join(lines) + "\n")


def find(folder: Path) -> tuple[list[Sample], list[Problem]]:
    return find_samples(folder, pairs=("JPEGImages/*", "SegmentationClass/*"))


@pytest.mark.parametrize("where", ["ImageSets/Segmentation", ".", "images"])
@pytest.mark.parametrize(
    "line", ["{}", "{}.jpg", "JPEGImages/{}.jpg", "JPEGImages/{0}.jpg SegmentationClass/{0}.png"]
)
@pytest.mark.parametrize("validation", ["val", "valid", "validation", "eval", "VAL"])
def test_the_splits_are_those_of_the_lists(tmp_path: Path, where: str, line: str, validation: str) -> None:
    lists = {"train": TRAIN, validation: VAL, "test": TEST, "trainval": TRAIN + VAL}
    voc(tmp_path, {f"{n}.txt": [line.format(name) for name in names] for n, names in lists.items()}, where)
    samples, problems = find(tmp_path)
    assert problems == []
    found = {sample.name: sample.split for sample in samples}
    assert found == dict.fromkeys(TRAIN, "train") | dict.fromkeys(VAL, "eval") | dict.fromkeys(TEST, "test")


def test_a_split_without_a_list_takes_the_same_images_of_the_one_before_it(tmp_path: Path) -> None:
    voc(tmp_path / "a", {"train.txt": TRAIN, "val.txt": VAL + TEST})
    first = {sample.name: sample.split for sample in find(tmp_path / "a")[0]}
    assert {first[name] for name in TRAIN} == {"train"}
    assert {first[name] for name in VAL + TEST} == {"eval", "test"}
    voc(tmp_path / "b", {"train.txt": TRAIN, "val.txt": VAL})  # a shorter list moves no image
    second = {sample.name: sample.split for sample in find(tmp_path / "b")[0]}
    assert second == {name: first[name] for name in TRAIN + VAL}
    voc(tmp_path / "c", {"train.txt": TRAIN + VAL, "test.txt": TEST})
    third = Counter(sample.split for sample in find(tmp_path / "c")[0])
    assert third["test"] == 8
    assert 0 < third["eval"] < third["train"]


def test_what_no_list_names_is_not_used_and_no_problem(tmp_path: Path) -> None:
    voc(tmp_path, {"train.txt": TRAIN[1:], "val.txt": VAL, "test.txt": TEST[:-1]})
    (tmp_path / f"SegmentationClass/{TRAIN[0]}.png").unlink()
    (tmp_path / "JPEGImages/other.jpg").write_bytes(b"x")
    samples, problems = find(tmp_path)
    assert problems == []
    assert {sample.name for sample in samples} == set(NAMES) - {TRAIN[0], TEST[-1]}


def test_lines_that_cannot_be_followed_are_told_once(tmp_path: Path) -> None:
    voc(tmp_path, {"train.txt": [*TRAIN, "other"], "val.txt": [*VAL, TRAIN[0]], "test.txt": TEST})
    (tmp_path / f"SegmentationClass/{TEST[0]}.png").unlink()
    assert {(Path(p.path).name, p.found) for p in find(tmp_path)[1]} == {
        ("train.txt", "it names other, and there is no such image"),
        ("val.txt", f"{TRAIN[0]} is in another list, too"),
        (f"{TEST[0]}.jpg", "image without mask"),
    }


@pytest.mark.parametrize(
    "lists",
    [
        {"train.txt": TRAIN},
        {"val.txt": VAL, "test.txt": TEST},
        {"train.txt": ["a photograph of a train", "another one"], "test.txt": ["it works"]},
        {"train.csv": TRAIN, "val.csv": VAL},
    ],
)
def test_other_lists_declare_nothing(tmp_path: Path, lists: dict[str, list[str]]) -> None:
    voc(tmp_path, lists)
    samples, problems = find(tmp_path)
    assert (len(samples), problems) == (len(NAMES), [])
    assert {sample.split for sample in samples} == {None}


def test_folders_and_manifests_say_more_than_lists(tmp_path: Path) -> None:
    voc(tmp_path, {"train.txt": TRAIN, "val.txt": VAL, "test.txt": TEST})
    rows = [f"JPEGImages/{name}.jpg,SegmentationClass/{name}.png" for name in NAMES]
    (tmp_path / "manifest.csv").write_text("\n".join(["image,mask", *rows]))
    assert {sample.split for sample in find_samples(tmp_path)[0]} == {None}


def test_check_names_the_lists_and_finds_the_folders_of_voc(tmp_path: Path) -> None:
    write_cells(tmp_path / "cells", 10, (40, 60))
    names = [f"cell_{i:03d}" for i in range(10)]
    for name, some in (("train", names[:5]), ("val", names[5:7]), ("test", names[7:9])):
        (tmp_path / f"cells/{name}.txt").write_text("\n".join(some))
    report = run(tmp_path / "cells")
    assert report.ok
    assert report.summary.splits == {"train": 5, "eval": 2, "test": 2}
    assert "Lists:   train.txt, val.txt, test.txt; what no list names is not used" in printed(report)
    assert "Not read" not in printed(report)
    (tmp_path / "cells/test.txt").unlink()
    report = run(tmp_path / "cells")
    assert "test gets one in 2 images of val.txt" in report.lists or not report.ok

    voc(tmp_path / "voc", {"train.txt": TRAIN[:3], "val.txt": VAL})
    for i in range(400):
        (tmp_path / f"voc/JPEGImages/2006_{i:06d}.jpg").write_bytes(b"x")
    [problem] = find_samples(tmp_path / "voc")[1]
    assert """--set 'pairs=["jpegimages/*", "segmentationclass/*"]'""" in problem.advice.lower()
