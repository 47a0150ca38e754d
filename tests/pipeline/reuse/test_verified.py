"""Damaged outputs are moved out of their place, and a run begins again under its own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import execution_result_pb2, pipeline_pb2
from tfx.types.standard_artifacts import Examples, Model

from pipeline.history.executions import Executions, Node
from pipeline.history.manifest import MANIFEST, write_manifest
from pipeline.reuse.verified import (
    Damaged,
    _verified,
    check_all,
    finished_nodes,
    lost_outputs,
    rename_run,
    require_empty,
    set_aside,
)
from tests.pipeline.recorded_runs import CACHED, COMPLETE, FAILED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an output with one file."""
    folder = tmp_path / "artifacts" / "Trainer" / "model" / "7"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"12345")
    return folder


def test_what_is_set_aside_is_never_written_over(folder: Path, tmp_path: Path):
    assert set_aside(folder) == tmp_path / "set-aside" / "Trainer" / "model" / "7"
    assert not folder.exists()
    folder.mkdir()
    second = set_aside(folder)
    assert second == tmp_path / "set-aside" / "Trainer" / "model" / "7.2"
    assert (tmp_path / "set-aside" / "Trainer" / "model" / "7" / "weights").read_bytes() == b"12345"


def test_a_folder_that_holds_files_is_not_written_into(folder: Path, capsys: Any):
    require_empty(folder)
    assert not list(folder.iterdir())
    assert f"{folder}: is not empty" in capsys.readouterr().out
    require_empty(folder)  # it is empty now
    assert not capsys.readouterr().out
    require_empty(folder / "nothing")


def test_a_component_never_writes_into_a_folder_of_before(folder: Path, tmp_path: Path):
    read, written = Model(), Model()
    read.uri, written.uri = str(folder.parent / "6"), str(folder)
    found: list[Path] = []

    def write(info: Any) -> execution_result_pb2.ExecutorOutput:
        found.extend(folder.iterdir())
        (folder / "shard").write_bytes(b"678")
        return execution_result_pb2.ExecutorOutput()

    _verified(write, execution("Trainer", "base_model", read, written))
    assert found == []
    assert [path.name for path in folder.iterdir()] == ["shard"]
    assert (tmp_path / "set-aside" / "Trainer" / "model" / "7" / "weights").read_bytes() == b"12345"


def recorded_model(recorded: Any, folder: Path) -> None:
    kind = recorded.store.put_artifact_type(mlmd.ArtifactType(name="Model"))
    artifact = mlmd.Artifact(type_id=kind, uri=str(folder))
    artifact.custom_properties[MANIFEST].string_value = write_manifest(folder)
    recorded.store.put_artifacts([artifact])


@pytest.mark.parametrize(
    ("damaged", "contents", "seen"),
    [(b"12345", True, False), (b"123", False, True), (b"12344", False, False), (b"12344", True, True)],
)
def test_all_outputs_are_compared_by_size_or_by_content(
    recorded: Any, damaged: bytes, contents: bool, seen: bool
):
    recorded.add("1")  # its outputs have no manifest
    folder = recorded.root.artifacts / "Trainer" / "model" / "99"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"12345")
    recorded_model(recorded, folder)
    (folder / "weights").write_bytes(damaged)
    sentences = check_all(recorded.store, contents)
    assert len(sentences) == seen
    assert folder.exists() != seen
    assert all(f"{folder / 'weights'}: " in sentence for sentence in sentences)
    assert all("Trainer runs again where it is needed" in sentence for sentence in sentences)
    assert check_all(recorded.store, contents) == []  # once is enough


def test_a_run_that_begins_again_is_one_run(recorded: Any):
    recorded.add("1")
    rename_run(recorded.store, "1")
    recorded._context("pipeline_run", "1")  # TFX registers it anew
    rename_run(recorded.store, "1")
    names = {context.name for context in recorded.store.get_contexts_by_type("pipeline_run")}
    assert names == {"1~1", "1~2"}
    model = recorded.store.get_artifacts_by_type("Model")[0]
    executions = Executions(recorded.root)
    assert not executions.runs
    assert executions.maker(model.id) == "1"  # what was made before is of this run, too


def execution(name: str, key: str, read: Any, written: Any) -> data_types.ExecutionInfo:
    node = pipeline_pb2.PipelineNode()
    node.node_info.id = name
    return data_types.ExecutionInfo(
        pipeline_node=node, input_dict={key: [read]}, output_dict={"model": [written]}
    )


@pytest.mark.parametrize(
    ("name", "key", "stops"),
    [("Evaluator", "model", True), ("Pusher", "model", True), ("Pusher", "examples", False)],
)
def test_a_component_reads_only_what_is_whole_and_what_it_wrote_gets_a_manifest(
    folder: Path, name: str, key: str, stops: bool
):
    read, written = Examples() if key == "examples" else Model(), Model()
    read.uri, written.uri = str(folder), str(folder.parent / "8")
    read.set_string_custom_property(MANIFEST, write_manifest(folder))
    (folder / "weights").write_bytes(b"12344")

    def write(info: Any) -> execution_result_pb2.ExecutorOutput:
        Path(written.uri).mkdir()
        Path(written.uri, "weights").write_bytes(b"678")
        output = execution_result_pb2.ExecutorOutput()
        output.output_artifacts["model"].artifacts.add().CopyFrom(written.mlmd_artifact)
        return output

    info = execution(name, key, read, written)
    if stops:
        with pytest.raises(Damaged, match="weights: its content changed"):
            _verified(write, info)
        assert not Path(written.uri).exists()
        return
    [artifact] = _verified(write, info).output_artifacts["model"].artifacts
    assert artifact.custom_properties[MANIFEST].string_value == write_manifest(Path(written.uri))


def test_an_input_that_is_gone_is_left_to_the_component(folder: Path):
    read, written = Model(), Model()
    read.uri, written.uri = str(folder.parent / "6"), str(folder.parent / "8")
    read.set_string_custom_property(MANIFEST, '{"weights":[1,"x"]}')
    Path(written.uri).mkdir()
    _verified(
        lambda info: execution_result_pb2.ExecutorOutput(),
        execution("Evaluator", "baseline_model", read, written),
    )
    assert written.get_string_custom_property(MANIFEST) == "{}"


def test_what_a_run_has_finished_is_known_to_its_next_part(recorded: Any):
    assert finished_nodes(recorded.store, "1") == []
    rename_run(recorded.store, "1")  # of a run that did nothing yet
    recorded.add("0")
    recorded.add("1", {"ImageMaskExampleGen": CACHED, "Trainer": COMPLETE, "Evaluator": FAILED})
    kept = finished_nodes(recorded.store, "1")
    assert [(node.name, node.state) for node in kept] == [
        ("ImageMaskExampleGen", "cached"),
        ("Trainer", "done"),
    ]
    assert lost_outputs(kept) == []
    chosen = kept[0].outputs["examples"]
    kept.append(Node("BlessedBaseline", "done", outputs={"model": chosen}))
    chosen[0].path.rmdir()  # a resolver may choose what is gone: it did not make it
    assert lost_outputs(kept[1:]) == []
    assert lost_outputs(kept) == [chosen[0].path]
