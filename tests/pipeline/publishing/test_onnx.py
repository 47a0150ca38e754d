"""`export onnx` on a real tiny model: what it writes, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.command_line import call
from unet.registry.model_card import write_card

pytestmark = pytest.mark.usefixtures("loaded_once")
CHECKOUT = Path(__file__).resolve().parents[3]
FACTS = {"data_sha256": "ab", "data_licence": "", "images": {}, "code": "c", "configuration": "d"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, export_tiny: Any) -> Path:
    root = tmp_path_factory.mktemp("root")
    for version in (1, 2):
        write_card(export_tiny(root / "serving" / "unet" / str(version)), version, FACTS, {})
    export_tiny(root / "elsewhere")
    return root


def export(root: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return call("export", "onnx", "--root", root, *words)


def test_it_writes_the_newest_version_or_the_one_that_is_asked_for(root: Path, tmp_path: Path) -> None:
    newest = export(root, "--out", tmp_path / "newest.onnx")
    assert (newest.returncode, newest.stderr) == (0, "")
    size = (tmp_path / "newest.onnx").stat().st_size
    assert newest.stdout == (
        f"{tmp_path}/newest.onnx: the network of {root}/serving/unet/2, {size / 1e6:.1f} MB; it takes "
        "sides of 44 + 4 k pixels, of which 40 are lost; its metadata say the rest\n"
    )
    for words, name in ((["--model", "1"], "first"), (["--model", root / "elsewhere"], "folder")):
        assert export(root, *words, "--out", tmp_path / f"{name}.onnx").returncode == 0
    models = {path.stem: onnx.load(path) for path in tmp_path.iterdir()}
    assert {name: model.model_version for name, model in models.items()} == {
        "newest": 2,
        "first": 1,
        "folder": 0,
    }


def test_bad_arguments_are_said_at_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them together, in a sentence each, and nothing is written."""
    (tmp_path / "there.onnx").write_text("mine")
    (tmp_path / "link.onnx").symlink_to("nowhere")
    for out, said in (
        ("there.onnx", "it exists already, and is not replaced: give another --out, or remove it"),
        ("link.onnx", "it exists already"),
        ("missing/a.onnx", f"there is no folder {tmp_path}/missing: make it, or give another --out"),
        ("there.onnx/a.onnx", f"there is no folder {tmp_path}/there.onnx"),
        ("", "it exists already"),
    ):
        done = export(root, "--out", tmp_path / out)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"{tmp_path / out}: ")
        assert said in done.stderr
    monkeypatch.setitem(sys.modules, "tf2onnx", None)  # as where it is not installed
    done = export(root, "--model", "9", "--out", tmp_path / "there.onnx")
    assert done.returncode == 2
    [model, out, package] = done.stderr.splitlines()
    assert model.endswith("no version 9; there are: 1, 2")
    assert "it exists already" in out
    assert package == "ONNX needs the package tf2onnx: make setup installs it, or pip install tf2onnx"
    assert sorted(os.listdir(tmp_path)) == ["link.onnx", "there.onnx"]
    assert (tmp_path / "there.onnx").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_in_which_nothing_may_be_written(root: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = export(root, "--out", tmp_path / "a.onnx")
    tmp_path.chmod(0o700)
    assert done.returncode == 2
    assert f"nothing may be written to {tmp_path}" in done.stderr


def test_a_model_that_cannot_be_converted_leaves_nothing(
    root: Path, tmp_path: Path, export_tiny: Any
) -> None:
    folder = export_tiny(tmp_path / "model")
    (folder / "assets.extra/training.json").write_text("{}")
    done = export(root, "--model", folder, "--out", tmp_path / "a.onnx")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"{folder}: no training record of this pipeline")
    assert os.listdir(tmp_path) == ["model"]


def test_arguments_are_checked_without_tensorflow(root: Path, tmp_path: Path) -> None:
    words = ["export", "onnx", "--root", str(root), "--model", "9", "--out", str(tmp_path / "a.onnx")]
    code = f"import sys\nfrom pipeline.cli import main\nmain({words!r})\nprint('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "False\n", done.stderr
