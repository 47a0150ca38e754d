"""The sections about the quality of the model: by class, by image, by slice, and its calibration."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report import charts
from pipeline.report.artifacts import Evaluated, Missing
from pipeline.report.formats import (
    count,
    finite,
    format_interval,
    kind_of_metric,
    metric,
    number,
    percent,
    signed,
    split_metric,
)
from pipeline.report.verdict import difference
from unet.evaluation.results import Objects
from unet.evaluation.slices import SHARES, SIZES
from unet.metrics.objects import IOUS

SCORE = "foreground_iou"
_LISTED = 1000  # images in the table; images.json lists all
_SLICE_METRICS = 4
_WIDE_CELLS = 6  # classes of whose confusion matrix the cells have room for shares and counts
_BY = {"size": "Size", "bit_depth": "Bits", "foreground": "Share of the foreground"}
_BUCKETS = {"Size": list(SIZES), "Share of the foreground": list(SHARES)}


def classes(artifacts: Evaluated) -> dict[str, Any]:
    """Builds a row with the metrics of each class, the numbers of objects, and the confusion matrix."""
    verdict = artifacts.verdict
    names = verdict["classes"]
    table: dict[str, dict[str, Any]] = {name: {} for name in names}
    kinds: list[str] = []
    for key, values in verdict["metrics"].items():
        kind, of = split_metric(key, names)
        if of:
            table[of][kind] = values
            if kind not in kinds:
                kinds.append(kind)
    rows = []
    for name in names:
        found = [table[name].get(kind) or {} for kind in kinds]
        cells = [(number(v.get("value")), format_interval(v.get("low"), v.get("high"))) for v in found]
        rows.append((name, cells))
    total = [sum(row) for row in verdict["confusion"]]
    shares = [[n / max(sum(row), 1) for n in row] for row in verdict["confusion"]]
    matrix = [
        (
            name,
            [
                (f"{n:,}", _share(share, len(names)) if total[i] else "–", round(100 * share))
                for n, share in zip(row, part, strict=True)
            ],
        )
        for i, (name, row, part) in enumerate(zip(names, verdict["confusion"], shares, strict=True))
    ]
    return {
        "kinds": [kind_of_metric(kind) for kind in kinds],
        "rows": rows,
        "names": names,
        "objects": [_objects(name, counts) for name, counts in verdict.get("objects", {}).items()],
        "ious": [f"{threshold:.2f}" for threshold in IOUS],
        "matrix": matrix,
        "narrow": len(names) > _WIDE_CELLS,
    }


def _objects(name: str, counts: Objects) -> dict[str, Any]:
    """Builds a row with the numbers of objects of a class; F1 by the IoU above which objects match."""
    true, predicted, matched = counts["ground_truth"], counts["predicted"], counts["matched"]
    return {
        "name": name,
        "numbers": [
            f"{n:,}" for n in (true, predicted, matched[0], true - matched[0], predicted - matched[0])
        ],
        "f1": [number(2 * n / (true + predicted) if true + predicted else None, 2) for n in matched],
    }


def _share(share: float, classes: int) -> str:
    """Formats a cell of the confusion matrix: of many classes only whole percents, without the sign."""
    if classes <= _WIDE_CELLS:
        return percent(share)
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"


def distribution(artifacts: Evaluated) -> dict[str, Any]:
    """Shows how the metric varies over the images: histogram, quantiles, and a table, the worst first."""
    rows = artifacts.images
    scores = [finite(row["metrics"].get(SCORE)) for row in rows]
    known = sorted(score for score in scores if score is not None)
    if not known:
        raise Missing(
            f"No test image has a value of {metric(SCORE)}: none shows any foreground, or finds any."
        )
    tenth = float(np.percentile(known, 10))  # equals the gate's metric foreground_iou_p10
    summary = {"median": statistics.median(known), "10th percentile": tenth}
    title = f"{metric(SCORE)} of each of {count(len(known), 'test image')}"
    ordered = sorted(zip(rows, scores, strict=True), key=lambda pair: (pair[1] is None, pair[1] or 0.0))
    several = artifacts.foreground_classes
    listed = []
    for row, score in ordered[:_LISTED]:
        before = finite((row["baseline"] or {"metrics": {}})["metrics"].get(SCORE))
        listed.append(
            {
                "name": row["name"],
                "size": f"{row['width']} × {row['height']}",
                "foreground": percent(row["foreground"]),
                "score": number(score),
                "each": [number(row["metrics"].get(f"iou_{name}")) for name in several],
                "before": number(before),
                "change": signed(difference(score, before)),
            }
        )
    return {
        "chart": charts.histogram(title, known, f"{metric(SCORE)} of an image", summary),
        "facts": [
            ("Worst", number(known[0])),
            ("10th percentile", number(tenth)),
            ("Median", number(summary["median"])),
            ("Mean", number(statistics.fmean(known))),
            ("Best", number(known[-1])),
        ],
        "unknown": count(len(rows) - len(known), "image") if len(rows) > len(known) else "",
        "images": listed,
        "compared": any(row["before"] != "–" for row in listed),
        "left_out": len(rows) - len(listed),
        "metric": metric(SCORE),
        "each": [metric(f"iou_{name}", artifacts.classes) for name in several],
    }


def slices(artifacts: Evaluated) -> dict[str, Any]:
    """Builds a row for each slice, grouped by column."""
    verdict = artifacts.verdict
    if not verdict["slices"]:
        raise Missing("The test images are not sliced.")
    names = verdict["classes"]
    present = list(dict.fromkeys(name for found in verdict["slices"].values() for name in found["metrics"]))
    shown = [name for name in present if not split_metric(name, names)[1]][:_SLICE_METRICS]
    groups: dict[str, list[Any]] = {}
    for key, found in verdict["slices"].items():
        by, _, value = key.partition("=")
        cells = []
        for name in shown:
            now = found["metrics"].get(name)
            before = (found["baseline"] or {}).get(name)
            cells.append((number(now), signed(difference(finite(now), finite(before)))))
        groups.setdefault(_BY.get(by, by), []).append((value or key, found["images"], cells))
    for title, rows in groups.items():
        rows.sort(key=lambda row: _rank(row[0], _BUCKETS.get(title, [])))
    return {
        "metrics": [metric(name, names) for name in shown],
        "groups": groups,
        "compared": any(found["baseline"] for found in verdict["slices"].values()),
    }


def _rank(value: str, buckets: Sequence[str] = ()) -> tuple[int, float, str]:
    """Returns a sort key: buckets by their size, numbers by their value, texts by the alphabet."""
    if value in buckets:
        return 0, buckets.index(value), ""
    return (0, float(value), "") if value.replace(".", "", 1).isdigit() else (1, 0, value)


def calibration(artifacts: Evaluated) -> dict[str, Any]:
    """Builds the calibration curve and its table."""
    found = artifacts.verdict["calibration"]
    pixels = sum(b["pixels"] for b in found["bins"])
    bins = [
        (b["confidence"], b["accuracy"], b["pixels"] / pixels)
        for b in found["bins"]
        if b["pixels"] and finite(b["confidence"]) is not None and finite(b["accuracy"]) is not None
    ]
    if not bins:
        raise Missing("The calibration was not measured.")
    title = "Share of pixels that are right, by the probability that the model gave"
    return {
        "chart": charts.reliability_diagram(title, bins),  # type: ignore[arg-type]
        "ece": number(found["ece"]),
        "rows": [(number(c, 2), percent(a), percent(share)) for c, a, share in bins],
    }
