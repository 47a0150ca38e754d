"""Shows the scores of held-out images after equal minutes, beside peers, in Markdown tables.

From benchmarks/quality.json, which `benchmarks/quality.py --out` writes as `results.json`.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks import quality

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "quality.json"
METHODS = {
    "ours": "this pipeline",
    "monai": "MONAI, residual U-Net",
    "dynunet": "MONAI, DynUNet as nnU-Net plans it",
    "smp": "segmentation-models-pytorch, U-Net with ResNet-18",
    "keras": "Keras, the U-Net of keras.io's example",
}
SCORES = {
    "pixel_error": "pixel error",
    "v_rand": "V_rand",
    "v_info": "V_info",
    "foreground_iou": "foreground IoU",
    "mean_iou": "mean IoU",
    "object_f1": "F1 of objects",
    "object_ap": "AP of objects",
}
SETS = {
    "isbi": "Membranes of ISBI 2012",
    "nuclei": "Nuclei",
    "borders": "Nuclei and their borders, three classes",
}


def markdown() -> str:
    """Returns tables for each set, number of minutes and precision; the best mean of a column is bold.

    The first one has all held-out sets, and the methods that were measured on each of them. Where others were
    measured on some, a second one has these alone, and all methods.
    """
    lines: list[str] = []
    for (name, minutes, precision), rows in results().items():
        machines = ", ".join(sorted({row["processor"] for row in rows}))
        lines += [f"## {SETS[name]}, {minutes:g} minutes in {precision}, {machines}", ""]
        each = [{training(row) for row in rows if row["method"] == method} for method in METHODS]
        every, common = set[Any]().union(*each), set[Any].intersection(*filter(None, each))
        lines += [f"Held out: {held_out(name, every)}.", "", *table(rows, every), ""]
        if len(every) > 1:
            lines += [*single_table(rows, every), ""]
        if common and common != every:
            lines += [f"The first of them with all methods: {held_out(name, common)}.", ""]
            lines += [*table(rows, common), ""]
        lines += by_steps(rows)
    return "\n".join(lines)


def results() -> dict[tuple[str, float, str], list[dict[str, Any]]]:
    """Returns the results by set, minutes and precision."""
    rows: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    rows = [row for row in rows if not row.get("settings")]  # others are no comparison with peers
    keys = sorted({_key(row) for row in rows})
    return {key: [row for row in rows if _key(row) == key] for key in keys}


def measured(rows: list[dict[str, Any]], trainings: set[tuple[int, int]]) -> dict[str, list[dict[str, Any]]]:
    """Returns the results of each method that was measured with all of these folds and seeds."""
    found = {
        method: [row for row in rows if row["method"] == method and training(row) in trainings]
        for method in METHODS
    }
    return {method: of for method, of in found.items() if len(of) == len(trainings)}


def of_first_seed(rows: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Returns our trainings with the first seed: few other methods were trained with more than one."""
    ours = {training(row) for row in rows if row["method"] == "ours"}
    first = min(seed for _, seed in ours)
    return {(fold, seed) for fold, seed in ours if seed == first}


def training(row: dict[str, Any]) -> tuple[int, int]:
    """Returns fold and seed of a result."""
    return row["fold"], row["seed"]


def held_out(name: str, trainings: set[tuple[int, int]]) -> str:
    """Names the held-out images of trainings, which are pairs of fold and seed."""
    folds = sorted({fold for fold, _ in trainings})
    if name == "isbi":
        return "slices " + ", ".join(
            f"{quality.BLOCKS[fold][0]} to {quality.BLOCKS[fold][-1]}" for fold in folds
        )
    return ("folds " if len(folds) > 1 else "fold ") + ", ".join(map(str, folds))


def by_steps(rows: list[dict[str, Any]]) -> list[str]:
    """Returns a sentence that names the trainings that had a number of steps instead of minutes, if any."""
    found = [row for row in rows if "trained_on" in row]
    if not found:
        return []
    each = []
    for method in METHODS:
        if of := [row for row in found if row["method"] == method]:
            folds = held_out(of[0]["set"], {training(row) for row in of})
            each.append(f"{METHODS[method]} ({folds}; {of[0]['steps']} steps)")
    machines = ", ".join(sorted({row["trained_on"] for row in found}))
    return [f"By the steps of these minutes, on another machine ({machines}): {'; '.join(each)}.", ""]


def _key(row: dict[str, Any]) -> tuple[str, float, str]:
    return row["set"], row["minutes"], row["precision"]


def table(rows: list[dict[str, Any]], trainings: set[tuple[int, int]]) -> list[str]:
    """Returns the lines of a table: a row for each method, a column for each score, without and with TTA.

    Args:
        rows: results of one set, number of minutes and precision.
        trainings: folds and seeds to show, for methods that were measured with all of them.
    """
    by_method = measured(rows, trainings)
    more_is_better = quality.scores_of([row for found in by_method.values() for row in found])
    scores = list(more_is_better)
    columns = [(augmented, score) for augmented in (0, 1) for score in scores]
    values = {
        method: [[row["scores"][augmented][score] for row in found] for augmented, score in columns]
        for method, found in by_method.items()
    }
    means = {method: [statistics.mean(of) for of in columns_] for method, columns_ in values.items()}
    best = [
        (max if more_is_better[score] else min)(mean[i] for mean in means.values())
        for i, (_, score) in enumerate(columns)
    ]
    heads = [SCORES[score] + (", TTA" if augmented else "") for augmented, score in columns]
    lines = [
        "| | trainings | steps | " + " | ".join(heads) + " |",
        "|---|" + "---|" * (len(columns) + 2),
    ]
    for method, found in by_method.items():
        cells = []
        for i, mean in enumerate(means[method]):
            shown = f"**{mean:.4f}**" if mean == best[i] else f"{mean:.4f}"
            spread = f" ± {statistics.pstdev(values[method][i]):.3f}" if len(found) > 1 else ""
            cells.append(shown + spread)
        steps = statistics.median(row["steps"] for row in found)
        lines.append(f"| {METHODS[method]} | {len(found)} | {steps:.0f} | " + " | ".join(cells) + " |")
    return lines


def single_table(rows: list[dict[str, Any]], trainings: set[tuple[int, int]]) -> list[str]:
    """Returns the lines of a table of the first score, without and with TTA: a column for each training."""
    name, score = rows[0]["set"], next(iter(rows[0]["scores"][0]))
    heads = [f"{held_out(name, {(fold, seed)})}, seed {seed}" for fold, seed in sorted(trainings)]
    lines = [f"| {SCORES[score]}, and with TTA | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for method, found in measured(rows, trainings).items():
        cells = [
            ", ".join(f"{scores[score]:.4f}" for scores in row["scores"])
            for row in sorted(found, key=training)
        ]
        lines.append(f"| {METHODS[method]} | {' | '.join(cells)} |")
    return lines
