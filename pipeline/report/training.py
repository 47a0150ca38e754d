"""The sections about the training: learning curves, hyperparameter search and sample patches."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pipeline.history import outcome
from pipeline.report import charts, pictures
from pipeline.report.artifacts import Missing, NotReached, RunArtifacts
from pipeline.report.charts import Series
from pipeline.report.formats import count, finite, metric, number, setting, short
from pipeline.report.pictures import Panel
from unet.metrics.names import goodness
from unet.registry.records import OPERATING_POINT
from unet.training.files import SAMPLES, SAMPLES_INDEX, TRIALS
from unet.training.settings import STILL

_SIDE = 320  # side of a sample patch in pixels
_ROWS = 100  # maximum number of rows in the table of the curves
CURVES = (
    ("loss", "Loss of the training patches"),
    ("val_foreground_iou", "Foreground IoU of the validation images"),
    ("learning_rate", "Learning rate"),
)
_COLUMNS = {
    "loss": "Loss",
    "val_foreground_iou": "Validation IoU",
    "val_pixel_error": "Validation pixel error",
    "learning_rate": "Learning rate",
}
Columns = dict[str, list[float | None]]


def curves(artifacts: RunArtifacts) -> dict[str, Any]:
    """Draws loss, validation IoU (also of each class) and learning rate over the steps, with a table."""
    columns = artifacts.curves
    steps = steps_of(columns)
    select_by = artifacts.run.config.get("select_by", "foreground_iou")
    each = _per_class(artifacts)
    if f"val_{select_by}" not in {*dict(CURVES), *each}:
        each = {f"val_{select_by}": f"Validation {metric(select_by, artifacts.classes)}", **each}
    drawn = [
        (title, charts.lines(f"{title} over the training steps", [series_of(title, columns, name)], "step"))
        for name, title in (*CURVES, *each.items())
        if has_numbers(columns, name)
    ]
    if not drawn:
        raise Missing("The learning curves hold no number.")
    scores = columns.get(f"val_{select_by}", [])
    known = [score for score in scores if score is not None and finite(score) is not None]
    best = max(known, key=lambda score: goodness(select_by, score), default=None)
    kept = ""
    if artifacts.run.config.get("refit"):
        kept = "The last weights were kept: the training learned from the eval images, too (refit)."
    if best is not None:
        kept = (
            f"The weights of step {steps[scores.index(best)]:,.0f} were kept: their "
            f"{metric(select_by, artifacts.classes)} on the eval images, {number(best)}, is the best of "
            f"{count(len(steps), 'validation')}."
        )
    headings = {**_COLUMNS, **each}
    names = [name for name in headings if name in columns]
    rows = list(zip(steps, *(columns[name] for name in names), strict=True))
    every = max(1, len(rows) // _ROWS)
    return {
        "charts": drawn,
        "best": kept,
        "names": [headings[name] for name in names],
        "rows": [(f"{step:,.0f}", [short(value) for value in values]) for step, *values in rows[::every]],
        "point": _operating_point(artifacts),
        "tensorboard": f"tensorboard --logdir {shlex.quote(str(artifacts.root.tensorboard))}",
    }


def _operating_point(artifacts: RunArtifacts) -> dict[str, Any] | None:
    """Tells how the model decides and what that changed on the eval images; None if the setting is argmax."""
    model = artifacts.run.artifact("Trainer", "model")
    point = outcome.training(model).get(OPERATING_POINT) if model else None
    if not point:
        return None
    table, chosen = _factors, "factors of the best mean Dice"
    if "threshold" in point:
        table, chosen = _threshold, "threshold that serves this best"
    about = f"The {chosen} on the eval images; the test images were not looked at."
    if point["why_not"]:
        about = f"Nothing could be chosen: {point['why_not']}. The likeliest class decides."
    step = point.get("step", 1)
    pixels = "all pixels" if step == 1 else f"one pixel in {step}"
    return {**table(artifacts, point), "about": about, "pixels": pixels}


def _threshold(artifacts: RunArtifacts, point: Mapping[str, Any]) -> dict[str, Any]:
    names, before, after = ("precision", "recall", "dice"), point["argmax"], point["chosen"]
    return {
        "caption": f"how the model decides that a pixel is {artifacts.classes[-1]}",
        "headings": ["Decision", "Threshold", "Precision", "Recall", "Dice"],
        "rows": [
            ("The likelier class", [short(0.5), *(number(before[name]) for name in names)]),
            (
                f"Chosen for {point['aim']}",
                [short(point["threshold"]), *(number(after[name]) for name in names)],
            ),
        ],
    }


def _factors(artifacts: RunArtifacts, point: Mapping[str, Any]) -> dict[str, Any]:
    classes, before, after = artifacts.classes, point["argmax"], point["chosen"]
    each = zip(classes, point["factors"], before["dice"], after["dice"], strict=True)
    mean = f"Mean without {classes[0]}" if artifacts.first else "Mean"
    return {
        "caption": "a pixel is of the class whose probability times its factor is highest",
        "headings": ["Class", "Factor", "Dice of the likeliest class", "Dice as chosen"],
        "rows": [
            *((name, [short(factor), number(old), number(new)]) for name, factor, old, new in each),
            (mean, ["", number(before["mean_dice"]), number(after["mean_dice"])]),
        ],
    }


def _per_class(artifacts: RunArtifacts) -> dict[str, str]:
    """Returns column and title of the validation IoU of each foreground class, if there are several."""
    classes = artifacts.classes
    return {
        f"val_iou_{name}": f"Validation {metric(f'iou_{name}', classes)}"
        for name in artifacts.foreground_classes
    }


def has_numbers(columns: Columns, name: str) -> bool:
    """Whether a column exists and holds a number."""
    return any(finite(value) is not None for value in columns.get(name, []))


def series_of(title: str, columns: Columns, name: str) -> Series:
    """Returns a column as a line over the steps."""
    return Series(title, list(zip(steps_of(columns), columns[name], strict=True)))


def steps_of(columns: Columns) -> list[float]:
    """Returns the number of steps after each validation, or of validations if steps were not recorded."""
    steps = columns.get("steps") or [1.0] * len(next(iter(columns.values())))
    return list(itertools.accumulate(step or 0.0 for step in steps))


def search(artifacts: RunArtifacts) -> dict[str, Any]:
    """Shows the choice of the Tuner, its chart, and a row for each trial."""
    chosen = artifacts.run.artifact("Tuner", "best_hyperparameters")
    if chosen is None:
        if artifacts.run.config.get("tune") == "never":
            rate = short(artifacts.run.config.get("learning_rate"))
            raise Missing(
                f'Nothing was searched (tune = "never"): the learning rate is {rate}, as configured.'
            )
        raise NotReached("The run has no search.")
    context: dict[str, Any] = {
        "reason": chosen.properties.get("reason", ""),
        "metric": metric(artifacts.run.config.get("select_by", "foreground_iou"), artifacts.classes),
        "plot": "",
        "rows": [],
        "note": "",
    }
    try:
        folder = artifacts.folder("Tuner", "tuner_results")
        rows = artifacts.json(folder / TRIALS, "table of the trials")
        context["rows"] = [
            (
                int(row["trial"]) + 1,
                _tried(row),
                f"{row['steps']:,}",
                row["status"],
                number(row["score"]),
                row["reason"],
            )
            for row in rows
        ]
        if rows:
            context["plot"] = _plot_of(rows, context["metric"])
    except Missing as missing:
        context["note"] = str(missing)
    return context


def _tried(row: Mapping[str, Any]) -> str:
    """Formats the values of a trial with their names."""
    values = row["choice"].items()
    return ", ".join(f"{name} {short(v) if isinstance(v, float) else v}" for name, v in values)


def _plot_of(rows: Sequence[Mapping[str, Any]], name: str) -> Markup:
    """Draws score against learning rate, a dot for each trial; `name` is that of the metric."""
    points = []
    for row in rows:
        score = "no score" if row["score"] is None else f"{name} {number(row['score'])}"
        text = (
            f"trial {int(row['trial']) + 1}: {_tried(row)}; {row['steps']:,} steps, {row['status']}, {score}"
        )
        points.append((row["choice"]["learning_rate"], row["score"], text))
    return charts.trials(f"{name} of each trial on the eval images", points, "learning rate")


def samples(artifacts: RunArtifacts) -> dict[str, Any]:
    """Shows patches of the training before and after augmentation, with their targets and weights."""
    folder = artifacts.folder("Trainer", "model_run") / SAMPLES
    shown = []
    weighted = False
    for row in artifacts.json(folder / SAMPLES_INDEX, "sample of the training patches"):
        name = row["name"]
        panels = []
        for when, label in (("before", "as stored"), ("after", "as trained on")):
            image = pictures.read(folder / row[when], "RGB", _SIDE)
            mask = pictures.read(folder / row[f"mask_{when}"], "index", _SIDE)
            height, width = mask.shape
            panels.append(
                Panel(
                    f"Patch, {label}",
                    f"Patch of {name}, {label}",
                    width,
                    height,
                    pictures.photograph(image),
                )
            )
            drawn = pictures.mask(mask, len(artifacts.classes), artifacts.first)
            over = pictures.letters(mask, len(artifacts.classes), artifacts.first)
            panels.append(
                Panel(f"Target, {label}", f"True classes of that patch, {label}", width, height, drawn, over)
            )
        if row["weight"]:
            weighted = True
            weight = pictures.read(folder / row["weight"], "L", _SIDE)
            most = number(row["weight_most"], 1)
            label = f"Weight, 0 to {most}"
            panels.append(
                Panel(
                    label,
                    f"Weight of each pixel of that patch in the loss, at most {most}",
                    weight.shape[1],
                    weight.shape[0],
                    pictures.ramp(weight),
                )
            )
        shown.append({"name": name, "panels": panels})
    if not shown:
        raise Missing(f"{folder} holds no samples.")
    return {"samples": shown, "weighted": weighted, "augmentation": _augmentation(artifacts.run.config)}


def _augmentation(config: Mapping[str, Any]) -> list[str]:
    """Lists the settings of a run that change its training patches, as users write them."""
    names = [name for name, still in STILL.items() if config.get(name, still) != still]
    if "spatial_augment_prob" in names:
        names += [name for name in ("rotation", "zoom", "elastic_sigma") if config.get(name)]
    return [f"{name} = {setting(config[name])}" for name in names]
