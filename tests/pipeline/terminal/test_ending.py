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


MISSED = check(value=0.4, passed=False, low=0.35, high=0.45)
NEAR = check(value=0.48, passed=False, low=0.4, high=0.55)
UNKNOWN = check(value=None, low=None, high=None, passed=False)
DROPPED = check(kind="drop", bound=0.01, value=0.55, low=-0.09, high=-0.02, p=0.01, passed=False)


def advice(tmp_path: Path, *checks: Any, state: str = "none", **summary: Any) -> str:
    """The last line of a refused run of three classes, without its label; empty without one."""
    metrics = {"foreground_iou": 0.4, "iou_b": 0.4, "iou_c": 0.4, **summary.pop("metrics", {})}
    told = {"steps": 1000, "best_step": 1000, "metrics": metrics, **summary}
    found = verdict([check(), *checks], blessed=False, state=state)
    config = {"classes": {"a": 0, "b": 1, "c": 2}}
    text = end(Root(tmp_path), "not_blessed", verdict=found, config=config, **told)
    return text.partition("  next      ")[2].rstrip("\n")


@pytest.mark.parametrize(
    ("best", "declined", "longer"),
    [(0, True, True), (600, True, False), (600, False, False), (900, True, True), (900, False, True)],
)
def test_more_steps_are_no_help_only_if_the_curves_show_it(best, declined, longer, tmp_path):
    found = advice(tmp_path, MISSED, best_step=best, declined=declined)
    assert ("train longer" in found) == longer
    claimed = "best after 600 of 1,000 steps and clearly worse later, so more may not help" in found
    assert claimed == (declined and not longer)
    assert found.endswith("lower the gate (--set 'thresholds={...}')")


@pytest.mark.parametrize(
    "metrics", [{"iou_b": 0.0}, {"iou_b": 0.004}, {"foreground_iou": 0.0}, {"foreground_iou": None}]
)
def test_more_steps_are_advised_while_classes_are_not_found(metrics, tmp_path):
    found = advice(tmp_path, MISSED, best_step=600, declined=True, metrics=metrics)
    assert "train longer" in found
    assert "may not help" not in found


def test_a_threshold_within_the_noise_is_no_reason_for_advice_about_steps(tmp_path):
    found = advice(tmp_path, NEAR, best_step=600, declined=True)
    assert "add test images (each threshold that was missed lies within its 95 % interval" in found
    assert "may not help" not in found
    assert "95 %" not in advice(tmp_path, NEAR, MISSED)


@pytest.mark.parametrize(
    ("checks", "thresholds", "drop"),
    [([MISSED], True, False), ([DROPPED], False, True), ([MISSED, DROPPED], True, True)],
)
def test_only_the_demand_that_was_missed_may_be_lowered(checks, thresholds, drop, tmp_path):
    found = advice(tmp_path, *checks)
    assert ("thresholds={...}" in found) == thresholds
    assert ("max_drop" in found) == drop


def test_what_could_not_be_measured_is_no_matter_of_training(tmp_path):
    found = advice(tmp_path, UNKNOWN)
    assert found.startswith("add test images that show what could not be measured")
    assert "train longer" not in found


def test_a_model_that_cannot_be_compared_and_missed_more_has_advice_about_both(tmp_path):
    found = advice(tmp_path, MISSED, state="incomparable")
    assert found.startswith("train longer")
    assert found.endswith("; then python run_pipeline.py run --rebaseline")


def test_a_model_that_was_withdrawn_has_no_advice_about_training(tmp_path):
    text = end(Root(tmp_path), "not_blessed", verdict=verdict([check()]), reason="it was withdrawn")
    assert "  next" not in text


def test_classes_that_are_not_found_are_told_first_in_place_of_the_weakest(tmp_path):
    metrics = {"iou_b": 0.0, "iou_c": 0.4, "iou_d": 0.001, "iou_e": None}
    config = {"classes": {name: i for i, name in enumerate("abcde")}}
    text = end(Root(tmp_path), "pushed", pushed="1", metrics=metrics, config=config)
    hints = [line for line in text.splitlines() if line.startswith("  ")]
    assert hints[0].startswith(
        "  not found b, d: 2 of 3 classes with an IoU of 0.00; docs/how-to/rare-class.md"
    )
    assert "weakest" not in text


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
