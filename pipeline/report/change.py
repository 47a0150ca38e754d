"""The sections about changes: against the last blessed model, or between two runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.history.durations import format_duration
from pipeline.history.executions import Executions
from pipeline.metadata.place import StoreError
from pipeline.report import charts
from pipeline.report.artifacts import Missing, RunArtifacts
from pipeline.report.formats import (
    NONE,
    count,
    finite,
    kind_of_metric,
    metric,
    number,
    of_each_class,
    sentence,
    setting,
    signed,
    split_metric,
)
from pipeline.report.quality import SCORE
from pipeline.report.training import CURVES, has_numbers, series_of
from pipeline.report.verdict import STATUSES, baseline_in_words, difference
from unet.evaluation.results import Metric
from unet.metrics import bootstrap
from unet.metrics.names import LOWER_IS_BETTER

_MOST_CHANGED = 8  # images listed in each direction
Pair = tuple[str, float | None, float | None]


def with_blessed(artifacts: RunArtifacts) -> dict[str, Any]:
    """Compares this model with the last blessed one, both measured on the test images of this run."""
    verdict = artifacts.verdict
    baseline = verdict["baseline"]
    if not any(values["baseline"] is not None for values in verdict["metrics"].values()):
        raise Missing(baseline_in_words(baseline) or "There was no model to compare with.")
    rows = ((name, v["baseline"], v["value"]) for name, v in verdict["metrics"].items())
    context: dict[str, Any] = {
        "why": baseline_in_words(baseline),
        "run": _run_of_model(artifacts, baseline["model_id"]),
        **_metrics(rows, verdict["classes"]),
        "images": None,
        "note": "",
    }
    try:
        pairs = [
            (
                row["name"],
                finite((row["baseline"] or {"metrics": {}})["metrics"].get(SCORE)),
                finite(row["metrics"].get(SCORE)),
            )
            for row in artifacts.images
        ]
        context["images"] = _images(pairs, "last blessed model", "this model")
    except Missing as missing:
        context["note"] = str(missing)
    return context


def _run_of_model(artifacts: RunArtifacts, model: int | None) -> str:
    """Returns the id of the run that trained a model; empty if not known."""
    try:
        return Executions(artifacts.root).maker(model) if model else ""
    except StoreError:
        return ""


def verdicts(a: RunArtifacts, b: RunArtifacts) -> dict[str, Any]:
    """Compares the verdicts of two runs and all metrics that either of them measured."""
    columns = []
    for artifacts in (a, b):
        run = artifacts.run
        words, tone = STATUSES.get(run.status, (run.status, "open"))
        columns.append(
            {
                "id": run.id,
                "words": words,
                "tone": tone,
                "reason": sentence(run.reason),
                "started": run.started,
                "duration": format_duration(run.seconds) if run.seconds else NONE,
            }
        )
    context: dict[str, Any] = {"runs": columns, "metrics": [], "each_class": None, "notes": []}
    found = []
    for artifacts in (a, b):
        try:
            found.append(artifacts.verdict)
        except Missing as missing:
            context["notes"].append(f"{artifacts.run.id}: {missing}")
    if len(found) == 2:
        first, second = (v["metrics"] for v in found)
        names = list(dict.fromkeys([*first, *second]))
        rows = ((n, _value(first, n), _value(second, n)) for n in names)
        classes = dict.fromkeys([*found[0]["classes"], *found[1]["classes"]])
        context |= _metrics(rows, list(classes))
        hashes = [_data_hash(artifacts) for artifacts in (a, b)]
        if hashes[0] != hashes[1]:
            context["notes"].append(
                "The two runs had different data: metrics over different test images do not compare."
            )
    return context


def _value(metrics: Mapping[str, Metric], name: str) -> float | None:
    return metrics[name]["value"] if name in metrics else None


def _data_hash(artifacts: RunArtifacts) -> str:
    examples = artifacts.run.artifact("ImageMaskExampleGen", "examples")
    return str(examples.properties.get("fingerprint", "")) if examples else ""


def images(a: RunArtifacts, b: RunArtifacts) -> dict[str, Any]:
    """Compares the test images of two runs: a dot for each, and a list of the largest changes."""
    first, second = ({row["name"]: finite(row["metrics"].get(SCORE)) for row in e.images} for e in (a, b))
    pairs = [(name, first[name], second[name]) for name in first if name in second]
    if not pairs:
        raise Missing("The two runs have no test image in common.")
    context = _images(pairs, a.run.id, b.run.id)
    alone = len(first) + len(second) - 2 * len(pairs)
    context["alone"] = count(alone, "image") if alone else ""
    return context


def configurations(a: RunArtifacts, b: RunArtifacts) -> dict[str, Any]:
    """Lists settings and versions that differ."""
    rows = {}
    for title, first, second, words in (
        ("Settings", a.run.config, b.run.config, setting),
        ("Versions", a.run.versions, b.run.versions, str),
    ):
        names = dict.fromkeys([*first, *second])
        rows[title] = [
            (n, words(first[n]) if n in first else NONE, words(second[n]) if n in second else NONE)
            for n in names
            if first.get(n) != second.get(n)
        ]
    return {"tables": rows, "names": (a.run.id, b.run.id)}


def compare_curves(a: RunArtifacts, b: RunArtifacts) -> dict[str, Any]:
    """Draws the learning curves of both runs in the same charts."""
    drawn, notes = [], []
    columns = []
    for artifacts in (a, b):
        try:
            columns.append((artifacts.run.id, artifacts.curves))
        except Missing as missing:
            notes.append(f"{artifacts.run.id}: {missing}")
    if not columns:
        raise Missing(" ".join(notes))
    for name, title in CURVES:
        series = [series_of(run_id, found, name) for run_id, found in columns if has_numbers(found, name)]
        if series:
            drawn.append((title, charts.lines(title, series, "step")))
    return {"charts": drawn, "names": [name for name, _ in columns], "notes": notes}


def times(a: RunArtifacts, b: RunArtifacts) -> dict[str, Any]:
    """Lists time and memory of each component in both runs."""
    both = [{node.name: node for node in e.run.nodes} for e in (a, b)]
    rows = []
    for name in dict.fromkeys([*both[0], *both[1]]):
        cells = []
        for nodes in both:
            node = nodes.get(name)
            done = node is not None and node.state == "done"
            cells.append(NONE if node is None else format_duration(node.seconds) if done else node.state)
        rows.append((name, cells))
    return {"rows": rows, "names": (a.run.id, b.run.id)}


def _metrics(rows: Iterable[tuple[str, Any, Any]], classes: list[str]) -> dict[str, Any]:
    """Returns `metrics`, a row for each, and `each_class`, a table with a row for each of several classes."""
    table: list[dict[str, str]] = []
    found = {name: (before, now) for name, before, now in rows}
    in_classes = of_each_class(found, classes)
    for name, (before, now) in found.items():
        if name in in_classes:
            continue
        change = difference(finite(now), finite(before))
        better = (change or 0) * (-1 if name in LOWER_IS_BETTER else 1)
        table.append(
            {
                "metric": metric(name, classes),
                "before": number(before, 4),
                "now": number(now, 4),
                "change": signed(change, 4),
                "word": "" if change is None or abs(change) < 5e-5 else "better" if better > 0 else "worse",
            }
        )
    return {"metrics": table, "each_class": _each_class(found, in_classes, classes)}


def _each_class(
    found: Mapping[str, tuple[Any, Any]], names: Set[str], classes: list[str]
) -> dict[str, Any] | None:
    if not names:
        return None
    kinds = list(dict.fromkeys(split_metric(name, classes)[0] for name in found if name in names))
    rows = []
    for of in classes:
        pairs = [found.get(f"{kind}_{of}", (None, None)) for kind in kinds]
        changes = [difference(finite(now), finite(before)) for before, now in pairs]
        rows.append((of, [(number(now), signed(c)) for (_, now), c in zip(pairs, changes, strict=True)]))
    return {"kinds": [kind_of_metric(kind) for kind in kinds], "rows": rows}


def _images(pairs: list[Pair], first: str, second: str) -> dict[str, Any]:
    known = [(name, a, b) for name, a, b in pairs if a is not None and b is not None]
    if not known:
        raise Missing("No test image has a score of both models.")
    changes = sorted(((b - a, name, a, b) for name, a, b in known), key=lambda change: (change[0], change[1]))

    def rows(some: list[tuple[float, str, float, float]]) -> list[Mapping[str, str]]:
        return [
            {"name": name, "before": number(a), "now": number(b), "change": signed(change)}
            for change, name, a, b in some
        ]

    better, worse = [c for c in reversed(changes) if c[0] > 0], [c for c in changes if c[0] < 0]
    title = f"{metric(SCORE)} of each of {count(len(known), 'test image')}: {first} across, {second} up"
    return {
        "chart": charts.scatter(title, [(a, b, name) for name, a, b in known], f"{metric(SCORE)} of {first}"),
        "better": rows(better[:_MOST_CHANGED]),
        "worse": rows(worse[:_MOST_CHANGED]),
        "counts": (len(better), len(worse), len(known) - len(better) - len(worse)),
        "names": (first, second),
        "mean": _mean_change(np.array([b - a for _, a, b in sorted(known)])),
    }


def _mean_change(changes: NDArray[np.float64]) -> str:
    """Describes the mean change per image and its interval; empty if no image changed."""
    if not changes.any():
        return ""
    means = bootstrap.resample(len(changes), 0, lambda chosen: {"mean": changes[chosen].mean(-1)})["mean"]
    low, high = bootstrap.interval(means)
    few = len(changes) < bootstrap.LEAST_IMAGES
    sure = count(len(changes), "image") if few else f"95 % interval {signed(low)} to {signed(high)}"
    chance = ": that may be chance" if few or low <= 0 <= high else ""
    return f"The {metric(SCORE)} of an image changed by {signed(changes.mean())} on average ({sure}){chance}."
