"""The pictures that code draws are those of the code."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.generators import curves_picture, graph_picture, network_picture, tiles_picture
from pipeline.config.settings import PipelineConfig
from pipeline.graph import create_pipeline
from pipeline.root import Root


def graph() -> list[graph_picture.Node]:
    return graph_picture.nodes(create_pipeline(PipelineConfig(channels=1), Root(Path("/runs"))))


def test_the_picture_of_the_graph_is_up_to_date():
    drawn = graph_picture.draw(graph())
    assert graph_picture.FILE.read_text(encoding="utf-8") == drawn, (
        "make it again: .venv/bin/python -m docs.generators.graph_picture"
    )
    ElementTree.fromstring(drawn)


def test_each_component_stands_after_what_it_reads():
    seen: set[str] = set()
    for node in graph():
        assert {producer for producer, _ in node.inputs.values()} | {*node.after} <= seen
        seen.add(node.name)


def test_lines_in_one_lane_do_not_meet():
    spans = {("a", "1"): (0.0, 100.0), ("b", "1"): (50.0, 80.0), ("c", "1"): (200.0, 300.0)}
    lanes = graph_picture.lanes(spans)
    assert lanes["a", "1"] != lanes["b", "1"]
    assert lanes["c", "1"] == 0


@pytest.mark.parametrize(
    "module", [curves_picture, network_picture, tiles_picture], ids=lambda module: module.FILE.stem
)
def test_a_picture_is_up_to_date(module):
    drawn = module.draw()
    assert module.FILE.read_text(encoding="utf-8") == drawn, (
        f"make it again: .venv/bin/python -m {module.__name__}"
    )
    ElementTree.fromstring(drawn)


def test_sides_are_those_of_the_papers_figure():
    assert [into for into, *_ in network_picture.levels(572)] == [572, 284, 140, 68, 32]
    assert network_picture.levels(572)[0] == (572, 568, 392, 388)


def test_curves_have_the_means_of_the_tables():
    page = (curves_picture.FILE.parent / "quality.md").read_text(encoding="utf-8")
    for score, methods in curves_picture.curves().items():
        for method, both in methods.items():
            for _, value in (point for points in both for point in points):
                assert f"{value:.4f}" in page, (score, method)
