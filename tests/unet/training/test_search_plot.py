"""The plot of a search is well-formed and shows each trial where it belongs."""

import xml.etree.ElementTree as ET

from unet.training.search import COMPLETED, NOT_FINITE, Row
from unet.training.search_plot import plot

SVG = "{http://www.w3.org/2000/svg}"


def row(trial, rate, score, **choice):
    status = NOT_FINITE if score is None else COMPLETED
    return Row(
        str(trial), {"learning_rate": rate, **choice}, 60, status, score, "a < b" if score is None else ""
    )


def marks(rows, choice):
    root = ET.fromstring(plot(rows, choice, "Trials & scores"))
    dots = [(e, e.find(f"{SVG}title")) for e in root.iter(f"{SVG}circle")]
    titled = [(e, title.text) for e, title in dots if title is not None]
    rings = [e for e in root.iter(f"{SVG}circle") if e.get("fill") == "none"]
    return root, titled, rings


def test_each_trial_is_where_its_rate_and_its_score_are():
    rows = [row(0, 1e-4, 0.1), row(1, 1e-3, 0.5), row(2, 1e-2, 0.3), row(3, 5e-2, None)]
    root, dots, rings = marks(rows, rows[1].choice)
    x, y = ([float(dot.get(key)) for dot, _ in dots] for key in ("cx", "cy"))
    assert abs((x[1] - x[0]) - (x[2] - x[1])) < 0.2  # a decade each
    assert y[1] < y[2] < y[0]
    assert [ring.get("cx") for ring in rings] == [dots[1][0].get("cx")]
    assert "learning_rate 0.001; 60 steps, completed, IoU 0.500" in dots[1][1]
    [cross] = list(root.iter(f"{SVG}path"))
    assert "diverged, no score. a < b" in cross.find(f"{SVG}title").text
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert {"Trials & scores", "learning rate", "1e-03", "1e-02", "0.5"} <= set(words)


def test_what_is_searched_besides_the_rate_has_a_colour_and_a_name():
    rows = [
        row(0, 1e-3, 0.1, loss="dice"),
        row(1, 2e-3, 0.2, loss="cross_entropy"),
        row(2, 3e-3, 0.3, loss="dice"),
    ]
    root, dots, _ = marks(rows, rows[0].choice)
    colours = [dot.get("fill") for dot, _ in dots]
    assert colours[0] == colours[2] != colours[1]
    assert {"loss dice", "loss cross_entropy"} <= {element.text for element in root.iter(f"{SVG}text")}


def test_one_trial_alone_and_trials_without_score():
    assert len(marks([row(0, 1e-3, 0.1)], {"learning_rate": 1e-3})[1]) == 1
    assert not marks([row(0, 1e-3, None)], {"learning_rate": 1e-3})[1]
