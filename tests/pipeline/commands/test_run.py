"""What is left behind around a run; runs themselves are in tests/test_end_to_end.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.example_gen.sample import Problem
from data.synthetic import write_cells
from pipeline.command_line import main
from pipeline.commands.run import write_skipped


def test_a_skipped_file_is_a_line_whatever_its_name(tmp_path: Path) -> None:
    names = ["a\tb.png", "new\nline.png", "back\\n.png", "d\u00e4.png"]
    write_skipped(tmp_path / "skipped.tsv", [Problem(name, "an empty file", "") for name in names])
    lines = (tmp_path / "skipped.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in lines] == [
        [name, "an empty file"] for name in (r"a\tb.png", r"new\nline.png", r"back\\n.png", "d\u00e4.png")
    ]


@pytest.mark.parametrize(
    "content", [b"nonsense" * 500, b"SQLite format 3\0" + bytes(84)], ids=["text", "torn"]
)
def test_a_damaged_metadata_store_is_a_sentence_before_anything_is_loaded(content, tmp_path, capsys):
    write_cells(tmp_path / "data", 6, (32, 32))
    root = tmp_path / "root"
    root.mkdir()
    (root / "metadata.sqlite").write_bytes(content)
    words = ["run", "--data", str(tmp_path / "data"), "--root", str(root)]
    assert main([*words, "--set", "classes={ background = 0, cell = 255 }"]) == 1
    found = capsys.readouterr()
    assert str(root / "metadata.sqlite") in found.out
    assert "Loading" not in found.out
    assert not (root / "runs").exists()
    assert (root / "metadata.sqlite").read_bytes() == content
