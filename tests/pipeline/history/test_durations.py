"""What is told of the time to come."""

from __future__ import annotations

import pytest

from pipeline.history import durations
from pipeline.history import runs as history
from tests.pipeline.recorded_runs import CACHED, COMPLETE, CONFIG, NODES


def test_the_newest_run_in_which_a_component_worked_counts(recorded):
    recorded.add("1", components={name: {"seconds": 10.0} for name in NODES})
    recorded.add("2", components={name: {"seconds": 20.0} for name in NODES})
    states = {"ImageMaskExampleGen": CACHED, "Trainer": COMPLETE}
    recorded.add("3", states, components={name: {"seconds": 0.1} for name in NODES})
    runs = history.runs(recorded.root.path)
    found = durations.expected(runs, CONFIG)
    assert found == {"ImageMaskExampleGen": 20.0, "Trainer": 0.1, "Evaluator": 20.0, "Pusher": 20.0}


def test_a_training_with_other_settings_tells_nothing(recorded):
    recorded.add("1", components={name: {"seconds": 10.0} for name in NODES})
    runs = history.runs(recorded.root.path)
    other = {**CONFIG, "steps": 1000}
    assert "Trainer" not in durations.expected(runs, other)
    assert durations.expected(runs, other)["Evaluator"] == 10.0
    assert durations.expected(runs, {**CONFIG, "data": "elsewhere"})["Trainer"] == 10.0
    assert durations.is_repetition(runs, CONFIG)
    assert not durations.is_repetition(runs, other)
    assert durations.expected([], CONFIG) == {}


@pytest.mark.parametrize(
    ("at_work", "worked", "share", "left"),
    [
        ("", 0, None, 30.0),
        ("a", 4, None, 36.0),  # 6 of its usual 10 seconds
        ("a", 40, None, 30.0),  # longer than usual
        ("a", 4, 0.1, 36.0),  # too early for its own count
        ("a", 4, 0.5, 34.0),
        ("new", 4, 0.1, 66.0),
        ("new", 4, None, None),
    ],
)
def test_what_is_left(at_work, worked, share, left):
    seconds = {"a": 10.0, "b": 10.0, "c": 20.0}
    assert durations.left(["b", "c"], seconds, at_work, worked, share) == (
        None if left is None else pytest.approx(left)
    )


def test_without_earlier_runs_nothing_is_estimated():
    assert durations.left(["a"], {}, "b", 4, 0.5) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (3.21, "3.2 s"), (9.96, "10 s"), (45.4, "45 s"), (59.7, "1 min 0 s"), (294, "4 min 54 s"),
        (7300, "2 h 1 min"),
    ],
)  # fmt: skip
def test_a_duration_in_words(seconds, words):
    assert durations.format_duration(seconds) == words
