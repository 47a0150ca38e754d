"""How the model came to be: its learning curves, the search before them, and what it was shown."""

from __future__ import annotations

import itertools
from typing import Any

from components.run_files import SAMPLES, SAMPLES_INDEX, TRIALS, TRIALS_PLOT
from pipeline.report import charts, pictures
from pipeline.report.charts import Series
from pipeline.report.evidence import Evidence, Missing, NotReached
from pipeline.report.formats import count, finite, number, short
from pipeline.report.pictures import Panel

_SIDE = 320  # of a sample, in pixels


def curves(evidence: Evidence) -> dict[str, Any]:
    """Loss, validation IoU and learning rate over the steps, and their table."""
    columns = evidence.curves
    steps = steps_of(columns)
    drawn = [
        (
            "Loss of the training windows",
            charts.lines(
                "Loss over the training steps", [Series("loss", list(zip(steps, columns["loss"])))], "step"
            ),
        ),
    ]
    scores = columns.get("val_foreground_iou", [])
    best = max((score for score in scores if finite(score) is not None), default=None)
    if best is not None:
        title = "Foreground IoU of whole validation images over the training steps"
        drawn.append(
            (
                "Foreground IoU of the validation images",
                charts.lines(title, [Series("IoU", list(zip(steps, scores)))], "step"),
            )
        )
    if rates := columns.get("learning_rate"):
        title = "Learning rate over the training steps"
        drawn.append(
            ("Learning rate", charts.lines(title, [Series("rate", list(zip(steps, rates)))], "step"))
        )
    names = [
        name for name in ("loss", "val_foreground_iou", "val_pixel_error", "learning_rate") if name in columns
    ]
    rows = list(zip(steps, *(columns[name] for name in names)))
    every = max(1, len(rows) // 100)
    return {
        "charts": drawn,
        "best": ""
        if best is None
        else f"The weights of step {steps[scores.index(best)]:,.0f} were kept, with a foreground IoU of {number(best)}: the best of {count(len(rows), 'validation')}.",
        "names": ["Loss", "Validation IoU", "Validation pixel error", "Learning rate"][: len(names)],
        "rows": [(f"{step:,.0f}", [short(value) for value in values]) for step, *values in rows[::every]],
        "tensorboard": f"tensorboard --logdir {evidence.root.path}",
    }


def steps_of(columns: dict[str, list[float | None]]) -> list[float]:
    """Steps done after each epoch; epochs where that is not told."""
    steps = columns.get("steps") or [1.0] * len(columns["loss"])
    return list(itertools.accumulate(step or 0.0 for step in steps))


def search(evidence: Evidence) -> dict[str, Any]:
    """What the Tuner chose, its plot, and a row for each trial."""
    chosen = evidence.run.artifact("Tuner", "best_hyperparameters")
    if chosen is None:
        if evidence.run.config.get("tune") == "never":
            rate = short(evidence.run.config.get("learning_rate"))
            raise Missing(
                f'Nothing was searched (tune = "never"): the learning rate is {rate}, as configured.'
            )
        raise NotReached("The run has no search.")
    context: dict[str, Any] = {
        "reason": chosen.properties.get("reason", ""),
        "plot": "",
        "rows": [],
        "note": "",
    }
    try:
        folder = evidence.folder("Tuner", "tuner_results")
        rows = evidence.json(folder / TRIALS, "table of the trials")
        context["rows"] = [
            (
                int(row["trial"]) + 1,
                ", ".join(
                    f"{name} {short(v) if isinstance(v, float) else v}" for name, v in row["choice"].items()
                ),
                f"{row['steps']:,}",
                row["status"],
                number(row["score"]),
                row["reason"],
            )
            for row in rows
        ]
        if rows:
            context["plot"] = pictures.drawing(folder / TRIALS_PLOT)
    except Missing as missing:
        context["note"] = str(missing)
    return context


def samples(evidence: Evidence) -> dict[str, Any]:
    """Windows of the training before and after augmentation, with their targets and weights."""
    folder = evidence.folder("Trainer", "model_run") / SAMPLES
    shown = []
    weighted = False
    for row in evidence.json(folder / SAMPLES_INDEX, "sample of the training windows"):
        name = row["name"]
        panels = []
        for when, label in (("before", "as stored"), ("after", "as trained on")):
            image = pictures.read(folder / row[when], "RGB", _SIDE)
            mask = pictures.read(folder / row[f"mask_{when}"], "index", _SIDE)
            height, width = mask.shape
            panels.append(
                Panel(
                    f"Window, {label}",
                    f"Window of {name}, {label}",
                    width,
                    height,
                    pictures.photograph(image),
                )
            )
            drawn = pictures.mask(mask, len(evidence.classes))
            panels.append(
                Panel(f"Target, {label}", f"True classes of that window, {label}", width, height, drawn)
            )
        if row["weight"]:
            weighted = True
            weight = pictures.read(folder / row["weight"], "L", _SIDE)
            most = number(row["weight_most"], 1)
            label = f"Weight, 0 to {most}"
            panels.append(
                Panel(
                    label,
                    f"Weight of each pixel of that window in the loss, at most {most}",
                    weight.shape[1],
                    weight.shape[0],
                    pictures.ramp(weight),
                )
            )
        shown.append({"name": name, "panels": panels})
    if not shown:
        raise Missing(f"{folder} holds no samples.")
    return {"samples": shown, "weighted": weighted}
