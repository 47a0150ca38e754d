"""What is printed and left behind around a run; runs themselves are in tests/test_end_to_end.py."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from components.example_gen.sample import Problem
from pipeline.commands.run import _print_end, write_skipped
from pipeline.layout import Root
from pipeline.profile import load
from pipeline.summary import Summary


@pytest.mark.parametrize("name", ["plain", "with space", "it's", "a;b $HOME"])
@pytest.mark.parametrize("status", ["pushed", "not_blessed"])
def test_hints_can_be_pasted(name: str, status: str, tmp_path: Path) -> None:
    root = Root(tmp_path / name)
    summary = Summary.of("1", load(overrides={"data": tmp_path}))
    summary.status, summary.model = status, str(root.path / "model")
    summary.pushed = str(root.serving / "1") if status == "pushed" else ""
    out = io.StringIO()
    _print_end(summary, root, tmp_path, Console(file=out, width=20))
    hints = {line.split()[0]: line for line in out.getvalue().splitlines() if line.startswith("  ")}
    words = shlex.split(hints["predict"])
    assert words[2:6] == ["run_pipeline.py", "predict", "IMAGES", "--out"]
    assert words[-1] == str(root.path / "model" if status == "not_blessed" else root.path)
    if status == "pushed":
        assert shlex.split(hints["serve"])[-2:] == ["--model-dir", str(root.serving)]


def test_a_skipped_file_is_a_line_whatever_its_name(tmp_path: Path) -> None:
    names = ["a\tb.png", "new\nline.png", "back\\n.png", "d\u00e4.png"]
    write_skipped(tmp_path / "skipped.tsv", [Problem(name, "an empty file", "") for name in names])
    lines = (tmp_path / "skipped.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in lines] == [
        [name, "an empty file"] for name in (r"a\tb.png", r"new\nline.png", r"back\\n.png", "d\u00e4.png")
    ]
