"""Words of the command line: which command they call, and how its failures end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.cli import _shared, parser
from pipeline.process.exit_codes import BAD_INPUT, FAILED, OK
from tests.command_line import call


def test_without_a_command_it_is_run():
    wanted = call("run", "--print-config", "--set", "steps=7")
    found = call("--print-config", "--set", "steps=7")
    assert (found.returncode, found.stdout) == (OK, wanted.stdout)
    assert "\nsteps = 7\n" in found.stdout


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_that_of_all_commands(word: str):
    done = call(word)
    assert done.returncode == OK
    assert all(f"\n    {command} " in done.stdout for command in ("run", "check", "predict", "rollback"))


def test_a_folder_of_data_counts_more_than_a_setting(tmp_path: Path):
    done = call("run", "--print-config", "--set", "data=other", "--data", tmp_path)
    assert f'\ndata = "{tmp_path}"\n' in done.stdout


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_setting_that_cannot_be_is_bad_input(command: str):
    done = call(command, "--set", "stepz=7")
    assert (done.returncode, done.stdout) == (BAD_INPUT, "")
    assert "did you mean 'steps'?" in done.stderr


def test_a_file_in_the_way_is_one_line_that_names_it(tmp_path: Path):
    (tmp_path / ".lock").mkdir()
    done = call("rollback", "--root", tmp_path)
    assert done.returncode == FAILED
    assert done.stderr == f"{tmp_path / '.lock'}: Is a directory\n"


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


@pytest.mark.parametrize(
    ("words", "shared"),
    [
        ([], []),
        (["--profile", "default", "--root", "runs"], []),
        (["--root", "r", "--data", "d"], ["--data", "d", "--root", "r"]),
        (["--profile", "p", "--skip-bad", "--json"], ["--profile", "p", "--skip-bad"]),
        (["--set", "a=1", "--set", "b=2"], ["--set", "a=1", "--set", "b=2"]),
    ],
)
def test_the_words_of_check_that_run_understands(words: list[str], shared: list[str]):
    assert _shared(parser().parse_args(["check", *words])) == shared


def test_what_was_given_before_show_counts(tmp_path: Path):
    options = parser().parse_args(["runs", "--root", "r", "--json", "show", "7"])
    assert (options.root, options.json, options.id) == (Path("r"), True, "7")
    options = parser().parse_args(["runs", "--root", "r", "show", "--root", "s"])
    assert (options.root, options.json, options.id) == (Path("s"), False, "latest")


def test_a_reader_that_has_seen_enough_is_no_failure(monkeypatch: pytest.MonkeyPatch):
    from pipeline import cli

    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w", buffering=1) as output:
        monkeypatch.setattr("sys.stdout", output)
        assert cli.main(["run", "--print-config"]) == OK
        print("nobody is hurt by more", file=output)
