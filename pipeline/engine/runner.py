"""Runs the compiled graph node by node through TFX's own launcher, in this process."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import context_lib
from tfx.orchestration.portable.mlmd.common_utils import register_type_if_not_exist

from pipeline.engine.options import arguments
from pipeline.graph import RUN_ID
from pipeline.history.executions import Node, read_nodes
from pipeline.history.promotion import TYPE as PROMOTION
from pipeline.metadata.place import run_name
from pipeline.metadata.store import connect, own_store
from pipeline.reuse import baseline, verified
from unet.errors import BadInput
from unet.fingerprint import PACKAGES, parts, source_of

# The pusher looks at what is in service, which no cache key knows.
NEVER_CACHED = ("Pusher",)

_MOST_RESTARTS = 8  # because of damaged inputs: a disk that damages what was just written would end no run


class NodeFailed(RuntimeError):
    """TFX marked a node as failed without raising; the log says why."""


def node_names(pipeline: Pipeline) -> list[str]:
    """Names of all nodes, in the order in which they run."""
    return [component.id for component in pipeline.components]


def select(names: Sequence[str], force: Sequence[str] | None, start: str | None) -> set[str]:
    """Returns the names of the nodes that a user wants to run although their outputs are cached.

    Args:
        names: names of all nodes, in the order in which they run.
        force: names of nodes; empty: all nodes; None: no nodes.
        start: name of a node that runs with all nodes after it; None: no such node.

    Raises:
        BadInput: there is no node of a name.
    """
    for name in [*(force or ()), *([start] if start else ())]:
        if name not in names:
            raise BadInput(f"no component {name!r} in this pipeline; it has {', '.join(names)}")
    after = names[names.index(start) :] if start else ()
    return {*after, *((force or names) if force is not None else ())}


def run(
    pipeline: Pipeline,
    run_id: str,
    on_start: Callable[[str], None] = lambda name: None,
    on_end: Callable[[Node], None] = lambda node: None,
    on_plan: Callable[[list[str], list[Node], list[str]], None] = lambda names, kept, sentences: None,
    verify: bool = False,
    anew: Collection[str] = (),
    only: Collection[str] | None = None,
    afresh: bool = False,
    beam: Mapping[str, Any] = MappingProxyType({}),
    alone: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:
    """Runs all nodes that the run has not finished yet, or those of a part of it.

    Where an output of an earlier part is gone or damaged, or another model became the last blessed one since
    the evaluation, all nodes up to the end of this part begin again.

    Args:
        pipeline: see `pipeline.graph.create_pipeline`.
        run_id: name of this run in ML Metadata.
        on_start: called with a node's name before it runs.
        on_end: called with what it was afterwards.
        on_plan: called before the nodes run, and again when they begin again: with the names of those that
            will run, what earlier processes of this run have finished, and a sentence for each damaged
            output, which is not used again.
        verify: whether to read all outputs of earlier runs; otherwise their sizes are compared, and what a
            node is about to use is read.
        anew: names of the nodes that run although their outputs are cached.
        only: names of the nodes of this part of the run; None: all.
        afresh: whether to begin the run again, whatever earlier processes have finished of it.
        beam: the setting `beam`; empty: Beam works in memory and in this process.
        alone: makes a context in which no other root writes new types into the same store.

    Raises:
        NodeFailed, or whatever the node's executor raised; nodes before it keep their results.
    """
    ir, deployment = compiled(pipeline, run_id)
    connection = deployment.metadata_connection_config
    connection = getattr(connection, connection.WhichOneof("connection_config"))
    name = ir.pipeline_info.id
    with alone():
        _register_types(ir, connection)
    _close_abandoned(connection, name)
    operators = verified.operators(arguments(**beam))
    names = [node.pipeline_node.node_info.id for node in ir.nodes]
    planned = [name for name in names if only is None or name in only]
    whole = names[: names.index(planned[-1]) + 1]
    with opened(connection) as m:
        store = own_store(m.store, name)
        sentences = verified.check_all(store, contents=verify)
        if afresh:
            verified.rename_run(store, run_id)
        kept = verified.finished_nodes(store, run_id)
        again = ""  # why the run begins again
        if lost := verified.lost_outputs(kept):
            again = f"Gone: {lost[0]}. What this run had finished is taken from the cache or made again."
        elif not {*planned} <= {node.name for node in kept}:
            again = baseline.outdated(store, kept)
        if again:
            sentences.append(again)
            verified.rename_run(store, run_id)
            kept, planned = [], whole
    for restarts in range(_MOST_RESTARTS + 1):
        finished = {node.name for node in kept}
        planned = [name for name in planned if name not in finished]
        on_plan(planned, kept, sentences)
        try:
            return _run_nodes(ir, deployment, connection, on_start, on_end, anew, planned, operators)
        except verified.Damaged as error:
            if restarts == _MOST_RESTARTS:
                raise
            sentences = [verified.told(error.folder, str(error))]
            with opened(connection) as m:
                verified.rename_run(own_store(m.store, name), run_id)
            kept, planned = [], whole


def _run_nodes(
    ir: Any,
    deployment: Any,
    connection: Any,
    on_start: Callable[[str], None],
    on_end: Callable[[Node], None],
    anew: Collection[str],
    planned: Collection[str],
    operators: Mapping[Any, Any],
) -> None:
    for node in ir.nodes:
        node = node.pipeline_node
        name = node.node_info.id
        if name not in planned:
            continue
        node.execution_options.caching_options.enable_cache = name not in (*NEVER_CACHED, *anew)
        on_start(name)
        info = make_launcher(ir, deployment, node, connection, custom_executor_operators=operators).launch()
        on_end(_finished(connection, ir.pipeline_info.id, name, info.execution_id))


def compiled(pipeline: Pipeline, run_id: str) -> tuple[Any, Any]:
    """Returns TFX's IR of a pipeline, with the code in its keys, and its deployment configuration."""
    ir = compiler.Compiler().compile(pipeline)
    name = run_name(ir.pipeline_info.id, run_id)
    runtime_parameter_utils.substitute_runtime_parameter(
        ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: name, RUN_ID: run_id}
    )
    deployment = runner_utils.extract_local_deployment_config(ir)
    stamp(ir, deployment)
    return ir, deployment


