"""The files that a run left, and a sentence for each that cannot be used."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.artifacts import RunArtifacts
from tests.pipeline.report.conftest import Made, damaged
from tests.pipeline.report.pages import page


def nan(path: Path) -> None:
    """No number is known any more."""
    path.write_text(
        re.sub(r"-?\d+\.\d+(e-?\d+)?", "null" if path.suffix == ".json" else "nan", path.read_text())
    )


CHANGES: dict[str, Callable[[Path], Any]] = {
    "cut": damaged,
    "nan": nan,
    "gone": lambda path: path.unlink(),
    "list": lambda path: path.write_text("[]"),
    "object": lambda path: path.write_text("{}"),
    "rows": lambda path: path.write_text("[{}]"),
    "bytes": lambda path: path.write_bytes(b"\xff\x00"),
    "deep": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(
    ("node", "key", "file", "section"),
    [
        ("Evaluator", "evaluation", "verdict.json", "verdict"),
        ("Evaluator", "evaluation", "images.json", "distribution"),
        ("Evaluator", "evaluation", "pictures/index.json", "images"),
        ("Tuner", "tuner_results", "tuner_results.json", "search"),
        ("Trainer", "model_run", "curves.csv", "curves"),
        ("Trainer", "model_run", "samples/index.json", "samples"),
    ],
)
def test_a_damaged_file_is_a_sentence_in_its_section(
    make: Callable[..., Made], node: str, key: str, file: str, section: str, change: Callable[[Path], Any]
):
    made = make()
    change(made.folder(node, key) / file)
    text = page(made).text
    assert len(text) > 9  # the other sections are there
    assert len(text.get(section, text[""])) > 20
    assert "Traceback" not in "".join(text.values())
    assert "image 0003" in text["distribution"] or section == "distribution"


@pytest.mark.parametrize("node", ["StatisticsGen", "Tuner", "Trainer", "Evaluator"])
def test_deleted_artifacts_are_told(make: Callable[..., Made], node: str):
    made = make()
    shutil.rmtree(made.root.artifacts / made.run.id / node)
    text = "".join(page(made).text.values())
    assert "is gone: it was deleted after the run" in text
    assert "cannot be shown" not in text


@pytest.mark.parametrize(
    ("classes", "foreground"), [(["a", "b"], []), (["a", "b", "c"], ["b", "c"])], ids=["two", "three"]
)
def test_classes_are_told_by_themselves_where_there_are_several(
    make: Callable[..., Made], classes: list[str], foreground: list[str]
):
    made = make(classes=classes)
    found = RunArtifacts(made.root, made.run)
    assert (found.classes, found.foreground_classes) == (classes, foreground)


def test_the_end_of_a_log_is_its_last_lines_as_a_person_saw_them(make: Callable[..., Made]):
    made = make()
    log = made.root.run(made.run.id) / "log.txt"
    log.write_text("".join(f"line {i}\n" for i in range(50)) + "1 %\r100 %\r\n\x1b[31mred\tx\n")
    lines = RunArtifacts(made.root, made.run).log_tail.splitlines()
    assert (len(lines), lines[0], lines[-2:]) == (40, "line 12", ["100 %", "[31mred\tx"])
    log.unlink()
    assert RunArtifacts(made.root, made.run).log_tail == ""
