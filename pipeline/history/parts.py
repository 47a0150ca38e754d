"""How far a run that is made in parts has come."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.history.executions import CACHED, DONE, Node
from pipeline.stages import NAMES, STAGES


def is_done(stage: str, nodes: Sequence[Node]) -> bool:
    """Whether a run has finished a stage.

    Args:
        stage: name of the stage.
        nodes: all components of the run, also those that have not begun; empty if they are not known yet.
    """
    own = [node for node in nodes if node.name in STAGES[stage]]
    return bool(nodes) and all(node.state in (CACHED, DONE) for node in own)


def next_stage(nodes: Sequence[Node]) -> str:
    """Returns the first stage that a run has not finished; empty if it has finished all of them."""
    return next((stage for stage in NAMES if not is_done(stage, nodes)), "")
