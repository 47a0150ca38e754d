"""`run --folds all`: what it refuses, what it tells of the folds, and how it ends when it is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data.synthetic import write_cells
from pipeline.commands.folds import print_scores
from pipeline.process.exit_codes import BAD_INPUT, INTERRUPTED
from tests.command_line import call
from unet.fingerprint import CHECKOUT


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "fold=1"], "fold = 1 names one"),
        (["--only", "ingest", "--verify"], "leave out --verify, --only"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(words: list[str], told: str, tmp_path: Path):
    write_cells(tmp_path / "cells", 4, (64, 64), seed=1)
    done = call("run", "--folds", "all", "--data", "cells", "--root", "r", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (BAD_INPUT, "")
    assert told in done.stderr
    assert not (tmp_path / "r").exists()


def test_what_is_wrong_with_the_data_is_told_by_the_first_run(tmp_path: Path):
    done = call("run", "--folds", "all", "--data", "nowhere", "--root", "r", cwd=tmp_path)
    assert done.returncode == BAD_INPUT
    assert "no such folder" in done.stdout
    assert "Fold 1" not in done.stdout


def test_a_root_of_single_runs_is_not_that_of_a_mean(place):
    place.root.metadata.touch()
    done = call("run", "--folds", "all", "--data", place.data, "--root", place.root.path)
    assert done.returncode == BAD_INPUT
    assert "single runs push here" in done.stderr


def test_the_folds_are_those_that_a_manifest_declares_and_an_interruption_leaves_no_run(tmp_path: Path):
    write_cells(tmp_path / "cells", 8, (64, 64), seed=1)
    rows = [f"images/{path.name},masks/{path.name},{i % 4}" for i, path in
            enumerate(sorted((tmp_path / "cells/images").iterdir()))]  # fmt: skip
    (tmp_path / "cells/manifest.csv").write_text("\n".join(["image,mask,fold", *rows]) + "\n")
    words = ["run", "--folds", "all", "--data", "cells", "--root", "r"]
    command = [sys.executable, str(CHECKOUT / "run_pipeline.py"), *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"Fold 0, 1 of 4: {tmp_path}/r/folds/0\n"
        process.send_signal(signal.SIGTERM)
        process.stdout.read()  # until the run of the fold has ended, too
    assert process.returncode == INTERRUPTED
    assert not (tmp_path / "r/folds/1").exists()


def test_each_metric_is_told_with_mean_and_deviation(capsys: pytest.CaptureFixture[str]):
    print_scores(
        {
            0: {"foreground_iou": 0.5, "v_rand": None, "example_count": 2.0},
            3: {"foreground_iou": 0.7, "v_rand": 0.9, "example_count": 3.0},
        }
    )
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["metric", "mean", "deviation", "fold", "0", "fold", "3"]
    assert row.split() == ["foreground_iou", "0.6000", "0.1000", "0.5000", "0.7000"]
