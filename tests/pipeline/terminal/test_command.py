"""Proposed commands can be pasted where a person is."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from pipeline.terminal.command import CHECKOUT, command, command_of, in_checkout, without_settings


def test_a_command_is_quoted():
    words = shlex.split(command_of(["run_pipeline.py", "run", "--set", "thresholds={ iou = 0.5 }"]))
    assert words[1:] == ["run_pipeline.py", "run", "--set", "thresholds={ iou = 0.5 }"]


def test_a_setting_that_is_given_anew_is_left_out():
    words = ["--data", "d", "--set", "classes={a=0}", "--set", "ignore=3", "--set", "classes = {b=0}"]
    assert without_settings(words, ["classes"]) == ["--data", "d", "--set", "ignore=3"]
    assert without_settings(words, []) == words


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_proposed_command_runs_where_it_is_pasted(
    elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path if elsewhere else CHECKOUT
    monkeypatch.chdir(folder)
    assert (shlex.split(command("check"))[1] == "run_pipeline.py") == (not elsewhere)
    line = command("run", "--root", "with space", "--print-config")
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    assert "base_filters" in done.stdout
    line = in_checkout("make help")
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    assert "setup" in done.stdout
