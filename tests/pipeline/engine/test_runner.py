"""The code of a component is part of its cache key; what a dead process left running is closed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata
from tfx.proto.orchestration import executable_spec_pb2, local_deployment_config_pb2, pipeline_pb2

from pipeline.engine.runner import NodeFailed, _close_abandoned, _finished, select, stamp
from tests.pipeline.recorded_runs import COMPLETE, FAILED, RUNNING
from unet.errors import BadInput
from unet.fingerprint import parts


def stamped(executor: str = "", driver: str = "", beam: str = "", **parameters: str) -> Any:
    """The code of a component that TFX runs by these classes with these parameters."""
    ir, deployment = pipeline_pb2.Pipeline(), local_deployment_config_pb2.LocalDeploymentConfig()
    node = ir.nodes.add().pipeline_node
    node.node_info.id = "Node"
    for name, value in parameters.items():
        node.parameters.parameters[name].field_value.string_value = value
    if executor:
        deployment.executor_specs["Node"].python_class_executable_spec.class_path = executor
    if beam:
        spec = deployment.executor_specs["Node"].beam_executable_spec
        spec.python_executor_spec.CopyFrom(executable_spec_pb2.PythonClassExecutableSpec(class_path=beam))
    if driver:
        deployment.custom_driver_specs["Node"].python_class_executable_spec.class_path = driver
    stamp(ir, deployment)
    return json.loads(node.parameters.parameters["code"].field_value.string_value)


@pytest.mark.parametrize(
    ("node", "modules"),
    [
        ({"executor": "components.schema._Executor"}, {"components.schema"}),
        ({"beam": "components.evaluator.component.Executor"}, {"components.evaluator.component"}),
        ({"driver": "components.example_gen.component.Driver"}, {"components.example_gen.component"}),
        (
            {
                "driver": "components.example_gen.component.Driver",
                "beam": "components.example_gen.executor.Executor",
            },
            {"components.example_gen.component", "components.example_gen.executor"},
        ),
        ({"run_fn": "components.trainer.run_fn"}, {"components.trainer"}),
        ({"module": "components.transform"}, {"components.transform", "components"}),
        ({"function": "unet.training.loop.fit"}, {"unet.training.loop"}),
        (
            {"executor": "tfx.components.tuner.executor.Executor", "tuner_fn": "components.tuner.tuner_fn"},
            {"components.tuner"},
        ),
    ],
)  # fmt: skip
def test_the_code_is_that_of_the_modules_that_a_node_names(node: dict[str, str], modules: set[str]):
    assert stamped(**node) == parts(modules)


@pytest.mark.parametrize(
    "name",
    [
        "tfx.components.trainer.executor.Executor",  # of TFX, not of this project
        "mycomponents.trainer.run_fn",
        "components",
        "components.nothing.run_fn",
        "/home/ann/unet/data",
    ],
)
def test_what_only_looks_like_a_name_of_ours_counts_for_nothing(name: str):
    assert stamped(word=name) == parts(set())


def test_the_statistics_depend_on_the_library_that_computes_them():
    assert "tensorflow-data-validation" in stamped(executor="components.statistics.StatisticsGenExecutor")


def test_each_node_has_its_own_code():
    ir, deployment = pipeline_pb2.Pipeline(), local_deployment_config_pb2.LocalDeploymentConfig()
    for name in ("trainer", "tuner"):
        ir.nodes.add().pipeline_node.node_info.id = name
        deployment.executor_specs[
            name
        ].python_class_executable_spec.class_path = f"components.{name}.Executor"
    stamp(ir, deployment)
    codes = [n.pipeline_node.parameters.parameters["code"].field_value.string_value for n in ir.nodes]
    assert [json.loads(code) for code in codes] == [
        parts({"components.trainer"}),
        parts({"components.tuner"}),
    ]


@pytest.mark.parametrize(
    ("force", "start", "anew"),
    [
        (None, None, ""),
        ([], None, "ABCD"),
        (["C", "A"], None, "AC"),
        (None, "C", "CD"),
        (["A"], "D", "AD"),
        (None, "A", "ABCD"),
    ],
)
def test_what_a_user_wants_to_run_anew(force: list[str] | None, start: str | None, anew: str):
    assert select(["A", "B", "C", "D"], force, start) == set(anew)


@pytest.mark.parametrize(("force", "start"), [(["A", "E"], None), (None, "E"), ([], "E")])
def test_a_component_that_is_not_there_is_refused_with_the_list(force: list[str] | None, start: str | None):
    with pytest.raises(BadInput, match=r"no component 'E' in this pipeline; it has A, B"):
        select(["A", "B"], force, start)


@pytest.fixture
def store(recorded: Any) -> tuple[Any, MetadataStore]:
    """Connection and store of a root with a node in each state."""
    states = {
        "ImageMaskExampleGen": COMPLETE,
        "Trainer": FAILED,
        "Evaluator": RUNNING,
        "Pusher": mlmd.Execution.NEW,
    }
    recorded.add("1", states, status="running", process=1)
    config = metadata.sqlite_metadata_connection_config(str(recorded.root.metadata))
    return config, recorded.store


def states_of(store: MetadataStore) -> list[int]:
    return [execution.last_known_state for execution in store.get_executions()]


def test_what_a_dead_process_left_running_has_failed(store: tuple[Any, MetadataStore]):
    config, found = store
    _close_abandoned(config, "unet")
    assert sorted(states_of(found)) == sorted([COMPLETE, FAILED, FAILED, FAILED])


def test_a_node_that_ended_without_an_exception_is_looked_at(store: tuple[Any, MetadataStore]):
    config, found = store
    by_state = {execution.last_known_state: execution.id for execution in found.get_executions()}
    assert _finished(config, "unet", "ImageMaskExampleGen", by_state[COMPLETE]).state == "done"
    with pytest.raises(NodeFailed, match="Trainer ended in state FAILED"):
        _finished(config, "unet", "Trainer", by_state[FAILED])


def test_where_no_run_was_made_yet_nothing_is_closed(tmp_path):
    config = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    _close_abandoned(config, "unet")
    assert not list(tmp_path.glob("*/*"))
