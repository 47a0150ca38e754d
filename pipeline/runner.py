"""Runs the compiled graph node by node through TFX's own launcher, in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import launcher, runtime_parameter_utils

from pipeline import code_version

# The pusher looks at what is in service, which no cache key knows.
NEVER_CACHED = ("Pusher",)


class NodeFailed(RuntimeError):
    """TFX marked a node as failed without raising; the log says why."""


@dataclasses.dataclass
class NodeResult:
    """What became of one node. `outputs` holds TFX artifacts by key."""

    name: str
    cached: bool
    seconds: float
    outputs: dict[str, list[Any]]


def node_names(pipeline: Pipeline) -> list[str]:
    """Names of all nodes, in the order in which they run."""
    return [component.id for component in pipeline.components]


def run(
    pipeline: Pipeline,
    run_id: str,
    on_start: Callable[[str], None] = lambda name: None,
    on_end: Callable[[NodeResult], None] = lambda result: None,
) -> dict[str, NodeResult]:
    """Runs all nodes.

    Args:
        pipeline: see `pipeline.graph.create_pipeline`.
        run_id: name of this run in ML Metadata.
        on_start: called with a node's name before it runs.
        on_end: called with its result afterwards.

    Raises:
        NodeFailed, or whatever the node's executor raised; nodes before it keep their results.
    """
    ir = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(
        ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    deployment = runner_utils.extract_local_deployment_config(ir)
    code_version.stamp(ir, deployment)
    connection = deployment.metadata_connection_config
    connection = getattr(connection, connection.WhichOneof("connection_config"))
    _close_abandoned(connection)
    results = {}
    for node in ir.nodes:
        node = node.pipeline_node
        name = node.node_info.id
        node.execution_options.caching_options.enable_cache = name not in NEVER_CACHED
        on_start(name)
        start = time.monotonic()
        info = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=ir.pipeline_info,
            pipeline_runtime_spec=ir.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
        ).launch()
        result = _result(connection, name, info.execution_id, time.monotonic() - start)
        results[name] = result
        on_end(result)
    return results


def _result(connection: Any, name: str, execution_id: int, seconds: float) -> NodeResult:
    with metadata.Metadata(connection) as m:
        [execution] = m.store.get_executions_by_id([execution_id])
        state = execution.last_known_state
        if state not in (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED):
            raise NodeFailed(f"{name} ended in state {mlmd.Execution.State.Name(state)}")
        outputs: dict[str, list[Any]] = {}
        for event in m.store.get_events_by_execution_ids([execution_id]):
            if event.type in (mlmd.Event.OUTPUT, mlmd.Event.INTERNAL_OUTPUT):  # the latter: of resolvers
                outputs.setdefault(event.path.steps[0].key, []).extend(
                    m.store.get_artifacts_by_id([event.artifact_id])
                )
    return NodeResult(name, state == mlmd.Execution.CACHED, seconds, outputs)


def _close_abandoned(connection: Any) -> None:
    """Marks executions of dead processes as failed; the caller holds the lock, so none is alive."""
    with contextlib.suppress(FileNotFoundError), metadata.Metadata(connection) as m:
        running = (mlmd.Execution.NEW, mlmd.Execution.RUNNING)
        abandoned = [e for e in m.store.get_executions() if e.last_known_state in running]
        for execution in abandoned:
            execution.last_known_state = mlmd.Execution.FAILED
        if abandoned:
            m.store.put_executions(abandoned)
