"""The section with test images: the worst, the median and the best ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pipeline.report import pictures
from pipeline.report.artifacts import Missing, RunArtifacts
from pipeline.report.formats import number, percent
from pipeline.report.pictures import Panel
from unet.evaluation import errors
from unet.evaluation.results import BLACK, PICTURES, WHITE, ExamplePicture
from unet.images.display import class_colors, class_letter
from unet.masks.labels import IGNORE

_SIDES = (768, 560, 400, 288, 208)  # possible longest sides of pictures in pixels
_BYTES = 340_000  # limit for all pictures of one image, as text
_TITLES = {"worst": "Worst", "median": "In the middle", "best": "Best"}


def build(artifacts: RunArtifacts) -> dict[str, Any]:
    """Builds groups of images by role, each with its panels, or with a sentence if these are missing."""
    folder = artifacts.folder("Evaluator", "evaluation") / PICTURES
    rows = artifacts.pictures
    classes = artifacts.classes
    groups = []
    for role, title in _TITLES.items():
        shown = []
        for row in rows:
            if row["role"] == role:
                entry: dict[str, Any] = {
                    "name": row["name"],
                    "score": number(row["score"]),
                    "panels": [],
                    "errors": "",
                    "stretched": row.get("stretched", True),  # older evaluations do not tell, and did so
                    "note": "",
                }
                try:
                    entry["panels"], entry["errors"] = _panels(folder, row, classes, artifacts.first)
                except Missing as missing:
                    entry["note"] = str(missing)
                shown.append(entry)
        if shown:
            groups.append({"title": title, "images": shown})
    stretched = sum(row.get("stretched", True) for row in rows)
    shown_kinds = _kinds(classes, artifacts.first)
    ignores = artifacts.run.config.get("ignore") is not None
    colors = class_colors(len(classes), artifacts.first)
    lettered = pictures.is_lettered(len(classes), artifacts.first)
    return {
        "groups": groups,
        "classes": [
            (name, _hex(color), class_letter(i, artifacts.first) if lettered else "")
            for i, (name, color) in enumerate(zip(classes, colors, strict=True))
        ],
        "ignored": [("ignored", _hex(pictures.NOT_COUNTED), "")] if ignores else [],
        "counted": "foreground pixels, true or predicted" if artifacts.first else "pixels",
        "lettered": lettered,
        "errors": [(label, _hex(pictures.ERROR_COLORS[kind]), "") for kind, label in shown_kinds.items()],
        "scored": "foreground IoU" if artifacts.first else "mean IoU",
        "stretched": stretched,
        "all_stretched": stretched == len(rows),
        "black": BLACK,
        "white": WHITE,
    }


_LABELS = {"right": "right", "missed": "missed", "too_much": "too much", "other": "a class for another"}


def _kinds(classes: list[str], first: int) -> dict[int, str]:
    """The kinds of errors that are possible, and what they are called."""
    names = list(_LABELS) if first else ["right", "other"]
    if first and len(classes) == 2:
        names.remove("other")
    return {errors.KINDS[name]: _LABELS[name] for name in names}


def _words(row: ExamplePicture, first: int) -> str:
    """Says which share of the whole image is wrong, and how; empty if the evaluation does not tell."""
    shares = row.get("errors")
    if shares is None:
        return ""
    told: list[Literal["missed", "too_much", "other"]] = ["missed", "too_much"] if first else []
    told += ["other"] if shares["other"] or not first else []
    return ", ".join(f"{_LABELS[name]} {percent(shares[name])}" for name in told)


def _panels(folder: Path, row: ExamplePicture, classes: list[str], first: int) -> tuple[list[Panel], str]:
    """Returns the pictures of an image, as large as `_BYTES` allows, and a description of its errors."""
    for side in _SIDES:
        panels, words = _drawn(folder, row, classes, first, side)
        if sum(len(panel.base) + len(panel.over) for panel in panels) <= _BYTES:
            break
    return panels, words


def _drawn(
    folder: Path, row: ExamplePicture, classes: list[str], first: int, side: int
) -> tuple[list[Panel], str]:
    image = pictures.read(folder / row["image"], "RGB", side)
    ground_truth = pictures.read(folder / row["ground_truth"], "index", side)
    predicted = pictures.read(folder / row["predicted"], "index", side)
    probability = pictures.read(folder / row["probability"], "L", side)
    sizes = {values.shape[:2] for values in (image, ground_truth, predicted, probability)}
    if len(sizes) > 1:
        raise Missing(f"The pictures of {row['name']} in {folder} are of different sizes.")
    height, width = image.shape[:2]
    kinds = errors.kinds_of_error(ground_truth, predicted, IGNORE, first)
    words = _words(row, first)
    gray = image[..., 0] if (image[..., 0] == image[..., 1]).all() else image
    photograph = pictures.photograph(gray)
    dimmed = pictures.photograph((gray * 0.8).astype(image.dtype))
    name = row["name"]
    return [
        Panel("Image", f"Image {name}", width, height, photograph),
        Panel(
            "Ground truth",
            f"True classes of {name}",
            width,
            height,
            pictures.mask(ground_truth, len(classes), first),
            pictures.letters(ground_truth, len(classes), first),
        ),
        Panel(
            "Prediction",
            f"Predicted classes of {name}",
            width,
            height,
            pictures.mask(predicted, len(classes), first),
            pictures.letters(predicted, len(classes), first),
        ),
        Panel(
            "Errors",
            f"Errors in {name}: {words}" if words else f"Errors in {name}",
            width,
            height,
            dimmed,
            pictures.errors(kinds),
        ),
        Panel(
            "Probability",
            f"Probability of {'any class but the first' if first else 'the likeliest class'} in {name}",
            width,
            height,
            pictures.ramp(probability),
        ),
    ], words


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
