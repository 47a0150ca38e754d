"""Which components a configuration has, and what they are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.settings import PipelineConfig
from pipeline.engine.runner import compiled, node_names
from pipeline.graph import create_pipeline
from pipeline.metadata.place import new_place, write_place
from pipeline.metadata.settings import Database
from pipeline.root import Root

ALWAYS = [
    "ImageMaskExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "BlessedStatistics",
    "DistributionValidator", "Transform", "Tuner", "Trainer", "BlessedBaseline", "Evaluator",
    "InfraValidator", "Pusher",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "LICENSE").write_text("CC0\n")
    return tmp_path / "data"


def graph(data: Path, rebaseline: bool = False, skip: list[str] | None = None, **settings: Any) -> Any:
    config = PipelineConfig(data=data, **{"channels": 1, **settings})
    return create_pipeline(config, Root(data.parent / "root"), skip, rebaseline)


def told(pipeline: Any, component: str) -> dict[str, Any]:
    """The parameters of a component."""
    [found] = [c for c in pipeline.components if c.id == component]
    return dict(found.exec_properties)


def custom(pipeline: Any, component: str) -> dict[str, Any]:
    found = told(pipeline, component)["custom_config"]
    return dict(json.loads(found) if isinstance(found, str) else found)


@pytest.mark.parametrize(
    ("settings", "absent", "added"),
    [
        ({}, [], []),
        ({"tune": "never"}, ["Tuner"], []),
        ({"warm_start": "latest"}, [], ["WarmStart"]),
        ({"warm_start": "latest", "tune": "never"}, ["Tuner"], ["WarmStart"]),
    ],
)
def test_the_components_of_a_configuration(data: Path, settings: dict[str, Any], absent, added):
    names = node_names(graph(data, **settings))
    assert sorted(names) == sorted([name for name in ALWAYS if name not in absent] + added)


def test_components_run_in_the_order_the_data_flows(data: Path):
    names = node_names(graph(data))
    assert names.index("ExampleValidator") < names.index("Transform")
    assert names.index("DistributionValidator") < names.index("Transform")
    assert names[-1] == "Pusher"
    assert names.index("InfraValidator") > names.index("Trainer")


@pytest.mark.parametrize(("weight", "border"), [(0.0, False), (5.0, True)])
def test_tiles_have_the_border_only_where_it_weighs(data: Path, weight: float, border: bool):
    tiles = json.loads(
        custom(graph(data, border_weight=weight, depth=3, patch_size=444), "Transform")["tiles"]
    )
    assert (tiles["with_border"], tiles["depth"], tiles["image_channels"], tiles["class_count"]) == (
        border, 3, 1, 2
    )  # fmt: skip


def test_transform_computes_no_statistics_that_nobody_reads(data: Path):
    assert told(graph(data), "Transform")["disable_statistics"] == 1


def test_a_model_that_answers_eight_times_has_eight_times_the_time(data: Path):
    usual = told(graph(data), "InfraValidator")
    turned = told(graph(data, test_time_augmentation=True), "InfraValidator")
    assert turned["timeout"] == 8 * usual["timeout"] > 0


def test_the_memory_that_a_server_may_take_is_in_megabytes(data: Path):
    assert told(graph(data, serving_memory=2.5), "InfraValidator")["memory"] == 4000


def test_the_order_of_the_classes_is_kept(data: Path):
    classes = {"sky": 0, "border": 1, "cell": 2}
    train = json.loads(custom(graph(data, classes=classes, background="first"), "Trainer")["train"])
    assert list(train["classes"]) == list(classes)


@pytest.mark.parametrize(("tune", "over"), [("always", {"dropout": [0.0, 0.5]}), ("never", {})])
def test_the_trainer_knows_what_was_searched(data: Path, tune: str, over: dict[str, Any]):
    found = custom(graph(data, tune=tune, tune_over=over), "Trainer")
    assert json.loads(found["tune_over"]).get("dropout") == over.get("dropout")
    assert found["warm_start"] == "none"
    assert custom(graph(data, warm_start="latest"), "Trainer")["warm_start"] == "latest"


def test_what_is_skipped_and_what_is_compared_is_handed_on(data: Path):
    pipeline = graph(data, rebaseline=True, skip=["a"])
    assert json.loads(told(pipeline, "ImageMaskExampleGen")["settings"])["skip"] == ["a"]
    assert told(pipeline, "Evaluator")["rebaseline"] == 1
    assert told(graph(data), "Evaluator")["rebaseline"] == 0


def test_the_facts_of_the_card_do_not_say_where_the_data_lie(data: Path):
    facts = json.loads(told(graph(data), "Pusher")["facts"])
    assert facts["data_licence"] == "CC0"
    assert {len(facts["code"]), len(facts["configuration"])} == {12}
    moved = data.rename(data.with_name("moved"))
    assert json.loads(told(graph(moved), "Pusher")["facts"]) == facts
    beam = {"options": {"direct_num_workers": 2}}
    assert json.loads(told(graph(moved, beam=beam), "Pusher")["facts"]) == facts
    assert (
        json.loads(told(graph(moved, steps=7), "Pusher")["facts"])["configuration"] != facts["configuration"]
    )


def test_the_pusher_is_told_which_run_it_is_part_of(data: Path):
    ir, _ = compiled(graph(data), "20261128-020000")
    [pusher] = [node.pipeline_node for node in ir.nodes if node.pipeline_node.node_info.id == "Pusher"]
    assert pusher.parameters.parameters["run"].field_value.string_value == "20261128-020000"
    assert contexts_of(pusher) == {"unet", "20261128-020000", "unet.Pusher"}


def contexts_of(node: Any) -> set[str]:
    return {context.name.field_value.string_value for context in node.contexts.contexts}


def test_a_root_that_shares_a_database_has_its_own_names_there(tmp_path: Path, data: Path):
    where = Database(backend="mysql", host="db", database="mlmd", user="ada")
    root = Root(tmp_path / "shared")
    root.path.mkdir()
    place = new_place(root, where)
    write_place(root, place)
    pipeline = create_pipeline(PipelineConfig(data=data, channels=1), root)
    ir, deployment = compiled(pipeline, "night-1")
    assert deployment.metadata_connection_config.database_connection_config.mysql.host == "db"
    assert ir.pipeline_info.id == place.pipeline
    [pusher] = [node.pipeline_node for node in ir.nodes if node.pipeline_node.node_info.id == "Pusher"]
    assert pusher.parameters.parameters["run"].field_value.string_value == "night-1"
    for node in (wrapper.pipeline_node for wrapper in ir.nodes):
        name = node.node_info.id
        own = {place.pipeline, f"{place.pipeline}.night-1", f"{place.pipeline}.{name}"}
        assert contexts_of(node) == own
        # What it reads is looked for in its own pipeline alone.
        for channel in (c for read in node.inputs.inputs.values() for c in read.channels):
            asked = {query.name.field_value.string_value for query in channel.context_queries}
            assert place.pipeline in asked
