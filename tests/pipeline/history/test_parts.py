"""How far a run in parts has come, by its components."""

from __future__ import annotations

import pytest

from pipeline.history.executions import CACHED, DONE, FAILED, WAITING, Node
from pipeline.history.parts import is_done, next_stage
from pipeline.stages import NAMES, STAGES


def nodes(count: int, state: str = WAITING) -> list[Node]:
    """All components, of which the first ones are finished, and the next one is in a state."""
    names = [name for stage in NAMES for name in STAGES[stage]]
    states = [(CACHED, DONE)[i % 2] if i < count else WAITING for i in range(len(names))]
    if count < len(names):
        states[count] = state
    return [Node(name, state) for name, state in zip(names, states, strict=True)]


@pytest.mark.parametrize(
    ("count", "state", "stage"),
    [
        (0, WAITING, "ingest"),
        (5, FAILED, "ingest"),
        (6, WAITING, "transform"),
        (7, WAITING, "train"),
        (9, FAILED, "train"),
        (10, WAITING, "evaluate"),
        (13, FAILED, "push"),
        (14, WAITING, ""),
    ],
)
def test_the_first_stage_with_an_unfinished_component_comes_next(count: int, state: str, stage: str):
    assert next_stage(nodes(count, state)) == stage
    done = NAMES[: NAMES.index(stage)] if stage else NAMES
    assert [name for name in NAMES if is_done(name, nodes(count, state))] == list(done)


def test_a_component_that_the_configuration_leaves_out_keeps_no_stage_open():
    without_tuner = [node for node in nodes(10) if node.name not in ("Tuner", "WarmStart")]
    assert next_stage(without_tuner) == "evaluate"


def test_a_run_whose_components_are_not_known_yet_has_finished_nothing():
    assert next_stage([]) == "ingest"
