"""What `compile kubeflow` refuses, before anything is made; tests/deploy/kubeflow has what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.commands.arguments import parser
from pipeline.process.exit_codes import BAD_INPUT
from pipeline.publishing import kubeflow
from tests.command_line import call


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--set", "stepz=3"], "did you mean 'steps'?"),
        (["--profile", "no.toml"], "there is no profile 'no.toml'"),
        (["--image", "my image"], "no name of an image"),
        (["--mount", "work"], "--mount work: give the absolute path"),
        (["--mount", "/"], "--mount /: give the absolute path"),
        (["--root", "/elsewhere/runs"], "--root /elsewhere/runs is not below /work"),
        (["--root", "/work/../runs"], "is not below /work"),
        (["--root", "/work"], "is not below /work"),
        (["--root", "/work/a*"], "* in a path"),
        (["--data", "cells"], "--data cells: give an absolute path"),
        (["--claim", "My_Claim"], "no name of a PersistentVolumeClaim"),
        (["--cpu", "0"], "--cpu '0' is no number of cores"),
        (["--cpu", "two"], "--cpu 'two' is no number of cores"),
        (["--memory", "4 GB"], "--memory '4 GB' is no amount"),
        (["--memory", "0Gi"], "--memory '0Gi' is no amount"),
        (["--gpus", "-1"], "--gpus must be at least 0, not -1"),
        (["--user", "0"], "--user must be at least 1, not 0"),
        (["--retries", "-1"], "--retries must be at least 0"),
        (["--retry-seconds", "0"], "--retry-seconds must be at least 1"),
        (["--data", "/work/{{x}}"], "Kubeflow would put something else"),
        (["--out", "unet.json"], "must end with .yaml"),
        (["--out", "no/unet.yaml"], "there is no folder no"),
        (["--out", "folder.yaml"], "folder.yaml is a folder"),
    ],
)
def test_what_no_cluster_could_do_is_refused_with_a_sentence(words: list[str], why: str, tmp_path: Path):
    (tmp_path / "folder.yaml").mkdir()
    done = call("compile", "kubeflow", "--image", "unet:1", "--out", "unet.yaml", *words, cwd=tmp_path)
    assert done.returncode == BAD_INPUT
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["folder.yaml"]


def test_all_mistakes_are_told_at_once(tmp_path: Path):
    words = ["--image", "my image", "--cpu", "two", "--user", "0", "--out", tmp_path / "unet.yaml"]
    done = call("compile", "kubeflow", *words)
    assert done.returncode == BAD_INPUT
    assert done.stderr.count("\n") == 3


@pytest.mark.parametrize("words", [["compile"], ["compile", "kubeflow"], ["compile", "airflow"]])
def test_what_is_to_be_compiled_must_be_said(words: list[str]):
    assert call(*words).returncode == BAD_INPUT


def test_without_its_environment_it_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kubeflow, "PYTHON", tmp_path / "python")
    done = call("compile", "kubeflow", "--image", "unet:1", "--out", tmp_path / "unet.yaml")
    assert done.returncode == BAD_INPUT
    assert "make setup-kubeflow" in done.stderr


def test_what_kfp_says_when_it_fails_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: kfp' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(kubeflow, "PYTHON", python)
    done = call("compile", "kubeflow", "--image", "unet:1", "--out", tmp_path / "unet.yaml")
    assert done.returncode == 1
    assert "ModuleNotFoundError: kfp" in done.stderr
    assert "make setup-kubeflow" in done.stderr
    assert not (tmp_path / "unet.yaml").exists()


def words_of(*given: str) -> list[str]:
    options = parser().parse_args(["compile", "kubeflow", "--image", "unet:1", "--out", "unet.yaml", *given])
    return kubeflow._words(options)


def test_the_words_of_the_stages_are_those_that_were_given():
    given = ["--profile", "paper", "--data", "/work/cells", "--root", "/work/r", "--set", "steps=7"]
    assert words_of(*given, "--skip-bad") == [*given, "--skip-bad"]
    assert words_of() == ["--root", "/work/runs"]
    assert words_of("--mount", "/volume") == ["--root", "/volume/runs"]


def test_a_file_of_settings_travels_as_words_since_no_container_has_it(tmp_path: Path):
    file = tmp_path / "cells.toml"
    file.write_text('steps = 7\ndata = "cells"\nclasses = { surroundings = 0, cell = 255 }\n')
    done = call("compile", "kubeflow", "--image", "unet:1", "--out", "unet.yaml", "--profile", file)
    assert done.returncode == BAD_INPUT
    assert "data is a folder of this machine: give --data" in done.stderr
    words = words_of("--profile", str(file), "--data", "/work/cells", "--set", "depth=2")
    assert words[:4] == ["--data", "/work/cells", "--root", "/work/runs"]
    assert words[4::2] == ["--set"] * 3
    classes = '{ "surroundings" = 0, "cell" = 255 }'
    assert set(words[5::2]) == {"steps=7", "depth=2", f"classes={classes}"}
    assert json.dumps(words)


@pytest.mark.parametrize("cpu", ["1", "0.5", "500m", "16"])
def test_amounts_of_kubernetes_are_understood(cpu: str):
    assert kubeflow._CPU.fullmatch(cpu)
