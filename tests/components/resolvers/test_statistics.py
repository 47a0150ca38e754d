"""The statistics of the data that the last blessed model was judged on."""

from __future__ import annotations

from typing import Any

import pytest
from tfx.types.standard_artifacts import ExampleStatistics, ModelBlessing

from components.resolvers.statistics import BlessedStatisticsStrategy
from tests.components.resolvers.lineage import empty_store, execute, put


class Runs:
    """Runs one after another, each with its examples, statistics and blessing."""

    def __init__(self) -> None:
        self.store = empty_store()
        self.statistics: list[ExampleStatistics] = []
        self.blessings: list[ModelBlessing] = []

    def add(self, blessed: int = 1, of: int | None = None) -> None:
        """A run on new data, or on those of an earlier run, which come from the cache."""
        examples, written, judged = put(self.store, 3)
        execute(self.store, wrote={"examples": [examples]})
        execute(self.store, {"examples": [examples]}, {"statistics": [written], "other": [judged]})
        execute(self.store, {"examples": [examples]}, {"blessing": [judged]})
        statistics, blessing = ExampleStatistics(), ModelBlessing()
        statistics.id, blessing.id = written, judged
        blessing.set_int_custom_property("blessed", blessed)
        self.statistics.append(statistics)
        self.blessings.append(blessing)

    def baseline(self, known: list[Any] | None = None) -> list[Any]:
        """What the newest run is compared with."""
        known = self.statistics if known is None else known
        given = {"current": self.statistics[-1:], "baseline": known, "blessing": self.blessings}
        found = BlessedStatisticsStrategy().resolve_artifacts(self.store, given)
        assert (found["current"], found["blessing"]) == (self.statistics[-1:], [])
        return found["baseline"]


@pytest.fixture
def runs() -> Runs:
    return Runs()


def test_the_first_run_has_none(runs: Runs):
    runs.add(blessed=0)
    assert runs.baseline() == []


def test_they_are_those_of_the_last_blessed_model(runs: Runs):
    for blessed in (1, 1, 0, 0):
        runs.add(blessed)
    assert runs.baseline() == [runs.statistics[1]]


def test_the_current_ones_are_nothing_to_compare_with(runs: Runs):
    runs.add()
    runs.add()
    assert runs.baseline() == []


def test_where_those_of_the_last_are_gone_the_blessed_before_it_counts(runs: Runs):
    for blessed in (1, 1, 0):
        runs.add(blessed)
    assert runs.baseline([runs.statistics[0], runs.statistics[2]]) == [runs.statistics[0]]


def test_of_several_statistics_of_the_same_data_the_newest_count(runs: Runs):
    runs.add(1)
    [examples] = {
        event.artifact_id
        for event in runs.store.get_events_by_execution_ids([3])
        if event.artifact_id != runs.blessings[0].id
    }
    [later] = put(runs.store, 1)
    execute(runs.store, {"examples": [examples]}, {"statistics": [later]})
    again = ExampleStatistics()
    again.id = later
    runs.add(0)
    assert runs.baseline([runs.statistics[0], again]) == [again]


def test_those_of_a_withdrawn_model_are_nothing_to_compare_with(runs: Runs):
    for blessed in (1, 1, 0):
        runs.add(blessed)
    runs.blessings[1].set_int_custom_property("withdrawn", 1)
    assert runs.baseline() == [runs.statistics[0]]
