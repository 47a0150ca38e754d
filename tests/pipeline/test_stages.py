"""Every component is in one stage, and the stages are in the order of the graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages import NAMES, STAGES, WITH_BEAM, after

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "settings", [{}, {"warm_start": "latest"}, {"warm_start": "latest", "tune": "never"}]
)
def test_each_component_of_the_graph_is_in_one_stage_and_the_stages_are_in_its_order(
    settings: dict[str, Any], tmp_path: Path
):
    from pipeline.config.settings import PipelineConfig
    from pipeline.engine.runner import node_names
    from pipeline.graph import create_pipeline
    from pipeline.root import Root

    config = PipelineConfig(data=tmp_path, channels=1, **settings)
    names = node_names(create_pipeline(config, Root(tmp_path / "root")))
    found = [[NAMES.index(stage) for stage in NAMES if name in STAGES[stage]] for name in names]
    assert all(len(stages) == 1 for stages in found)
    assert found == sorted(found)  # no component of a stage runs after one of a later stage
    assert {stage for [stage] in found} == set(range(len(NAMES)))
    known = [name for stage in NAMES for name in STAGES[stage]]
    assert len(set(known)) == len(known)


def test_the_stages_that_use_beam_are_those_with_components_that_do(tmp_path: Path):
    from tfx.dsl.components.base.executor_spec import BeamExecutorSpec

    from pipeline.config.settings import PipelineConfig
    from pipeline.graph import create_pipeline
    from pipeline.root import Root

    pipeline = create_pipeline(PipelineConfig(data=tmp_path, channels=1), Root(tmp_path / "root"))
    using = {c.id for c in pipeline.components if isinstance(c.executor_spec, BeamExecutorSpec)}
    assert using
    assert [stage for stage in NAMES if using & set(STAGES[stage])] == list(WITH_BEAM)


def test_a_stage_is_followed_by_the_next_one():
    assert [after(name) for name in NAMES] == [*NAMES[1:], ""]


def test_a_scheduler_can_read_the_stages_without_the_libraries_of_the_pipeline():
    code = "import sys, pipeline.stages; print('ml_metadata' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"
