"""Only what is whole is reused: outputs get a manifest when they are complete, and are compared with it.

TFX takes a cached output for good if its folder exists. So a damaged output is moved out of its place: TFX,
the resolvers and the gate see that it is gone, and its component runs again where its result is needed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable.beam_executor_operator import BeamExecutorOperator
from tfx.orchestration.portable.python_executor_operator import PythonExecutorOperator
from tfx.proto.orchestration import executable_spec_pb2

from pipeline.engine.workers import importing, watched
from pipeline.history.executions import CACHED, DONE, RESTARTED, Node, read_nodes
from pipeline.history.manifest import MANIFEST, damage, write_manifest
from pipeline.root import Root

_RUN = "pipeline_run"  # type of the contexts of runs in ML Metadata
# The Pusher reads only properties of the examples, which may be many.
_NOT_READ = {("Pusher", "examples")}


class Damaged(RuntimeError):
    """The input of a component is not what was written; `folder` is that of the artifact."""

    def __init__(self, folder: Path, found: str):
        """Args: folder: the folder of the artifact. found: the file, and what was found."""
        super().__init__(found)
        self.folder = folder


class _VerifiedPython(PythonExecutorOperator):
    """Runs a component in this process between the two checks of this module."""

    def run_executor(self, execution_info: Any) -> Any:
        return _verified(super().run_executor, execution_info)


class _VerifiedBeam(BeamExecutorOperator):
    """The same for a component that uses Beam; in its spec, Beam's arguments would be part of the key."""

    def __init__(self, beam: Sequence[str], executor_spec: Any, platform_config: Any = None):
        spec = copy.deepcopy(executor_spec)
        for word in beam:
            spec.beam_pipeline_args_placeholders.add().value.string_value = word
        super().__init__(spec, platform_config)

    def run_executor(self, execution_info: Any, make_beam_pipeline_fn: Any = None) -> Any:
        def run(info: Any) -> Any:
            with importing(), watched():
                return super(_VerifiedBeam, self).run_executor(info, make_beam_pipeline_fn)

        return _verified(run, execution_info)


def operators(beam: Sequence[str]) -> dict[Any, Any]:
    """Returns how the launcher of TFX runs each kind of component.

    Args:
        beam: arguments of Beam, see `pipeline.engine.options.arguments`.
    """
    return {
        executable_spec_pb2.PythonClassExecutableSpec: _VerifiedPython,
        executable_spec_pb2.BeamExecutableSpec: functools.partial(_VerifiedBeam, beam),
    }


def _verified(run: Callable[[Any], Any], info: Any) -> Any:
    """Checks what a component is about to read, runs it, and writes the manifests of what it wrote."""
    name = info.pipeline_node.node_info.id
    for artifacts in info.output_dict.values():
        for artifact in artifacts:
            require_empty(Path(artifact.uri))
    for key, artifacts in info.input_dict.items():
        for artifact in artifacts:
            folder = Path(artifact.uri)
            if (name, key) in _NOT_READ or not folder.is_dir():  # a baseline may be gone: the gate says so
                continue
            if found := damage(folder, artifact.get_string_custom_property(MANIFEST), contents=True):
                raise Damaged(folder, found)
    output = run(info)
    for key, artifacts in info.output_dict.items():
        updated = output.output_artifacts[key].artifacts if key in output.output_artifacts else []
        for artifact in updated or [artifact.mlmd_artifact for artifact in artifacts]:
            artifact.custom_properties[MANIFEST].string_value = write_manifest(Path(artifact.uri))
    return output


def require_empty(folder: Path) -> None:
    """Moves away what an output folder holds before its component writes into it.

    After the file of ML Metadata was lost, its ids begin at 1 again: the folders of earlier runs are there.

    Args:
        folder: the folder of an artifact that is to be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        print(f"{folder}: is not empty, though no run is known that wrote it; moved to {set_aside(folder)}")
        folder.mkdir()


def set_aside(folder: Path) -> Path:
    """Moves the folder of an artifact out of its place, and returns where it is now.

    Args:
        folder: ROOT/artifacts/COMPONENT/KEY/ID.
    """
    root = Root(folder.parents[3])
    target = root.set_aside / folder.relative_to(root.artifacts)
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{folder.name}.{number}")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(target)
    return target


def told(folder: Path, found: str) -> str:
    """Sets a damaged output aside, and returns a sentence that names it.

    Args:
        folder: the folder of the artifact.
        found: what `pipeline.history.manifest.damage` returned.
    """
    target = set_aside(folder)
    return f"Damaged: {found}. Moved to {target}; {folder.parents[1].name} runs again where it is needed."


def check_all(store: Any, contents: bool) -> list[str]:
    """Sets all damaged outputs aside, and returns a sentence for each.

    Args:
        store: an `ml_metadata.MetadataStore`.
        contents: whether to read all files; otherwise only their sizes are compared.
    """
    sentences = []
    for artifact in store.get_artifacts():
        folder, manifest = Path(artifact.uri), artifact.custom_properties[MANIFEST].string_value
        if folder.is_dir() and (found := damage(folder, manifest, contents)):
            sentences.append(told(folder, found))
    return sentences


def finished_nodes(store: Any, run_id: str) -> list[Node]:
    """Returns what a run has finished so far, by earlier processes, in the order of the components.

    Args:
        store: an `ml_metadata.MetadataStore`.
        run_id: the name of the run in ML Metadata.
    """
    found = [context for context in _runs(store) if context.name == run_id]
    executions = [e for context in found for e in store.get_executions_by_context(context.id)]
    return [node for node in read_nodes(store, executions) if node.state in (CACHED, DONE)]


def lost_outputs(nodes: Iterable[Node]) -> list[Path]:
    """Returns the folders of outputs that are gone; those that a resolver chose do not count."""
    own = [
        artifact.path
        for node in nodes
        for artifacts in node.outputs.values()
        for artifact in artifacts
        if artifact.path.parent.parent.name == node.name
    ]
    return [folder for folder in own if not folder.is_dir()]


def rename_run(store: Any, run_id: str) -> None:
    """Renames what a run did so far, so that it can begin again under its own name.

    TFX runs each component once for each name of a run.

    Args:
        store: an `ml_metadata.MetadataStore`.
        run_id: the name of the run in ML Metadata.
    """
    contexts = _runs(store)
    number = sum(context.name.startswith(f"{run_id}{RESTARTED}") for context in contexts)
    for context in contexts:
        if context.name == run_id:
            context.name = f"{run_id}{RESTARTED}{number + 1}"
            store.put_contexts([context])


def _runs(store: Any) -> list[mlmd.Context]:
    """The contexts of all runs; none in a store in which no run has begun."""
    kinds = {kind.name for kind in store.get_context_types()}
    return list(store.get_contexts_by_type(_RUN)) if _RUN in kinds else []
