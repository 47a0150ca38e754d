"""Words of the command line: which command they call, and how its failures end."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from pipeline.cli import _shared, command, further_options
from pipeline.commands.arguments import parser
from pipeline.process.exit_codes import BAD_INPUT, FAILED, OK
from tests.command_line import call
from tests.pipeline.small_disks import mounted


def test_without_a_command_it_is_run():
    wanted = call("run", "--print-config", "--set", "steps=7")
    found = call("--print-config", "--set", "steps=7")
    assert (found.returncode, found.stdout) == (OK, wanted.stdout)
    assert "\nsteps = 7\n" in found.stdout


@pytest.mark.parametrize(("word", "left_out"), [("predict", True), ("evaluate", True), ("run", False)])
def test_what_makes_no_network_loads_no_keras(word: str, left_out: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "keras", sys)  # for it to be as before at last
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(sys, "argv", ["run_pipeline.py", word, "--help"])
    with pytest.raises(SystemExit):
        command()
    assert ("keras" in sys.modules) == left_out
    assert sys.modules.get("keras") is None


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


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ([], False),
        (["--set", "steps=5", "--data", "cells", "--profile", "p.toml", "--root", "r", "--skip-bad"], False),
        (["--debug"], False),
        (["--force"], True),
        (["--force", "Trainer"], True),
        (["--from", "Trainer"], True),
        (["--explain"], True),
        (["--verify"], True),
        (["--rebaseline"], True),
        (["--only", "ingest", "--run-id", "tonight"], False),
        (["--open"], True),
    ],
)
def test_which_options_only_a_run_can_answer(words: list[str], more: bool):
    assert bool(further_options(parser().parse_args(["run", *words]))) is more


def test_a_reader_that_has_seen_enough_is_no_failure(monkeypatch: pytest.MonkeyPatch):
    from pipeline import cli

    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w", buffering=1) as output:
        monkeypatch.setattr("sys.stdout", output)
        assert cli.main(["run", "--print-config"]) == OK
        print("nobody is hurt by more", file=output)


def test_a_full_disk_is_one_line_that_says_where_to_make_room(tmp_path: Path):
    model = tmp_path / "model"
    (model / "assets.extra").mkdir(parents=True)
    (model / "assets.extra" / "training.json").write_text(json.dumps({"classes": ["a", "b"]}))
    (model / "saved_model.pb").touch()
    (tmp_path / "a.png").touch()
    with mounted(tmp_path / "small", "size=1m") as small:
        for version in (1, 2):
            folder = small / "serving" / "unet" / str(version)
            folder.mkdir(parents=True)
            (folder / "saved_model.pb").write_bytes(bytes([version]) * 9000)
        with contextlib.suppress(OSError), (small / "of-others").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for words, place in (
            (("predict", tmp_path / "a.png", "--out", "masks", "--model", model), small / "masks"),
            (("rollback", "--root", small), small),
        ):
            done = call(*words, cwd=small)
            told = f"the disk is full: make room in {place}, then run the same command again\n"
            assert (done.returncode, done.stdout, done.stderr) == (FAILED, "", told)


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "x" * 300, "--out", "masks", "--model", "."),
        ("predict", ".", "--out", "x" * 300, "--model", "."),
        ("evaluate", "--data", "x" * 300, "--model", "."),
        ("check", "--profile", "x" * 300),
    ],
)
def test_an_argument_that_is_no_path_is_bad_input(words: tuple[str, ...], tmp_path: Path):
    record = {"classes": ["a", "b"], "class_values": [0, 1], "channels": 1}
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "training.json").write_text(json.dumps(record))
    for name in ("saved_model.pb", "a.png"):
        (tmp_path / name).touch()
    done = call(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (BAD_INPUT, "", 1)
    assert "x" * 300 in done.stderr
