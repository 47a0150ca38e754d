"""Says for each component, before a run, why it would run or what it would reuse.

TFX decides, as in a run, but on a copy of ML Metadata in a temporary folder, and nothing is executed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import python_driver_operator
from tfx.proto.orchestration import executable_spec_pb2

from pipeline.engine.runner import NEVER_CACHED, compiled, make_launcher
from pipeline.history.executions import read_nodes
from pipeline.history.manifest import MANIFEST, damage
from pipeline.root import Root
from unet.fingerprint import source_of

RUNS, REUSED, LOOKS_UP = "runs", "reused", "looks up"
# The driver of ImageMaskExampleGen keeps these out of the key, and puts a fingerprint of the content into it.
_BY_DRIVER = ("input_base", "settings")
_OF_THE_RUN = ("code", "run")  # parameters of which the first is told apart, the second is the id of the run
_RESOLVER = "tfx.dsl.components.common.resolver.Resolver"


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What a component would do; `why` has a reason a line."""

    name: str
    does: str
    why: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Earlier:
    """The newest completed execution of a component.

    Attributes:
        run: id of its run.
        properties: its parameters.
        inputs: ids of the artifacts that it read, by key.
        fingerprint: fingerprint of the data that it read; empty if it read none.
        broken: id of a later run in which the component did not complete; empty if there is none.
    """

    run: str
    properties: dict[str, Any]
    inputs: dict[str, list[int]]
    fingerprint: str
    broken: str


def forecast(
    pipeline: Pipeline, root: Root, anew: Collection[str] = (), verify: bool = False
) -> Iterator[Forecast]:
    """Yields what each component would do, in the order of a run.

    Args:
        pipeline: see `pipeline.graph.create_pipeline`.
        root: root folder, which is only read.
        anew: names of the components that run although their outputs are cached.
        verify: whether to read what would be reused; otherwise the sizes of its files are compared.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if root.metadata.is_file():
            _copy(root.metadata, folder / "metadata.sqlite")
        connection = metadata.sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
        ir, deployment = compiled(pipeline, "forecast")
        ir.runtime_spec.pipeline_root.field_value.string_value = str(folder)
        made_anew: set[str] = set()
        for node in (wrapper.pipeline_node for wrapper in ir.nodes):
            node.execution_options.caching_options.enable_cache = True
            launcher = make_launcher(
                ir, deployment, node, connection, custom_driver_operators=_drivers(folder)
            )
            found = _of_node(node, launcher, connection, anew, made_anew, verify)
            if found.does == RUNS or (found.does == LOOKS_UP and found.why[1:]):
                made_anew.add(found.name)
            yield found


def _of_node(
    node: Any,
    launcher: Any,
    connection: Any,
    anew: Collection[str],
    made_anew: Collection[str],
    verify: bool,
) -> Forecast:
    name = node.node_info.id
    inputs = {key: {c.producer_node_query.id for c in i.channels} for key, i in node.inputs.inputs.items()}
    reads = [
        f"reads {key.removeprefix(f'_{maker}.')} of {maker}, which runs"
        for key, makers in inputs.items()
        for maker in sorted(makers & set(made_anew))
    ]
    if node.node_info.type.name == _RESOLVER:
        if not reads:
            launcher.launch()
        return Forecast(name, LOOKS_UP, ("always: it finds results of earlier runs", *reads))
    why = ["asked for by --force or --from"] if name in anew else []
    why += ["always: it looks at what is in service"] if name in NEVER_CACHED else []
    with metadata.Metadata(connection) as m:
        earlier = _earlier(m.store, node)
    if not earlier:
        return Forecast(name, RUNS, (*why, "it has not completed in this root yet"))
    why += reads
    why += _code(earlier.properties.get("code"), node)
    if why:
        return Forecast(name, RUNS, (*why, *_settings(earlier.properties, node, _BY_DRIVER)))
    prepared = launcher._prepare_execution()  # all that TFX does before it executes
    info = prepared.execution_info
    if not prepared.is_execution_needed:
        with metadata.Metadata(connection) as m:
            [cached] = read_nodes(m.store, m.store.get_executions_by_id([info.execution_id]))
        outputs = (artifact for found in cached.outputs.values() for artifact in found)
        damaged = (damage(output.path, output.text(MANIFEST), verify) for output in outputs)
        if why := [f"damaged: {found}" for found in damaged if found]:
            return Forecast(name, RUNS, tuple(why))
        return Forecast(name, REUSED, (f"same inputs, settings and code as run {cached.same_as}",))
    content = str(info.exec_properties.get("fingerprint", ""))
    if content != earlier.fingerprint:
        why.append("the images, the masks or their splits changed")
    why += _settings(earlier.properties, node, () if content != earlier.fingerprint else _BY_DRIVER)
    for key in sorted(earlier.inputs.keys() | info.input_dict.keys()):
        now = sorted(artifact.id for artifact in info.input_dict.get(key, []))
        if now != earlier.inputs.get(key, []):
            makers = f" of {', '.join(sorted(inputs[key] - {''}))}" if inputs.get(key, {""}) - {""} else ""
            why.append(f"{key}{makers} is another than in run {earlier.run}")
    if not why and earlier.broken:
        why.append(f"it did not complete in run {earlier.broken}")
    return Forecast(name, RUNS, tuple(why) or ("no complete output of these inputs is there",))


def _code(before: Any, node: Any) -> list[str]:
    """What changed of the code, given the parameter `code` of an earlier execution."""
    now = json.loads(_value(node.parameters.parameters["code"].field_value))
    try:
        then = dict(json.loads(before))
    except (TypeError, ValueError):  # of an older root
        return ["its code changed"]
    return [
        f"the code of {name} changed"
        if source_of(name) or then.get(name, now.get(name)) is None
        else f"{name} {then.get(name, 'not used')} is now {now.get(name, 'not used')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def _settings(before: Mapping[str, Any], node: Any, ignored: Collection[str]) -> list[str]:
    """What changed of the settings, given the parameters of an earlier execution."""
    told = []
    for key, parameter in sorted(node.parameters.parameters.items()):
        then, now = before.get(key), _value(parameter.field_value)
        if key in (*_OF_THE_RUN, *ignored) or str(then) == str(now):
            continue
        old, new = dict(_flat(then, key)), dict(_flat(now, key))
        changed = [name for name in [*new, *(old.keys() - new.keys())] if old.get(name) != new.get(name)]
        told += [
            f"{name.removeprefix('custom_config.')} {old.get(name, 'unset')} is now {new.get(name, 'unset')}"
            for name in changed
        ] or [f"{key} is in another order"]
    return told


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The settings within a value, which may be JSON within JSON, by their dotted names."""
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}")
    else:
        yield path, str(value)


