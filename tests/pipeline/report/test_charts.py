"""Charts: marks at the right places, axes that fit, words for those who do not see them."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from pipeline.report import charts
from pipeline.report.charts import Series


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(str(svg))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in tree(svg).iter("text")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.85, 0.9, ["0.85", "0.86", "0.87", "0.88", "0.89", "0.90"]),  # far from 0
        (1000, 1500, ["1,000", "1,100", "1,200", "1,300", "1,400", "1,500"]),
    ],
)
def test_an_axis_has_about_five_round_numbers(low: float, high: float, expected: list[str]):
    assert [text for _, text in charts._ticks(low, high, 5)] == expected


def test_lines_have_a_point_for_each_finite_value():
    series = [Series("a", [(30, 0.5), (60, None), (90, math.nan), (120, 0.25)]), Series("b", [(60, 0.4)])]
    svg = charts.lines("Loss & <more>", series, "step")
    assert tree(svg).get("aria-label") == "Loss & <more>"
    circles = list(tree(svg).iter("circle"))
    assert [circle.find("title").text for circle in circles] == [  # type: ignore[union-attr]
        "a, step 30: 0.5", "a, step 120: 0.25", "b, step 60: 0.4"
    ]  # fmt: skip
    heights = [float(circle.get("cy", "")) for circle in circles]
    assert heights[1] > heights[2] > heights[0]  # from the top


@pytest.mark.parametrize(
    "values", [[0.5], [0.0], [0.5, 0.5], [1e-7, 2e-7], [5e-4, 1e-3], [-3, 4], [1e9, 2e9]]
)
def test_axes_fit_any_values(values: list[float]):
    svg = charts.lines("x", [Series("x", list(enumerate(values)))], "step")
    for circle in tree(svg).iter("circle"):
        assert 0 <= float(circle.get("cx", "")) <= 340
        assert 0 <= float(circle.get("cy", "")) <= 180
    upright = [float(e.get("y", "")) for e in tree(svg).iter("text") if e.get("text-anchor") == "end"]
    assert 2 <= len(upright) == len(set(upright)) <= 8
    assert max(map(len, texts(svg))) < 16


def test_without_a_number_there_is_no_chart():
    with pytest.raises(ValueError, match="no value is a number"):
        charts.lines("x", [Series("x", [(1, None)])], "step")
    with pytest.raises(ValueError, match="no value is a number"):
        charts.histogram("x", [None, math.nan], "IoU", {})


@pytest.mark.parametrize("values", [[0.5], [0, 1], [0.999] * 5, [0.91, 0.92, None]])
def test_a_histogram_counts_every_value_once(values: list[float | None]):
    svg = charts.histogram("x", values, "IoU", {"median": 0.95, "unknown": None})
    counts = [int(re.sub(r".*: ", "", rect.find("title").text)) for rect in tree(svg).iter("rect")]  # type: ignore[union-attr, arg-type]
    assert sum(counts) == sum(value is not None for value in values)


def test_points_above_the_diagonal_got_better():
    svg = charts.scatter("x", [(0.5, 0.9, 'a "<b>"'), (0.9, 0.5, "c")], "IoU")
    better, worse = tree(svg).iter("circle")
    assert float(better.get("cy", "")) < float(worse.get("cy", ""))
    assert float(better.get("cx", "")) < float(worse.get("cx", ""))
    assert better.find("title").text == 'a "<b>": 0.500, 0.900'  # type: ignore[union-attr]


def test_a_spark_of_one_value_is_one_bar():
    assert len(list(tree(charts.spark("x", [(5, 5, 3), (6, 7, 0)], 5, 5)).iter("rect"))) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_images_are_counted_in_whole_numbers(count: int):
    svg = charts.histogram("x", [0.5] * count, "IoU", {})
    ticks = re.findall(r'text-anchor="end">([^<]+)<', str(svg))
    assert ticks
    assert all("." not in tick for tick in ticks)


def test_trials_lie_on_a_logarithmic_scale_and_the_best_is_filled():
    chart = charts.trials(
        "Trials", [(1e-3, 0.5, "a"), (1e-2, 0.8, "b <"), (1e-1, None, "c")], "learning rate"
    )
    dots = list(tree(chart).iter("circle"))
    assert [dot.get("class") for dot in dots] == ["dot s1 open", "dot s1"]
    first, second = (float(dot.get("cx", "")) for dot in dots)
    [cross] = tree(chart).iter("path")
    third = float(cross.get("d", "").removeprefix("M").split()[0]) + 4
    assert third - second == pytest.approx(second - first, abs=0.2)
    assert [mark.findtext("title") for mark in (*dots, cross)] == ["a", "b <", "c"]
    assert float(dots[0].get("cy", "")) > float(dots[1].get("cy", ""))
