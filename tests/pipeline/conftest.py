"""A root with runs that never ran."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.pipeline.answered_runs import Place, make_place
from tests.pipeline.recorded_runs import RecordedRuns


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[RecordedRuns]:
    """An empty root to add runs to."""
    runs = RecordedRuns(tmp_path / "root")
    yield runs
    with suppress(AttributeError):
        runs.close()


@pytest.fixture
def place(recorded: RecordedRuns, tmp_path: Path) -> Place:
    """A root whose last run left its answer."""
    return make_place(recorded, tmp_path)
