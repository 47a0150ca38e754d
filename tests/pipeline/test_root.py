"""TensorBoard finds each training under the id of its run."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.root import Root, link, refusal


@pytest.mark.parametrize(
    "typed", ["real", "real/", "link", "./link/../real", "other/../link", "other/up/real"]
)
def test_every_way_to_a_root_leads_to_the_same_one(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "other" / "up").symlink_to("..")
    for made in (False, True):
        assert Root.at(Path(typed)) == Root.at(tmp_path / typed) == Root(tmp_path.resolve() / "real")
        if not made:
            (tmp_path / "real").mkdir()


def test_what_a_path_leads_to_may_be_a_root_whatever_the_path_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run [1]").symlink_to("run")
    assert refusal("a/*/../b") == refusal("run [1]") == refusal("run {1} ! ü") == ""
    assert "run[1]" in refusal("run[1]")


def test_what_is_no_folder_is_no_root(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "loop"):
        assert refusal(str(tmp_path / name)) == f"{tmp_path / name}: no folder: give another --root"


@pytest.mark.parametrize("names", [["images", "masks"], ["runs", "notes.txt"], ["a", "b", "c", "d"]])
def test_a_folder_of_other_files_is_no_root(names: list[str], tmp_path: Path):
    for name in names:
        (tmp_path / name).touch()
    why = refusal(str(tmp_path))
    assert f"{tmp_path}: it holds files that are not of a root" in why
    assert why.endswith("): give a --root that is empty, does not exist, or holds earlier runs")
    assert refusal(str(tmp_path / "new")) == ""


def test_a_path_that_cannot_be_looked_at_is_told_by_whoever_works_on_it(tmp_path: Path):
    assert refusal(str(tmp_path / ("a" * 300))) == ""


@pytest.mark.parametrize(
    "names",
    [
        [],
        [".gitkeep", "lost+found", ".lock"],
        ["splits.json", "runs"],
        ["metadata.sqlite", "notes.txt", "images"],
        ["artifacts/ImageMaskExampleGen", "notes.txt"],
        ["serving/unet", "cells"],
        ["folds/2/artifacts/ImageMaskExampleGen", "notes.txt"],
    ],
)
def test_a_folder_that_is_empty_or_a_root_already_is_one(names: list[str], tmp_path: Path):
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    assert refusal(str(tmp_path)) == ""


def test_neither_the_machine_nor_a_home_folder_is_a_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "your home folder" in refusal(str(tmp_path))
    assert refusal("/") == refusal("/../") != ""


@pytest.mark.parametrize("name", ["", "folds"])
def test_what_cannot_be_listed_changes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home, root = tmp_path / "home", tmp_path / "root"
    (home / "folds").mkdir(parents=True)
    (root / "artifacts" / "ImageMaskExampleGen").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    listdir = os.listdir

    def broken(folder: Path) -> list[str]:
        if folder in (home / name, root / name):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", broken)
    assert "your home folder" in refusal(str(home))
    assert refusal(str(root)) == ""


def test_a_link_for_each_training_that_survives_a_move(tmp_path: Path):
    root = Root(tmp_path / "root")
    written = root.artifacts / "Trainer" / "model_run" / "8"
    written.mkdir(parents=True)
    (written / "events.out.tfevents.1").write_text("x")
    for _ in range(2):  # the second time it is there already
        link(root, "20261125-004505", written)
    moved = Root(tmp_path / "moved")
    root.path.rename(moved.path)
    assert (moved.tensorboard / "20261125-004505" / "events.out.tfevents.1").read_text() == "x"


def test_where_links_are_not_possible_nothing_happens(tmp_path: Path):
    (tmp_path / "tensorboard").write_text("in the way")
    link(Root(tmp_path), "a", tmp_path)
    assert (tmp_path / "tensorboard").read_text() == "in the way"
