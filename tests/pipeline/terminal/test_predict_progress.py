"""What is said while images are predicted, by a clock that the tests set."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.terminal import predict_progress
from pipeline.terminal.console import SECONDS_BETWEEN_LINES
from pipeline.terminal.predict_progress import PredictionProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """`clock.now` is the time, in seconds."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(predict_progress, "time", clock)
    return clock


def test_a_line_comes_now_and_then_where_there_is_no_terminal(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
):
    with PredictionProgress(3) as progress:
        clock.now += 500  # the model is loaded
        progress.begin()
        progress.start("a.tif")
        clock.now += SECONDS_BETWEEN_LINES - 0.1
        progress.share(0.25)
        assert capsys.readouterr().err == ""
        clock.now += 0.1
        progress.share(0.5)
        assert capsys.readouterr().err == "0 of 3 images; a.tif: 50%\n"
        clock.now += SECONDS_BETWEEN_LINES - 0.1
        progress.end(good=True)
        assert capsys.readouterr().err == ""
        clock.now += 0.1
        progress.end(good=True)
        assert capsys.readouterr().err == "2 of 3 images, 20.0 s an image\n"


def test_a_problem_is_a_line_at_once_and_is_printed_whole(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
):
    with PredictionProgress(1) as progress:
        progress.problem("[red] " + "x" * 300)
    assert capsys.readouterr().err == "[red] " + "x" * 300 + "\n"


@pytest.mark.parametrize(
    ("total", "ends", "seconds", "images", "summary"),
    [
        (0, [], 1, 0, "0 of 0 images"),
        (2, [True, True], 1, 2, "2 of 2 images, 2.0 images/s"),
        (2, [True, True], 2, 2, "2 of 2 images, 1.0 images/s"),
        (2, [True, True], 2.5, 2, "2 of 2 images, 1.2 s an image"),
        (4, [True, False, True, False], 2, 4, "2 of 4 images, 2 could not be used, 2.0 images/s"),
        (0, [], 1, 5, "0 of 5 images, 5 skipped, as they were finished before"),
        (
            3,
            [True, False, True],
            6,
            5,
            "2 of 5 images, 2 skipped, as they were finished before, 1 could not be used, 2.0 s an image",
        ),
    ],
)
def test_the_summary(clock: SimpleNamespace, total, ends, seconds, images, summary):
    with PredictionProgress(total) as progress:
        progress.begin()
        for good in ends:
            progress.end(good)
        clock.now += seconds
        assert progress.summary(images) == summary


def test_no_time_at_all_is_no_division_by_zero(clock: SimpleNamespace):
    progress = PredictionProgress(1)
    progress.end(good=True)
    assert progress.summary(1).endswith("images/s")


@pytest.mark.parametrize(("length", "shown"), [(40, "x" * 40), (41, "…" + "x" * 39)])
def test_a_long_name_keeps_its_end(clock: SimpleNamespace, length: int, shown: str):
    progress = PredictionProgress(1)
    progress.start("x" * length)
    [task] = progress._bar.tasks
    assert task.description == shown
