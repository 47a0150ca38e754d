"""`average` on real tiny models: what it writes, and what it refuses."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.commands import average as command
from unet.export import average as mean
from unet.registry.versions import newest_version, versions

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, export_tiny: Any) -> Path:
    root = tmp_path_factory.mktemp("root")
    for version in (1, 2):
        export_tiny(root / "serving" / "unet" / str(version), seed=version)
    return root


def average(root: Path, *words: object) -> int:
    return main(["average", *map(str, words), "--root", str(root)])


def test_it_is_a_version_that_predicts_as_the_models_do_together(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, image = tmp_path / "mean", tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)).save(image)
    models = ["--model", 1, "--model", root / "serving" / "unet"]
    assert average(root, *models, "--out", out) == 0
    assert average(root, *models, "--out", out) == 0  # again: the same model is not added a second time
    first, second = capsys.readouterr().out.splitlines()
    version = newest_version(out)
    assert versions(out) == [version]
    assert first == f"{out / str(version)}: the mean of 2 models"
    assert second == f"{first}, as it was"
    graph = out / str(version) / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    assert average(root, *models, "--out", out) == 0  # a damaged one is made again
    (out / str(version)).rename(tmp_path / "damaged")
    version = newest_version(out)
    assert f"{out / str(version)}: the mean of 2 models\n" == capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == {str(version), "latest.json", ".lock"}
    for name, words in {"together": models, "mean": ["--model", out]}.items():
        argv = ["predict", image, *words, "--out", tmp_path / name, "--root", root]
        assert main([str(word) for word in argv]) == 0
    together, mean = (np.asarray(Image.open(tmp_path / name / "a.png")) for name in ("together", "mean"))
    assert (together != mean).mean() < 1e-3  # float rounding where two classes are as likely


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "1"], "a single model is its own mean"),
        ([], "a single model is its own mean"),
        (["--model", "1", "--model", "1"], "a model is given twice"),
        (["--model", "1", "--model", "9"], "no version 9; there are: 1, 2"),
        (["--model", "1", "--model", "nowhere"], "nowhere: no folder of this name, and no run"),
    ],
)
def test_bad_arguments_are_said_at_once(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert average(root, *words, "--out", tmp_path / "mean") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "mean").exists()


def test_a_model_is_no_folder_of_versions(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert average(root, "--model", 1, "--model", 2, "--out", root / "serving" / "unet" / "1") == 2
    assert "a model itself" in capsys.readouterr().err


def test_one_that_is_ended_while_it_is_made_leaves_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def ended(models: object, folder: Path, test_time_augmentation: bool) -> None:
        folder.mkdir()
        (folder / "saved_model.pb").touch()
        made.append(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(mean, "average", ended)
    with pytest.raises(KeyboardInterrupt):
        command.average(["1", "2"], tmp_path / "mean", root, False)
    [folder] = made
    assert folder.is_relative_to(tempfile.gettempdir())  # a kill leaves it there
    assert not folder.exists()
    assert not any((tmp_path / "mean").iterdir())


@pytest.mark.parametrize("way", ["straight", "link"])
def test_it_does_not_push_where_runs_push(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    out = root / "serving" / "unet"
    before = sorted(os.listdir(out))
    if way == "link":
        (tmp_path / "link").symlink_to(out)
        out = tmp_path / "link"
    assert average(root, "--model", 1, "--model", 2, "--out", out) == 2
    assert f"{out}: runs push here" in capsys.readouterr().err
    assert sorted(os.listdir(out)) == before
