"""What the arguments of a command may be, and how the others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.commands.arguments import parser
from pipeline.process.exit_codes import BAD_INPUT, OK
from tests.command_line import call


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_that_of_all_commands(word: str):
    done = call(word)
    assert done.returncode == OK
    assert all(f"\n    {command} " in done.stdout for command in ("run", "check", "predict", "rollback"))


@pytest.mark.parametrize(
    "command", [["run"], ["check"], ["runs"], ["runs", "show"], ["predict", "a.png", "--out", "o"]]
)
@pytest.mark.parametrize(
    ("root", "why"),
    [
        ("", "it is empty: name a folder"),
        ("run [1]", "run [1]: [ ] in a path means other files"),
        ("a?", "a?: ? in a path"),
        ("[/b", "[/b: [ in a path"),
        ("a\\b", "a\\b: \\ in a path"),
        ("link", "real*: * in a path"),
    ],
)
def test_a_root_that_cannot_be_is_refused_before_anything_is_done(command, root, why, tmp_path: Path):
    (tmp_path / "real*").mkdir()
    (tmp_path / "link").symlink_to("real*")
    before = sorted(tmp_path.rglob("*"))
    done = call(*command, "--root", root, cwd=tmp_path)
    assert done.returncode == BAD_INPUT
    assert "error: argument --root: " in done.stderr
    assert why in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_the_folder_that_the_default_root_is_in_counts(tmp_path: Path):
    (tmp_path / "[1]").mkdir()
    done = call("check", cwd=tmp_path / "[1]")
    assert done.returncode == BAD_INPUT
    assert f"{tmp_path}/[1]/runs: [ ] in a path means other files" in done.stderr
    assert "argument --root" not in call("predict", "a", "--out", "o", cwd=tmp_path / "[1]").stderr


def test_what_was_given_before_show_counts(tmp_path: Path):
    options = parser().parse_args(["runs", "--root", "r", "--json", "show", "7"])
    assert (options.root, options.json, options.id) == (Path("r"), True, "7")
    options = parser().parse_args(["runs", "--root", "r", "show", "--root", "s"])
    assert (options.root, options.json, options.id) == (Path("s"), False, "latest")
