"""Which images are read, in which order, and which files would get in each other's way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pipeline.prediction.tasks import (
    RECORD,
    Outputs,
    Task,
    collisions,
    find_tasks,
    not_ours,
    taken_for_images,
)
from unet.masks.object_rule import ObjectRule


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that only need a name, in a folder from which relative paths are found."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    for name in ("b10.png", "b9.png", "deep/a.png", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return folder


def found(*inputs: str, out: str = "out") -> list[str]:
    """Mask of each image that the inputs name, none of which is wrong."""
    tasks, problems = find_tasks(inputs, Path(out))
    assert problems == []
    return [task.mask for task in tasks]


def test_a_folder_is_its_own_images_in_the_order_people_count(photos: Path):
    assert found("photos") == ["b9.png", "b10.png"]


def test_an_image_that_is_named_twice_is_read_once(photos: Path):
    assert found("photos", "photos", "photos/b9.png") == ["b9.png", "b10.png"]


@pytest.mark.parametrize(
    ("pattern", "masks"),
    [
        ("photos/*.png", ["b9.png", "b10.png"]),
        ("photos/**/*", ["b9.png", "b10.png", "deep/a.png"]),
        ("ph*/deep/*", ["photos/deep/a.png"]),  # below the first part that varies
        ("photos/deep/*", ["a.png"]),
        ("photos/../photos/deep/*", ["a.png"]),
    ],
)
def test_a_glob_keeps_the_folders_below_its_fixed_part(photos: Path, pattern: str, masks: list[str]):
    assert found(pattern) == masks


def test_the_outputs_of_an_earlier_call_are_no_images_but_only_where_they_lie_below_them(photos: Path):
    (photos / "out").mkdir()
    (photos / "out" / "b9.png").write_bytes(b"x")
    assert "out/b9.png" not in found("photos/**/*", out="photos/out")
    assert "out/b9.png" in found("photos/**/*", out="photos/elsewhere")
    assert found("photos/*.png", out="photos") == ["b9.png", "b10.png"]


def test_a_link_to_nothing_is_an_image_so_that_somebody_is_told(photos: Path):
    (photos / "gone.png").symlink_to("nowhere.png")
    assert found("photos") == ["b9.png", "b10.png", "gone.png"]


def test_a_mask_that_a_person_drew_is_not_replaced(photos: Path):
    tasks, _ = find_tasks(["photos"], Path("masks"))
    Path("masks").mkdir()
    Path("masks/other.png").touch()
    assert not not_ours(tasks, Outputs(), Path("masks"))
    for name in ("b9.png", "b10.png"):
        Path("masks", name).touch()
    assert not_ours(tasks, Outputs(), Path("masks")).startswith(
        "masks/b9.png (and 1 more): not made by predict"
    )
    Path("masks", RECORD).touch()
    assert not not_ours(tasks, Outputs(), Path("masks"))


def test_links_in_a_circle_are_no_reason_to_stop(photos: Path):
    for path in (photos / "loop.png", Path("out")):
        path.symlink_to(path.name)
    assert found("photos") == found("photos/*.png") == ["b9.png", "b10.png", "loop.png"]
    tasks, _ = find_tasks(["photos"], Path("out"))
    assert not list(collisions(tasks, Outputs(), Path("out")))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nowhere", "nowhere: there is no such file or folder"),
        ("new/*.png", "new/*.png: no image matches this"),
        (
            "ph*/../ph*/*.png",
            "ph*/../ph*/*.png: .. after the first pattern: name the folders of the images instead",
        ),
        ("photos/empty", "photos/empty: no files in it: give a folder of images"),
        (".", ".: no files in it: give a folder of images, photos?"),
    ],
)
def test_what_names_no_image_is_told_and_spares_the_others(photos: Path, text: str, problem: str):
    tasks, problems = find_tasks([text, "photos/b9.png"], Path("out"))
    assert problems == [problem]
    assert [task.mask for task in tasks] == ["b9.png"]


@pytest.mark.parametrize(("pages", "masks"), [(1, ["a.png"]), (2, ["a-0000.png", "a-0001.png"])])
def test_an_image_of_several_pages_has_a_mask_for_each(tmp_path: Path, pages: int, masks: list[str]):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((pages, 8, 8), np.uint8), photometric="minisblack")
    tasks, _ = find_tasks([tmp_path / "a.tif"], tmp_path / "out")
    assert [task.mask for task in tasks] == masks
    assert [task.title.endswith(", page 1") for task in tasks] == [False, True][:pages]


EVERYTHING = Outputs(probabilities=("sky", "cell"), overlay=True, polygons="geojson")


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (Outputs(), ["d/a-0003.png"]),
        (Outputs(polygons="coco"), ["d/a-0003.png"]),  # one file of all images
        (
            EVERYTHING,
            [
                "d/a-0003.png",
                "d/a-0003.sky.png",
                "d/a-0003.cell.png",
                "d/a-0003.overlay.png",
                "d/a-0003.geojson",
            ],
        ),
    ],
)
def test_names_of_what_is_written(outputs: Outputs, names: list[str]):
    assert Task(Path("x/a.tif"), 3, Path("d")).names(outputs) == names


def test_what_is_read_in_strips_is_answered_as_tiff():
    task = Task(Path("slide.tif"), large=True)
    assert [task.mask, *task.maps(Outputs(("cell",)))] == ["slide.tif", "slide.cell.tif"]


@pytest.mark.parametrize(
    ("names", "outputs", "out", "problem"),
    [
        (["a.png", "b.png"], Outputs(), "out", ""),
        (["a.png", "a.bmp"], Outputs(), "out", "out/a.png: several images would become this file"),
        (["a.png"], Outputs(), "in", "in/a.png: would be written over that image: give another --out"),
        (["a.bmp"], Outputs(), "in", ""),
        (["a.png", "a.cell.png"], Outputs(("cell",)), "out", "out/a.cell.png: several images would become"),
    ],
)
def test_collisions(names: list[str], outputs: Outputs, out: str, problem: str):
    lines = list(collisions([Task(Path("in", name)) for name in names], outputs, Path(out)))
    assert len(lines) == bool(problem)
    assert all(line.startswith(problem) for line in lines)


@pytest.mark.parametrize(
    ("text", "out", "outputs", "first"),
    [
        ("photos", "photos", Outputs(), "photos/a.png"),
        ("photos", "photos/out", Outputs(), ""),
        ("photos", "out", Outputs(), ""),
        ("photos/*.tif", "photos", Outputs(), ""),  # masks beside images of another ending
        ("photos/*.tif", "photos", Outputs(objects=ObjectRule(0, 0)), "photos/a.objects.tif"),
        ("photos/**/*.tif", "photos", Outputs(objects=ObjectRule(0, 0)), "photos/a.objects.tif"),
        ("photos/**", "photos/out", Outputs(), ""),
        ("photos/a.*", "photos", Outputs(), "photos/a.png"),
        ("photos/a.tif", "photos", Outputs(), ""),
        ("deep/*/*.tif", "deep", Outputs(objects=ObjectRule(0, 0)), "deep/x/a.objects.tif"),
    ],
)
def test_outputs_that_would_be_images_of_the_same_command_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, out: str, outputs: Outputs, first: str
):
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.tif", "deep/x/a.tif"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_bytes(b"x")
    tasks, _ = find_tasks([text], Path(out))
    told = f"{first}: the same command would take it for an image the next time: give another --out"
    assert list(taken_for_images([text], tasks, outputs, Path(out))) == [told] * bool(first)


def test_coco_json_may_be_an_image_itself():
    image = Task(Path("in/coco.json"))
    assert list(collisions([image], Outputs(polygons="coco"), Path("in"))) == [
        "in/coco.json: would be written over that image: give another --out"
    ]


def test_an_output_whose_name_is_too_long_is_told_before_anything_is_written(photos: Path):
    name = "ü" * 120
    (photos / f"{name}.png").touch()
    tasks, _ = find_tasks(["photos"], Path("out"))
    assert not list(collisions(tasks, Outputs(), Path("out")))
    told = f"out/{name}.probability.png: a name of 256 bytes, 255 are possible: rename the image"
    assert list(collisions(tasks, Outputs(probabilities=("probability",)), Path("out"))) == [told]
