"""The scores as people read them: what is demanded, each class, the worst images first."""

import io
import math
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.terminal.scores import WORST, print_scores

CLASSES = ["background", "cell"]


def row(name: str, score: float) -> Any:
    values = {"foreground_iou": score, "mean_iou": 0.5, "pixel_error": 0.1, "boundary_f1": math.nan}
    return {"name": name, "height": 30, "width": 40, "metrics": values}


def shown(rows: list[Any], checks: Any = (), blessed: bool = True) -> list[str]:
    kinds = [f"{kind}_{name}" for kind in ("iou", "dice", "precision", "recall") for name in CLASSES]
    metric = {"value": 0.62, "low": 0.55, "high": 0.7, "baseline": None}
    metrics = dict.fromkeys(["foreground_iou", *kinds, "boundary_f1_cell", "object_f1_cell"], metric)
    objects = {"cell": {"ground_truth": 1200, "predicted": 1003, "matched": [1001, 3]}}
    verdict: Any = {
        "objects": objects,
        "blessed": blessed,
        "reason": "it is bad",
        "classes": CLASSES,
        "images": len(rows),
    }
    out = io.StringIO()
    console = Console(file=out, width=100)
    print_scores(Path("m"), Path("d"), verdict | {"checks": checks, "metrics": metrics}, rows, 1, console)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def check(metric: str, passed: bool, slice_: str = "") -> dict[str, Any]:
    values = {"value": 0.25, "low": math.nan, "high": 0.5, "bound": 0.75}
    return {"metric": metric, "slice": slice_, "passed": passed, **values}


def test_three_tables() -> None:
    assert shown([row("a", 0.5)]) == [
        "m on 1 image of d",
        "",
        "metric value 95 % from to demanded",
        "foreground_iou 0.6200 0.550 0.700",
        "",
        "class IoU 95 % from to Dice precision recall boundary F1 object F1",
        "background 0.6200 0.550 0.700 0.6200 0.6200 0.6200",
        "cell 0.6200 0.550 0.700 0.6200 0.6200 0.6200 0.6200 0.6200",
        "cell: 1,001 of 1,200 objects found, 2 predicted that match none",
        "",
        "image size foreground IoU mean IoU pixel error boundary F1",
        "a 40 x 30 0.5000 0.5000 0.1000",
    ]


def test_what_is_demanded_is_shown_with_what_came_of_it() -> None:
    checks = [
        check("iou_cell", True),
        check("foreground_iou", False, "size=small"),
        check("foreground_iou", True),
    ]
    lines = shown([row("a", 0.5)], checks, blessed=False)
    assert lines[3:6] == [
        "foreground_iou 0.6200 0.550 0.700 >= 0.75 met",
        "iou_cell 0.6200 0.550 0.700 >= 0.75 met",
        "foreground_iou @ size=small 0.2500 0.500 >= 0.75 NOT MET",
    ]
    assert lines[-1] == "Not met: it is bad"
    assert shown([row("a", 0.5)], checks[:1])[-1] == "All thresholds are met"


def test_the_worst_images_come_first_and_those_without_a_score_last() -> None:
    lines = shown([row("good", 0.9), row("none", math.nan), row("bad", 0.1)])
    assert [line.split()[0] for line in lines[-3:]] == ["bad", "good", "none"]
    lines = shown([row(f"{i:03d}", i / 100) for i in range(WORST + 2)])
    assert lines[-2].startswith(f"{WORST - 1:03d} ")
    assert lines[-1] == f"The worst {WORST} of {WORST + 2}; all of them: --out"


def test_without_a_background_the_mean_iou_is_shown_once_and_no_foreground() -> None:
    names = ["foreground_iou", "mean_iou", "foreground_dice", "mean_dice", "foreground_iou_p10"]
    names += [f"{kind}_{name}" for kind in ("iou", "dice", "precision", "recall") for name in ("road", "sky")]
    names += ["boundary_f1", "boundary_f1_road", "boundary_f1_sky", "object_f1_road", "object_f1_sky"]
    value = {"value": 0.4, "low": 0.3, "high": 0.5, "baseline": None}
    found = dict.fromkeys(names, value)
    demanded = check("foreground_iou", False)
    verdict: Any = {"blessed": False, "reason": "foreground_iou is 0.4000", "classes": ["road", "sky"]}
    verdict |= {"images": 1, "checks": [demanded], "metrics": found}
    out = io.StringIO()
    print_scores(Path("m"), Path("d"), verdict, [row("a", 0.5)], 0, Console(file=out, width=100))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "foreground" not in out.getvalue()
    assert [line for line in lines if line.startswith("mean_")] == [
        "mean_iou 0.4000 0.300 0.500 >= 0.75 NOT MET",
        "mean_dice 0.4000 0.300 0.500",
        "mean_iou (p10) 0.4000 0.300 0.500",
    ]
    assert "image size mean IoU pixel error boundary F1" in lines
    assert "a 40 x 30 0.5000 0.1000" in lines
    assert lines[-1] == "Not met: mean_iou is 0.4000"
