"""The command `report`: what it prints and returns; that a run has one is told by the end-to-end test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands import report
from pipeline.history.record import RunRecord
from pipeline.process.exit_codes import BAD_INPUT, FAILED, OK
from pipeline.root import Root


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Two runs of which only the records are left."""
    root = Root(tmp_path / "root")
    for run_id in ("20261124-020000", "20261125-020000"):
        root.run(run_id).mkdir(parents=True)
        RunRecord(run_id, "2026-11-25T00:45:05+0000", config={"steps": 60}).write(root.run(run_id))
    return root


def command(root: Root, *words: str) -> int:
    return cli.main(["report", *words, "--root", str(root.path)])


@pytest.mark.parametrize(
    ("words", "run", "name"),
    [
        ([], "20261125-020000", "report.html"),
        (["latest"], "20261125-020000", "report.html"),
        (["20261124-020000"], "20261124-020000", "report.html"),
        (["20261124-020000", "latest"], "20261125-020000", "against-20261124-020000.html"),
    ],
)
def test_the_path_is_printed(
    root: Root, words: list[str], run: str, name: str, capsys: pytest.CaptureFixture[str]
):
    assert command(root, *words) == OK
    path = root.run(run) / name
    assert capsys.readouterr().out == f"{path}\n"
    assert "20261125-020000" in path.read_text() or run == "20261124-020000"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nope"], "no run nope; the newest are: 20261124-020000, 20261125-020000"),
        (["a", "b", "c"], "one run or two"),
    ],
)
def test_a_run_that_is_not_there(
    root: Root, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert command(root, *words) == BAD_INPUT
    assert sentence in capsys.readouterr().err


def test_a_report_that_cannot_be_written(root: Root, capsys: pytest.CaptureFixture[str]):
    (root.run("20261125-020000") / "report.html").mkdir()
    assert command(root) == FAILED
    assert "the report cannot be written: " in capsys.readouterr().err
    assert [path.name for path in root.run("20261125-020000").glob(".*")] == []


def test_without_a_display_the_path_is_told(
    root: Root, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not report.has_display()
    assert command(root, "--open") == OK
    assert "No browser can be opened here" in capsys.readouterr().err


def test_no_tensorflow_is_loaded(root: Root):
    code = (
        "import sys; from pipeline.cli import main;"
        f"assert main(['report', '--root', {str(root.path)!r}]) == 0;"
        "assert 'tensorflow' not in sys.modules and 'tfx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=True)
