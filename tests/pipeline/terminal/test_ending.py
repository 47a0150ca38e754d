"""What a person is told at the end of a run: the reason, what was kept, and what can be typed next."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.history.record import RunRecord
from pipeline.history.summary import RunSummary
from pipeline.root import Root
from pipeline.terminal.ending import print_end
from tests.pipeline.terminal.test_verdict import check, verdict


def end(
    root: Root, status: str, config: dict[str, Any] | None = None, verdict: Any = None, **summary: Any
) -> str:
    """What is printed, on a terminal far too narrow for it."""
    out = io.StringIO()
    record = RunRecord("1", "", command="python run_pipeline.py run", nodes=["A", "B", "C"])
    told = RunSummary("1", config or {}, status=status, **summary)
    print_end(told, record, 2, root, root.run("1"), Console(file=out, width=20), verdict)
    return out.getvalue()


@pytest.mark.parametrize("name", ["plain", "with space", "it's", "a;b $HOME"])
@pytest.mark.parametrize("status", ["pushed", "not_blessed"])
def test_hints_can_be_pasted(name, status, tmp_path):
    root = Root(tmp_path / name)
    pushed = str(root.serving / "1") if status == "pushed" else ""
    text = end(root, status, model=str(root.path / "model"), pushed=pushed)
    hints = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    words = shlex.split(hints["predict"])
    assert words[2:6] == ["run_pipeline.py", "predict", "IMAGES", "--out"]
    assert words[-1] == str(root.path / "model" if status == "not_blessed" else root.path)
    if status == "pushed":
        assert shlex.split(hints["serve"])[-2:] == ["--model-dir", str(root.serving)]


def test_a_refused_run_names_the_weakest_of_several_classes(tmp_path):
    metrics = {"iou_sky": 0.1, "iou_nucleus": 0.84, "iou_border": 0.155, "precision_border": 0.49}
    config = {"classes": {"sky": 0, "nucleus": 1, "border": 2}}
    text = end(Root(tmp_path), "not_blessed", metrics=metrics, config=config)
    assert "  weakest   border: IoU 0.15, precision 0.49; docs/how-to/rare-class.md" in text
    assert (Path(__file__).resolve().parents[3] / "docs/how-to/rare-class.md").is_file()


@pytest.mark.parametrize(
    ("best", "iou", "longer"),
    [(0, 0.4, True), (600, 0.4, False), (600, 0.0, True), (600, None, True), (900, 0.4, True)],
)
def test_a_refused_run_is_to_be_longer_only_if_it_still_learned_at_its_end(best, iou, longer, tmp_path):
    metrics = {"foreground_iou": iou}
    text = end(Root(tmp_path), "not_blessed", steps=1000, best_step=best, metrics=metrics)
    assert ("train longer" in text) == longer
    assert ("best after 600 of 1,000 steps" in text) == (not longer)


@pytest.mark.parametrize("metrics", [{}, {"iou_b": 0.1}, {"iou_b": 0.1, "iou_c": None}])
def test_where_one_class_is_measured_none_is_the_weakest(metrics, tmp_path):
    config = {"classes": {"a": 0, "b": 1, "c": 2}}
    assert "weakest" not in end(Root(tmp_path), "not_blessed", metrics=metrics, config=config)


def test_an_interrupted_run_says_what_was_kept_and_the_command_that_goes_on(tmp_path):
    root = Root(tmp_path)
    text = end(root, "interrupted", reason="stopped by a signal in Trainer")
    assert "Interrupted: stopped by a signal in Trainer. Kept: 2 of 3 components." in text
    assert "  go on     python run_pipeline.py run\n" in text
    for step in (250, 500):
        path = root.checkpoints / "ab12" / f"step-{step:09d}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert "Kept: 2 of 3 components and the training up to step 500." in end(root, "interrupted")


def test_a_failed_run_names_its_log(tmp_path):
    text = end(Root(tmp_path), "failed", reason="Trainer: ValueError: no")
    assert "Failed: Trainer: ValueError: no" in text
    assert f"  log       {tmp_path / 'runs' / '1' / 'log.txt'}\n" in text


def test_a_model_that_cannot_be_compared_is_no_reason_to_train_longer(tmp_path):
    found = verdict([check()], blessed=False, state="incomparable", why="its classes are others")
    text = end(Root(tmp_path), "not_blessed", verdict=found)
    assert "  next      python run_pipeline.py run --rebaseline" in text
    assert "train longer" not in text


def test_after_a_part_the_next_one_can_be_pasted(tmp_path):
    out = io.StringIO()
    record = RunRecord("a+b", "", stage="ingest", arguments=["--data", "cells dir"])
    told = RunSummary("a+b", {}, status="waiting")
    print_end(told, record, 2, Root(tmp_path), tmp_path, Console(file=out, width=20))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("Done: ingest ")
    [following] = [line for line in lines if line.startswith("  next ")]
    wanted = ["run_pipeline.py", "run", "--only", "transform", "--run-id", "a+b", "--data", "cells dir"]
    assert shlex.split(following)[2:] == wanted
