"""What is left behind around a run; runs themselves are in tests/test_end_to_end.py."""

from __future__ import annotations

from pathlib import Path

from components.example_gen.sample import Problem
from pipeline.commands.run import write_skipped


def test_a_skipped_file_is_a_line_whatever_its_name(tmp_path: Path) -> None:
    names = ["a\tb.png", "new\nline.png", "back\\n.png", "d\u00e4.png"]
    write_skipped(tmp_path / "skipped.tsv", [Problem(name, "an empty file", "") for name in names])
    lines = (tmp_path / "skipped.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in lines] == [
        [name, "an empty file"] for name in (r"a\tb.png", r"new\nline.png", r"back\\n.png", "d\u00e4.png")
    ]
