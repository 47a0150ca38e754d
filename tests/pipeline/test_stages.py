"""Every component is in one stage, and the stages are in the order of the graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages import NAMES, STAGES, after

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("settings", [{}, {"warm_start": True}, {"warm_start": True, "tune": "never"}])
def test_each_component_of_the_graph_is_in_one_stage_in_the_order_of_the_graph(
    settings: dict[str, Any], tmp_path: Path
):
    from pipeline.config.settings import PipelineConfig
    from pipeline.graph import create_pipeline
    from pipeline.root import Root
    from pipeline.runner import node_names

    config = PipelineConfig(data=tmp_path, channels=1, **settings)
    names = node_names(create_pipeline(config, Root(tmp_path / "root")))
    placed = [name for stage in NAMES for name in STAGES[stage]]
    assert [name for name in placed if name in names] == names
    assert len(set(placed)) == len(placed)


def test_a_stage_is_followed_by_the_next_one():
    assert [after(name) for name in NAMES] == [*NAMES[1:], ""]


def test_a_scheduler_can_read_the_stages_without_the_libraries_of_the_pipeline():
    code = "import sys, pipeline.stages; print('ml_metadata' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"