def make_launcher(ir: Any, deployment: Any, node: Any, connection: Any, **more: Any) -> launcher.Launcher:
    """Makes TFX's launcher of a node of a compiled pipeline.

    Args:
        ir: the compiled pipeline.
        deployment: its local deployment configuration.
        node: the node to launch.
        connection: configuration of the connection to ML Metadata.
        more: further arguments of the launcher.
    """
    name = node.node_info.id
    return launcher.Launcher(
        pipeline_node=node,
        mlmd_connection=opened(connection),
        pipeline_info=ir.pipeline_info,
        pipeline_runtime_spec=ir.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, name),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
        **more,
    )


def stamp(pipeline: Any, deployment: Any) -> None:
    """Adds a parameter `code` to every node of a compiled pipeline: the parts of what is ours in it, as JSON.

    See `unet.fingerprint.parts`; by them, `pipeline.reuse.reasons` names what changed.

    TFX's cache key holds the *name* of a function: without it, edited code would be answered from the cache.

    Args:
        pipeline: TFX's pipeline IR, changed in place.
        deployment: its local deployment configuration, which names the executors.
    """
    ours = "|".join(PACKAGES)
    for node in pipeline.nodes:
        name, parameters = node.pipeline_node.node_info.id, node.pipeline_node.parameters.parameters
        specs = (specs.get(name, "") for specs in (deployment.executor_specs, deployment.custom_driver_specs))
        text = "".join(map(str, (*specs, parameters)))
        named = set(re.findall(rf"(?<![\w.])(?:{ours})(?:\.\w+)+", text))
        # The last word of most names is a class or a function.
        modules = {
            module for word in named for module in (word, word.rpartition(".")[0]) if source_of(module)
        }
        parameters["code"].field_value.string_value = json.dumps(parts(modules))


def opened(connection: mlmd.ConnectionConfig) -> metadata.Metadata:
    """Returns TFX's handle of a store, which connects anew each time that it is entered."""
    return metadata.Metadata(connection) if connection.HasField("sqlite") else _Server(connection)


class _Server(metadata.Metadata):
    """A handle of a server that may restart."""

    _store: Any

    def __enter__(self) -> _Server:
        if self._store is None:
            self._store = connect(self._connection_config)
        self._users += 1
        return self


def _register_types(ir: Any, connection: Any) -> None:
    """Registers all types of a graph on a server: two processes that do at once would do it twice."""
    if connection.HasField("sqlite"):
        return
    with opened(connection) as m:
        for node in (wrapper.pipeline_node for wrapper in ir.nodes):
            kinds = [node.node_info.type, *(context.type for context in node.contexts.contexts)]
            kinds += [output.artifact_spec.type for output in node.outputs.outputs.values()]
            for kind in kinds:
                register_type_if_not_exist(m, kind)
        register_type_if_not_exist(m, mlmd.ContextType(name=context_lib.CONTEXT_TYPE_EXECUTION_CACHE))
        register_type_if_not_exist(m, mlmd.ExecutionType(name=PROMOTION))


def _finished(connection: Any, pipeline: str, name: str, execution_id: int) -> Node:
    with opened(connection) as m:
        [execution] = m.store.get_executions_by_id([execution_id])
        if execution.last_known_state not in (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED):
            state = mlmd.Execution.State.Name(execution.last_known_state)
            raise NodeFailed(f"{name} ended in state {state}")
        [node] = read_nodes(own_store(m.store, pipeline), [execution])
    return node


def _close_abandoned(connection: Any, pipeline: str) -> None:
    """Marks executions of dead processes as failed; the caller holds the lock, so none is alive."""
    with contextlib.suppress(FileNotFoundError), opened(connection) as m:
        store = own_store(m.store, pipeline)
        running = (mlmd.Execution.NEW, mlmd.Execution.RUNNING)
        abandoned = [e for e in store.get_executions() if e.last_known_state in running]
        for execution in abandoned:
            execution.last_known_state = mlmd.Execution.FAILED
        if abandoned:
            store.put_executions(abandoned)
