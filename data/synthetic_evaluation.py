"""Synthetic evaluations for tests and benchmarks: what the Evaluator leaves, of a model that never was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from data.synthetic import draw_cells
from unet.evaluation import pictures
from unet.evaluation.results import write_images, write_picture_index, write_verdict
from unet.masks.labels import IGNORE
from unet.metrics.confusion import summarize

_CLASSES = ("background", "cell")


def write_evaluation(
    folder: Path,
    images: int = 12,
    size: tuple[int, int] = (96, 96),
    *,
    classes: Sequence[str] = _CLASSES,
    names: Sequence[str] = (),
    seed: int = 0,
    threshold: float = 0.5,
    baseline: bool = True,
    drawn: int | None = None,
) -> None:
    """Writes verdict, table and pictures of test images of synthetic cells.

    Args:
        folder: of the evaluation; created if missing.
        images: how many.
        size: height and width in pixels.
        classes: names.
        names: of the first images; the others have numbers.
        seed: another seed, other errors.
        threshold: least foreground IoU.
        baseline: whether a model was there before, a little worse.
        drawn: of so many images the errors are computed, the others share their numbers; all by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = [_image(size, classes, i, seed) for i in range(min(images, drawn or images))]
    rows: list[Any] = []
    for i in range(images):
        brightness, ground_truth, predicted, before = made[i % len(made)]
        tables = [_confusion(ground_truth, answer, len(classes)) for answer in (predicted, before)]
        values = [summarize(table, list(classes)) for table in tables]
        share = float((ground_truth > 0).mean())
        rows.append(
            {
                "name": names[i] if i < len(names) else f"image {i:04d}",
                "height": size[0],
                "width": size[1],
                "bit_depth": 8,
                "foreground": share,
                "slices": [f"foreground={'much' if share > 0.15 else 'little'}"],
                "confusion": tables[0].tolist(),
                "metrics": values[0],
                "baseline": {"confusion": tables[1].tolist(), "metrics": values[1]} if baseline else None,
            }
        )
    write_images(folder, rows)
    write_verdict(folder, _verdict(rows, list(classes), threshold, seed))
    by_name = {row["name"]: made[i % len(made)] for i, row in enumerate(rows)}
    index = []
    for number, picked in enumerate(pictures.pick(rows)):
        brightness, ground_truth, predicted, _ = by_name[picked["name"]]
        pixels = np.round(brightness * 255).astype(np.uint8)[..., None]
        foreground = np.clip(ndimage.gaussian_filter((predicted > 0) * 65535.0, 2), 0, 65535)
        index.append(
            pictures.write_pictures(
                folder,
                number,
                picked,
                pixels,
                ground_truth,
                predicted,
                foreground.astype(np.uint16),
                IGNORE,
                1,
            )
        )
    write_picture_index(folder, index)


def _image(size: tuple[int, int], classes: Sequence[str], number: int, seed: int) -> tuple[Any, ...]:
    """Brightness, truth, and what two models made of it."""
    generator = np.random.default_rng([seed, number])
    cells = max(12, len(classes))
    brightness, labels = draw_cells(size, cells, len(classes), np.random.default_rng(number))
    ground_truth = labels.astype(np.uint8)
    answers = []
    for strength in (4, 5):
        drift = ndimage.gaussian_filter(generator.normal(0, 12 * strength, (2, *size)), (0, 4, 4))
        at = np.indices(size) + drift
        answer = ndimage.map_coordinates(ground_truth, at, order=0, mode="nearest")
        answer[ndimage.gaussian_filter(generator.normal(0, 1, size), 4) > 0.2] = 0
        answers.append(answer)
    return brightness, ground_truth, *answers


def _confusion(ground_truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    pairs = ground_truth.astype(np.int64) * classes + predicted
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


def _verdict(rows: Sequence[Any], classes: list[str], threshold: float, seed: int) -> dict[str, Any]:
    """The verdict over the rows, as the gate writes it."""
    pooled = summarize(sum(np.array(row["confusion"]) for row in rows), classes)
    compared = bool(rows[0]["baseline"])
    before: dict[str, Any] = dict.fromkeys(pooled)
    if compared:
        before = summarize(sum(np.array(row["baseline"]["confusion"]) for row in rows), classes)
    found = {
        name: {"value": value, "low": value - 0.03, "high": value + 0.02, "baseline": before[name]}
        for name, value in pooled.items()
    }
    value = pooled["foreground_iou"]
    checks = [
        {
            "metric": "foreground_iou", "slice": "", "kind": "threshold", "value": value, "bound": threshold,
            "baseline": before["foreground_iou"], "margin": value - threshold, "low": value - 0.03,
            "high": value + 0.02, "p": None, "passed": bool(value >= threshold),
            "by_chance": False, "images": len(rows),
        }
    ]  # fmt: skip
    if compared:
        drop = before["foreground_iou"] - value
        checks.append(
            checks[0]
            | {"kind": "drop", "bound": 0.01, "margin": 0.01 - drop, "low": -drop - 0.02, "high": 0.02 - drop,
               "p": 0.4, "passed": bool(drop <= 0.01)}
        )  # fmt: skip
    slices = {}
    for key in sorted({key for row in rows for key in row["slices"]}):
        part = [row for row in rows if key in row["slices"]]
        measured = summarize(sum(np.array(row["confusion"]) for row in part), classes)
        slices[key] = {"images": len(part), "metrics": measured, "baseline": None}
    generator = np.random.default_rng(seed)
    bins = [
        {"confidence": c, "accuracy": min(1.0, c * generator.uniform(0.9, 1.02)), "pixels": int(1e5 * c**4)}
        for c in np.arange(0.55, 1, 0.1)
    ]
    passed = all(check["passed"] for check in checks)
    return {
        "blessed": passed,
        "reason": "" if passed else f"foreground_iou is {value:.4f}, the threshold is {threshold:.4f}",
        "classes": classes,
        "images": len(rows),
        "baseline": {
            "state": "compared" if compared else "none",
            "why": "the last blessed model (10)" if compared else "no other model was blessed before",
            "model_id": 10 if compared else None,
        },
        "checks": checks,
        "metrics": found,
        "slices": slices,
        "confusion": np.sum([row["confusion"] for row in rows], axis=0).tolist(),
        "calibration": {"bins": bins, "ece": 0.02},
    }
