from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.example_gen import source
from components.example_gen.source import Facts, Problem, find_samples
from data.synthetic import write_cells

CLASSES = {"background": 0, "foreground": 255}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def manifest(folder: Path, *lines: str) -> list[Problem]:
    (folder / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    return find_samples(folder)[1]


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
    assert [sample.group for sample in find_samples(tmp_path, block=block)[0]] == groups


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
        (["other/a.png"], "images", "no such folder"),
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
    assert [s.group for s in find_samples(tmp_path, block=2)[0]] == ["block-000", "dish", "block-001"]


@pytest.mark.parametrize(
    ("rows", "where", "found"),
    [
        (["image,label"], "", "no column mask"),
        ([""], "", "no column image and mask"),
        (["image,mask", "a.png,none.png"], ":2", "mask none.png does not exist"),
        (["image,mask", "", "a.png,"], ":3", "no mask"),
        (["image,mask", "a.png,m.png,more"], ":2", "more columns than the first line names"),
        (["image,mask", "../a.png,m.png"], ":2", "image ../a.png lies outside the folder"),
        (["image,mask,split", "a.png,m.png,val"], ":2", "split 'val'"),
        (["image,mask,fold", "a.png,m.png,-1"], ":2", "fold '-1'"),
        (["image,mask", "a.png,m.png", "b.png,m.png"], ":3", "the same mask as in line 2"),
        (["image,mask", "a.png,m.png", "a.png,n.png"], ":3", "the same name as in line 2"),
        (
            ["image,mask,group,split", "a.png,m.png,g,train", "b.png,n.png,g,test"],
            "",
            "group 'g' is in splits",
        ),
        (["image,mask,group,fold", "a.png,m.png,g,0", "b.png,n.png,g,1"], "", "group 'g' is in folds 0, 1"),
    ],
)
def test_problems_of_manifests_name_the_line(tmp_path: Path, rows: list[str], where: str, found: str) -> None:
    touch(tmp_path, "a.png", "b.png", "m.png", "n.png")
    problems = manifest(tmp_path, *rows)
    assert [problem.path for problem in problems] == [f"{tmp_path / 'manifest.csv'}{where}"]
    assert problems[0].found.startswith(found)
    assert problems[0].advice


def test_manifest_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"image,mask\n\xff\xfe,b")
    assert find_samples(tmp_path)[1][0].advice == "save it as CSV in UTF-8"


def test_facts_of_a_sample(tmp_path: Path) -> None:
    write_cells(tmp_path, 2, (40, 60), bit_depth=16)
    samples, _ = find_samples(tmp_path)
    facts = source.inspect(samples[0], CLASSES, max_pixels=10**6)
    assert isinstance(facts, Facts)
    pixels = np.asarray(Image.open(samples[0].image), np.float64)
    assert (facts.height, facts.width, facts.channels, facts.bit_depth) == (40, 60, 1, 16)
    assert facts.mean == pytest.approx(pixels.mean() / 257)
    assert sum(facts.class_pixels.values()) == 40 * 60
    assert facts.class_pixels["foreground"] == (np.asarray(Image.open(samples[0].mask)) > 0).sum()


def test_all_bad_files_are_found_in_order_and_at_once(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (40, 60))
    image, mask = (
        (lambda i: tmp_path / f"images/cell_{i:03d}.png"),
        (lambda i: tmp_path / f"masks/cell_{i:03d}.png"),
    )
    image(0).write_bytes(b"")
    mask(0).write_bytes(mask(0).read_bytes()[:50])
    mask(2).write_bytes(image(2).read_bytes())
    for i, size in ((3, (40, 60)), (4, (60, 41))):
        Image.new("L", size).save(mask(i))
    samples, problems = find_samples(tmp_path)
    assert problems == []
    results = source.inspect_all(samples, CLASSES, max_pixels=10**6)
    assert isinstance(results[1], Facts)
    assert isinstance(results[5], Facts)
    found = [[(p.path, p.found) for p in r] for r in results if isinstance(r, list)]
    assert found[0][0] == (str(image(0)), "an empty file (0 bytes)")
    assert found[0][1] == (str(mask(0)), "a damaged or truncated file (the end is missing)")
    assert found[1][0][1].startswith("pixel values of no class")
    assert found[2] == [(str(mask(3)), "transposed: mask of 40 x 60 for an image of 60 x 40 pixels")]
    assert found[3] == [(str(mask(4)), "mask of 60 x 41 for an image of 60 x 40 pixels")]


def rows_of(folder: Path) -> list[tuple[str, str, str, str, str]]:
    facts = source.inspect_all(find_samples(folder)[0], CLASSES, max_pixels=10**6)
    return [(f.name, "g", "train", f.image_sha256, f.mask_sha256) for f in facts if isinstance(f, Facts)]


def test_fingerprint_is_of_content_alone(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", 3)
    rows = rows_of(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b/images/cell_000.png").touch()
    assert source.fingerprint(rows_of(tmp_path / "b")) == source.fingerprint(reversed(rows))
    masks = tmp_path / "b/masks"
    (masks / "cell_000.png").rename(masks / "x")
    (masks / "cell_001.png").rename(masks / "cell_000.png")
    (masks / "x").rename(masks / "cell_001.png")
    assert source.fingerprint(rows_of(tmp_path / "b")) != source.fingerprint(rows)
