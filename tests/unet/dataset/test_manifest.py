from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet.dataset.layouts import find_samples
from unet.dataset.manifest import read_manifest
from unet.dataset.sample import Problem


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def manifest(folder: Path, *lines: str) -> list[Problem]:
    (folder / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    return find_samples(folder)[1]


def test_manifest_gives_groups_splits_and_folds(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/b.png", "p1/s 1.png", "masks/a.png", "masks/b.png", "p1/m,1.png")
    touch(tmp_path, "images/unlisted.png")
    problems = manifest(
        tmp_path,
        "\ufeffimage, mask, split, group, fold",
        "images/a.png,masks/a.png,train,dish,2",
        "images/b.png,masks/b.png,,,",
        r'p1\s 1.png,"p1/m,1.png",test,,',
    )
    assert problems == []
    samples = {s.name: (s.mask.name, s.group, s.split, s.fold) for s in find_samples(tmp_path)[0]}
    assert samples == {
        "a": ("a.png", "dish", "train", 2),
        "b": ("b.png", "b", None, None),
        "p1-s 1": ("m,1.png", "p1-s 1", "test", None),
    }


def test_manifest_with_semicolons_and_blocks_where_no_group_is_given(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}.png" for i in range(3)), *(f"{i}_m.png" for i in range(3)))
    rows = ["image;mask;group", "0.png;0_m.png;", "1.png;1_m.png;dish", "2.png;2_m.png;"]
    assert manifest(tmp_path, *rows) == []
    assert [s.group for s in find_samples(tmp_path, slices_per_group=2)[0]] == [
        "block-000",
        "dish",
        "block-001",
    ]


@pytest.mark.parametrize(
    ("rows", "where", "found"),
    [
        (["image,label"], "", "no column mask"),
        ([""], "", "no column image and mask"),
        (["image,mask", "a.png,none.png"], ":2", "mask none.png does not exist"),
        (["image,mask", "", "a.png,"], ":3", "no mask"),
        (["image,mask", "a.png,m.png,more"], ":2", "more columns than the first line names"),
        (["image,mask", "../a.png,m.png"], ":2", "image ../a.png lies outside the folder"),
        (["image,mask,split", "a.png,m.png,none"], ":2", "split 'none'"),
        (["image,mask,fold", "a.png,m.png,-1"], ":2", "fold '-1'"),
        (["image,mask,fold", "a.png,m.png,²"], ":2", "fold '²'"),
        (["image,mask,page", f"a.png,m.png,{'1' * 5000}"], ":2", f"page '{'1' * 40}'"),
        ([f"image,mask{',more' * 999}", "a.png,m.png"], "", "1001 columns, more than 1000"),
        (["image,mask,split,Split", "a.png,m.png,train,test"], "", "the column split more than once"),
        (["image,mask", "a.png,m.png", "b.png,m.png"], ":3", "the same mask as in line 2"),
        (["image,mask", "a.png,m.png", "a.png,n.png"], ":3", "the same name as in line 2"),
        (
            ["image,mask,group,split", "a.png,m.png,g,train", "b.png,n.png,g,test"],
            "",
            "group 'g' is in splits",
        ),
        (
            ["image,mask,group,fold", "a.png,m.png,g,0", "b.png,n.png,g,1"],
            "",
            "group 'g' is in folds 0 (a), 1 (b)",
        ),
    ],
)
def test_problems_of_manifests_name_the_line(tmp_path: Path, rows: list[str], where: str, found: str) -> None:
    touch(tmp_path, "a.png", "b.png", "m.png", "n.png")
    problems = manifest(tmp_path, *rows)
    assert [problem.path for problem in problems] == [f"{tmp_path / 'manifest.csv'}{where}"]
    assert problems[0].found.startswith(found)
    assert problems[0].advice


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.jsonl"])
def test_our_columns_are_read_however_their_names_are_written(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a.png", "m.png")
    text = '{"Image": "a.png", "MASK": "m.png", " Split": "test", "Fold": 2, "Day": "x"}'
    if name.endswith(".csv"):
        text = "Image,MASK,Split ,Fold,Day\na.png,m.png,test,2,x"
    (tmp_path / name).write_text(text)
    [sample], problems = find_samples(tmp_path)
    assert problems == []
    assert (sample.split, sample.fold, sample.columns) == ("test", 2, (("Day", "x"),))


def test_a_key_in_two_ways_of_writing_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "m.png")
    text = '{"image": "a.png", "mask": "m.png", "split": "train", "Split": "test"}'
    (tmp_path / "manifest.jsonl").write_text(text)
    [problem] = find_samples(tmp_path)[1]
    assert problem.found == "a key in two ways of writing"


def test_manifest_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"image,mask\n\xff\xfe,b")
    assert find_samples(tmp_path)[1][0].advice == "save it as CSV or JSON lines in UTF-8"


def test_json_lines(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "m.png", "n.png")
    lines = [
        '{"image": "a.png", "mask": "m.png", "group": "g", "split": "test", "fold": 2}',
        "",
        '{"image": "b.png", "mask": "n.png", "group": null}',
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    samples, problems = find_samples(tmp_path)
    assert problems == []
    assert [(s.name, s.group, s.split, s.fold) for s in samples] == [
        ("a", "g", "test", 2),
        ("b", "b", None, None),
    ]
    assert find_samples(tmp_path / "manifest.jsonl")[0] == samples
    (tmp_path / "manifest.jsonl").write_text('{"image": "a.png"}\nno json\n{"image": "a.png", "mask": "x"}')
    assert [p.path[-2:] for p in find_samples(tmp_path)[1]] == [":1", ":2", ":3"]


def test_pages_in_a_manifest(tmp_path: Path) -> None:
    for name in ("s.tif", "m.tif"):
        tifffile.imwrite(tmp_path / name, np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    rows = ["image,mask,page,split", "s.tif,m.tif,0,train", "s.tif,m.tif,2,test"]
    assert manifest(tmp_path, *rows) == []
    assert [(s.name, s.page, s.group, s.split) for s in find_samples(tmp_path)[0]] == [
        ("s-0000", 0, "s-0000", "train"),
        ("s-0002", 2, "s-0002", "test"),
    ]


def test_pages_of_one_file_are_told_apart_by_their_number(tmp_path: Path) -> None:
    touch(tmp_path, "s.tif", "m.tif")
    rows = ["image,mask,page,site", "s.tif,m.tif,0,north", "s.tif,m.tif,12,", "s.tif,m.tif,0,south"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    samples, [problem] = read_manifest(tmp_path / "manifest.csv")
    assert [(s.name, s.page, s.stack, s.columns) for s in samples] == [
        ("s-0000", 0, "s", (("site", "north"),)),
        ("s-0012", 12, "s", (("site", ""),)),
    ]
    assert problem.path.endswith("manifest.csv:4")
    assert problem.found == "the same name as in line 2: s-0000"


@pytest.mark.parametrize(
    ("image", "name"),
    [("a.png", "a"), ("images/a.png", "a"), ("images", "images"), ("x/images/a.png", "x-images-a")],
)
def test_a_sample_is_named_by_its_path_below_images(tmp_path: Path, image: str, name: str) -> None:
    touch(tmp_path, image, "m.png")
    (tmp_path / "manifest.csv").write_text(f"image,mask\n{image},m.png")
    assert [(s.name, s.group) for s in read_manifest(tmp_path / "manifest.csv")[0]] == [(name, "")]


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        ("a.png,m.png,other,,", "write train, eval (or val) or test, or nothing"),
        ("a.png,m.png,,1.5,", "write a whole number from 0, or nothing"),
        ("a.png,m.png,,,٣", "write a whole number from 0, or nothing"),
        ("/a.png,m.png,,,", "give a path relative to the manifest, below it"),
        ("gone.png,m.png,,,", "correct the path, or remove the line"),
    ],
)
def test_what_to_write_instead(tmp_path: Path, row: str, advice: str) -> None:
    touch(tmp_path, "a.png", "m.png")
    (tmp_path / "manifest.csv").write_text(f"image,mask,split,fold,page\n{row}", encoding="utf-8")
    samples, [problem] = read_manifest(tmp_path / "manifest.csv")
    assert samples == []
    assert (problem.path[-2:], problem.advice, problem.of_the_set) == (":2", advice, False)


@pytest.mark.parametrize(
    ("second", "torn"),
    [("g,test", True), ("g,train", False), ("h,test", False), ("g,", False), (",test", False)],
)
def test_only_rows_of_one_group_in_two_splits_are_torn(tmp_path: Path, second: str, torn: bool) -> None:
    touch(tmp_path, "a.png", "m.png", "b.png", "n.png")
    rows = ["image,mask,group,split", "a.png,m.png,g,train", f"b.png,n.png,{second}"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    samples, problems = find_samples(tmp_path)
    assert len(samples) == 2
    assert [(p.found, p.advice, p.of_the_set) for p in problems] == torn * [
        (
            "group 'g' is in splits test (b), train (a)",
            "give all its images the same split, or group them otherwise (group_pattern, slices_per_group)",
            True,
        )
    ]


def test_a_manifest_that_cannot_be_read_is_a_problem_of_the_set(tmp_path: Path) -> None:
    samples, [problem] = read_manifest(tmp_path / "none.csv")
    assert samples == []
    assert (problem.path, problem.of_the_set) == (str(tmp_path / "none.csv"), True)
    assert problem.found == "cannot be read (No such file or directory)"


def test_an_object_of_image_and_mask_alone_is_enough(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "m.png")
    (tmp_path / "manifest.jsonl").write_text('{"image": "a.png", "mask": "m.png"}')
    samples, problems = read_manifest(tmp_path / "manifest.jsonl")
    assert ([sample.name for sample in samples], problems) == (["a"], [])


@pytest.mark.parametrize("split", ["eval", "val", "Validation", "dev", " valid "])
def test_the_eval_split_by_its_other_names(tmp_path: Path, split: str) -> None:
    touch(tmp_path, "a.png", "m.png")
    (tmp_path / "manifest.csv").write_text(f"image,mask,split\na.png,m.png,{split}")
    [sample], problems = read_manifest(tmp_path / "manifest.csv")
    assert (sample.split, problems) == ("eval", [])


@pytest.mark.parametrize("line", ["[" * 100_000, '{"image": "a.png", "mask": "m.png", "group": "\\ud800"}'])
def test_a_line_that_json_cannot_read_or_write_is_a_problem_of_its_own(tmp_path: Path, line: str) -> None:
    touch(tmp_path, "a.png", "m.png")
    path = tmp_path / "manifest.jsonl"
    path.write_text(line + '\n{"image": "a.png", "mask": "m.png", "group": "\\u00e4"}\n')
    [sample], [problem] = read_manifest(path)
    assert (sample.group, problem.path) == ("ä", f"{path}:1")
    assert problem.found == "no object with image and mask"