def _earlier(store: Any, node: Any) -> _Earlier | None:
    """The newest completed execution of a node; None if there is none."""
    [name] = [c.name.field_value.string_value for c in node.contexts.contexts if c.type.name == "node"]
    context = store.get_context_by_type_and_name("node", name)
    executions = sorted(store.get_executions_by_context(context.id) if context else [], key=lambda e: -e.id)
    completed = (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)
    newest = next((e for e in executions if e.last_known_state in completed), None)
    if newest is None:
        return None
    [read] = read_nodes(store, [newest])
    examples = read.first("examples")
    return _Earlier(
        _run_of(store, newest),
        {key: _value(value) for part in (newest.properties, newest.custom_properties)
         for key, value in part.items()},
        {key: sorted(artifact.id for artifact in found) for key, found in read.inputs.items()},
        examples.text("fingerprint") if examples else "",
        "" if newest is executions[0] else _run_of(store, executions[0]),
    )  # fmt: skip


def _run_of(store: Any, execution: Any) -> str:
    contexts = store.get_contexts_by_execution(execution.id)
    return next((context.name for context in contexts if context.type == "pipeline_run"), "")


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")


def _copy(source: Path, target: Path) -> None:
    """Copies ML Metadata as it is at one instant, even while a run writes to it."""
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)


def _drivers(folder: Path) -> dict[Any, Any]:
    """Operators for drivers that write into a folder what they would write into the root."""

    class Operator(python_driver_operator.PythonDriverOperator):
        def run_driver(self, execution_info: Any) -> Any:
            properties = dict(execution_info.exec_properties)
            settings = json.loads(properties["settings"])
            splits = folder / "splits.json"
            if Path(settings["splits_file"]).is_file():
                shutil.copy(settings["splits_file"], splits)
            properties["settings"] = json.dumps({**settings, "splits_file": str(splits)})
            properties["source_file"] = str(folder / "source.json")
            execution_info.exec_properties = properties
            return super().run_driver(execution_info)

    return {executable_spec_pb2.PythonClassExecutableSpec: Operator}
