from __future__ import annotations

import concurrent.futures
import logging

import pytest

from unet import progress


class Kept(logging.Handler):
    """Keeps what is reported."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def rows(self, *names: str) -> list[tuple[object, ...]]:
        return [tuple(record.__dict__[name] for name in names) for record in self.records]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_a_report_holds_what_is_done_of_how_much(kept: Kept) -> None:
    with progress.shown_by(kept):
        progress.report("reading", 3, 10)
        progress.report("training", 4, 20, {"loss": 0.5})
    names = ("msg", "args", "step", "steps", "values")
    assert kept.rows(*names) == [
        ("%s", ("reading",), 3, 10, {}),
        ("%s", ("training",), 4, 20, {"loss": 0.5}),
    ]
    assert {record.levelno for record in kept.records} == {logging.INFO}


def test_only_the_handler_gets_it_and_only_in_the_block(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    def interrupted() -> None:
        with progress.shown_by(kept):
            progress.report("reading", 1, 2)
            raise KeyboardInterrupt

    before = progress.logger.level, progress.logger.propagate
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (progress.logger.level, progress.logger.propagate) == before
    progress.report("reading", 2, 2)
    assert kept.rows("step") == [(1,)]
    assert not caplog.records


def test_what_many_threads_do_is_counted_once_each(kept: Kept) -> None:
    with progress.shown_by(kept), concurrent.futures.ThreadPoolExecutor(8) as pool:
        count = progress.Count("reading", 200)
        list(pool.map(lambda _: count.add(), range(200)))
    assert kept.rows("step", "steps") == [(i, 200) for i in range(1, 201)]


def test_where_nothing_waits_it_is_refused_and_later_work_goes_on():
    assert not progress.request()
    with progress.deferred():
        progress.end_if_requested()


def test_work_that_promised_to_look_ends_once():
    with progress.deferred():
        assert progress.request()
        with pytest.raises(KeyboardInterrupt) as found:
            progress.end_if_requested()
        assert found.type is progress.Interrupted
        progress.end_if_requested()


def test_a_request_does_not_outlive_the_work_that_it_was_made_to():
    with progress.deferred():
        assert progress.request()
    assert not progress.request()
    with progress.deferred():
        progress.end_if_requested()
