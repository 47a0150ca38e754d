"""The command `check`: what it prints and imports."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from data.synthetic import write_cells
from pipeline.cli import main
from pipeline.config.profile import load, parse_overrides
from tests.command_line import call


def test_it_ends_with_the_command_that_takes_what_it_proposes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cells(tmp_path / "a b", 6, (96, 96))
    words = [
        "--data",
        str(tmp_path / "a b"),
        "--root",
        str(tmp_path / "r"),
        "--set",
        "brightness_contrast=0.2",
    ]
    assert main(["check", *words]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    found = shlex.split(last)
    assert found[1 : 3 + len(words)] == ["run_pipeline.py", "run", *words]
    assert "patch_size=284" in found[3 + len(words) :]
    load(overrides=parse_overrides([word for word in found if "=" in word]))


def test_names_are_whole_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cells(tmp_path, 6)
    name = "images/a_slide_of_week_3.png"
    (tmp_path / "images" / "cell_000.png").rename(tmp_path / name)
    monkeypatch.delenv("COLUMNS", raising=False)
    done = call("check", "--data", tmp_path, "--root", tmp_path / "root")
    assert done.returncode == 2
    assert name in done.stdout


def test_neither_tensorflow_nor_ml_metadata_is_imported(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (96, 96))
    code = "import sys; from pipeline.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    words = ["check", "--data", str(tmp_path), "--root", str(tmp_path / "root")]
    done = subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, text=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "pipeline.check.check" in loaded
    assert not {"tensorflow", "ml_metadata", "grpc"} & set(loaded)


def test_a_background_in_doubt_is_asked_about_with_everything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "600")
    write_cells(tmp_path, 6)
    (tmp_path / "masks/cell_000.png").unlink()
    words = ["--data", str(tmp_path), "--set", "classes={road=0, rim=1, car=255}"]
    assert main(["check", *words]) == 2
    told = capsys.readouterr().out
    assert "no class is called background, and metrics would leave out the first one, 'road'" in told
    assert "image without mask" in told
    commands = [shlex.split(line)[2:] for line in told.splitlines() if "run_pipeline.py check" in line]
    assert commands == [["check", *words, "--set", f"background={answer}"] for answer in ("first", "none")]
    assert main(commands[1]) == 2
    assert "no class is called background" not in capsys.readouterr().out
