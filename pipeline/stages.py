"""The stages of a run: the components that one process runs when a scheduler makes a run in parts.

The one list of them: the command line, the history and the schedulers take it from here. Imports nothing.
"""

from __future__ import annotations

import itertools

# In the order of the graph; a component that a configuration leaves out is none of the nodes of a run.
STAGES = {
    "ingest": (
        "ImageMaskExampleGen",
        "StatisticsGen",
        "SchemaGen",
        "ExampleValidator",
        "BlessedStatistics",
        "DistributionValidator",
    ),
    "transform": ("Transform",),
    "train": ("Tuner", "WarmStart", "Trainer"),
    "evaluate": ("BlessedBaseline", "Evaluator", "InfraValidator"),
    "push": ("Pusher",),
}
NAMES = tuple(STAGES)
FIRST = NAMES[0]
WITH_BEAM = ("ingest", "transform", "evaluate")


def after(stage: str) -> str:
    """Returns the stage that follows a stage; empty after the last one."""
    return dict(itertools.pairwise(NAMES)).get(stage, "")
