"""The gate: decides whether a model is good enough to be deployed, and not worse than the last blessed model.

The decision depends only on the statistics of the test images; docs/explanation/gate.md explains its rules.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from unet.evaluation.results import Baseline, Check, ImageRow, Objects, Slice, Verdict
from unet.evaluation.settings import GateSettings
from unet.metrics import bootstrap, calibration, measurement, objects
from unet.metrics.confusion import Floats
from unet.metrics.measurement import ImageStatistics
from unet.metrics.names import LOWER_IS_BETTER, split_key

SIGNIFICANT = 0.05
_ROUNDING = 1e-9  # prevents float rounding from rejecting an equal model if no drop is allowed
_BASELINE = "baseline "  # prefix of the names of the baseline's metrics


class ImageScores(TypedDict):
    """Properties of one test image, and the statistics of both models by `ImageStatistics.to_json`."""

    name: str
    height: int
    width: int
    bit_depth: int
    foreground: float
    slices: list[str]
    candidate: dict[str, Any]
    baseline: dict[str, Any] | None


def decide(images: Sequence[ImageScores], settings: GateSettings, baseline: Baseline) -> Verdict:
    """Decides whether a model is blessed.

    Args:
        images: all test images; each has a `baseline` if the state of the baseline is "compared".
        settings: settings of the gate.
        baseline: whether there is a model to compare with, and if not, why.
    """
    images = sorted(images, key=lambda image: image["name"])  # the bootstrap must not depend on their order
    everything = _Part(images, settings, compared=baseline["state"] == "compared")
    parts = {"": everything}
    for name in _slices(images):
        parts[name] = everything.of_slice(name)
    checks = _checks(parts, settings)
    failed = [_sentence(check) for check in checks if not check["passed"]]
    if baseline["state"] == "incomparable":
        failed.append(
            f"the last blessed model cannot be compared with: {baseline['why']}; if this one is to take its "
            "place all the same, run with --rebaseline"
        )
    total = everything.candidate.total()
    return {
        "blessed": not failed,
        "reason": "; ".join(failed) or f"{len(checks)} of {len(checks)} checks passed",
        "classes": settings.class_names,
        "images": len(images),
        "baseline": baseline,
        "checks": checks,
        "metrics": {
            name: {
                "value": value,
                "low": everything.interval(name)[0],
                "high": everything.interval(name)[1],
                "baseline": everything.before[name] if everything.before else None,
            }
            for name, value in everything.values.items()
        },
        "slices": {name: _summary(part) for name, part in parts.items() if name},
        "confusion": total.confusion.astype(np.int64).tolist(),
        "calibration": {
            "bins": calibration.reliability_bins(total.calibration),  # type: ignore[typeddict-item]
            "ece": everything.values["ece"],
        },
        "objects": _objects(total, settings.class_names),
    }


def _objects(total: ImageStatistics, classes: Sequence[str]) -> dict[str, Objects]:
    """Numbers of the objects of each class that counts."""
    whole = total.objects.astype(np.int64)  # all but the sum of IoU are whole numbers
    return {
        name: {
            "ground_truth": int(counts[objects.TRUE]),
            "predicted": int(counts[objects.PREDICTED]),
            "matched": counts[objects.SUM + 1 :].tolist(),
        }
        for name, counts in zip(classes[total.first :], whole, strict=True)
    }


def table(images: Sequence[ImageScores], classes: Sequence[str]) -> list[ImageRow]:
    """A row for each image, with the metrics of both models."""
    before = [image["baseline"] for image in images if image["baseline"]]
    candidate = _each([image["candidate"] for image in images], classes)
    baseline = iter(_each(before, classes) if before else [])
    keys = ("name", "height", "width", "bit_depth", "foreground", "slices")
    return [
        {
            **{key: image[key] for key in keys},  # type: ignore[literal-required,typeddict-item]
            **values,
            "baseline": next(baseline) if image["baseline"] else None,
        }
        for image, values in zip(images, candidate, strict=True)
    ]


def _each(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[dict[str, Any]]:
    found = measurement.of_each(ImageStatistics.stack(rows), classes)
    return [
        {"confusion": row["confusion"], "metrics": {name: float(v[i]) for name, v in found.items()}}
        for i, row in enumerate(rows)
    ]


class _Part:
    """A part of the test images and the metrics of both models on it; resamples are computed on demand."""

    def __init__(self, images: Sequence[ImageScores], settings: GateSettings, compared: bool):
        self._images, self._settings, self._compared = images, settings, compared
        self.count = len(images)
        self.candidate = ImageStatistics.stack([image["candidate"] for image in images])
        self.values = measurement.pooled(self.candidate, settings.class_names)
        self._baseline: ImageStatistics | None = None
        self.before: dict[str, float] | None = None
        if compared:
            self._baseline = ImageStatistics.stack([image["baseline"] or {} for image in images])
            self.before = measurement.pooled(self._baseline, settings.class_names)

    def of_slice(self, name: str) -> _Part:
        chosen = [image for image in self._images if name in image["slices"]]
        return _Part(chosen, self._settings, self._compared)

    def interval(self, metric: str) -> tuple[float, float]:
        return bootstrap.interval(self._resampled[metric])

    def comparable(self, metric: str) -> int:
        """Number of images on which the metric of both models is defined; fewer for a rare class."""
        return self._comparable.get(metric, self.count)

    @functools.cached_property
    def _comparable(self) -> dict[str, int]:
        models = [model for model in (self.candidate, self._baseline) if model is not None]
        each = [measurement.of_each(model, self._settings.class_names) for model in models]
        nowhere = {name: [np.isnan(values[name]) for values in each] for name in each[0]}
        return {name: self.count - int(np.any(v, 0).sum()) for name, v in nowhere.items()}

    def change(self, metric: str) -> Floats:
        """The candidate's value minus the baseline's in each resample."""
        return self._resampled[metric] - self._resampled[_BASELINE + metric]

    @functools.cached_property
    def _resampled(self) -> dict[str, Floats]:
        return bootstrap.resample(self.count, self._settings.seed, self._metrics)

    def _metrics(self, chosen: Any) -> dict[str, Floats]:
        classes = self._settings.class_names
        found = measurement.of_sets(self.candidate, classes, chosen)
        if self._baseline is not None:
            before = measurement.of_sets(self._baseline, classes, chosen)
            found |= {_BASELINE + name: values for name, values in before.items()}
        return found


def _slices(images: Sequence[ImageScores]) -> list[str]:
    return sorted({name for image in images for name in image["slices"]})


def _summary(part: _Part) -> Slice:
    return {"images": part.count, "metrics": dict(part.values), "baseline": part.before}  # type: ignore[typeddict-item]


def _checks(parts: Mapping[str, _Part], settings: GateSettings) -> list[Check]:
    checks = []
    for key, bound in settings.thresholds.items():
        metric, of_slice = split_key(key, settings.names)
        part = parts.get(of_slice)
        checks.append(_threshold(metric, of_slice, bound, part))
        # Without a value of the baseline, the candidate cannot be worse.
        if part and part.before and not math.isnan(part.before[metric]):
            checks.append(_drop(metric, of_slice, settings.max_drop, part))
    return checks


def _threshold(metric: str, of_slice: str, bound: float, part: _Part | None) -> Check:
    value = part.values[metric] if part else math.nan  # NaN if no image is in the slice
    low, high = part.interval(metric) if part else (math.nan, math.nan)
    margin = bound - value if metric in LOWER_IS_BETTER else value - bound
    return {
        "metric": metric,
        "slice": of_slice,
        "kind": "threshold",
        "value": value,
        "bound": bound,
        "baseline": part.before[metric] if part and part.before else None,
        "margin": margin,
        "low": low,
        "high": high,
        "p": None,
        "passed": margin >= 0,  # False for NaN
        "by_chance": False,
        "images": part.count if part else 0,
    }


def _drop(metric: str, of_slice: str, allowed: float, part: _Part) -> Check:
    assert part.before
    value, before = part.values[metric], part.before[metric]
    sign = 1 if metric in LOWER_IS_BETTER else -1
    change = part.change(metric)
    low, high = bootstrap.interval(change)
    margin = allowed - sign * (value - before)
    is_allowed = margin >= -_ROUNDING
    # With too few images for a test of significance, the size of the drop alone decides.
    enough = part.comparable(metric) >= bootstrap.LEAST_IMAGES and not math.isnan(value)
    p = bootstrap.p_not_worse(sign * change) if enough else None
    is_chance = p is not None and p >= SIGNIFICANT
    return {
        "metric": metric,
        "slice": of_slice,
        "kind": "drop",
        "value": value,
        "bound": allowed,
        "baseline": before,
        "margin": margin,
        "low": low,
        "high": high,
        "p": p,
        "passed": not math.isnan(value) and (is_allowed or is_chance),
        "by_chance": not is_allowed and is_chance,
        "images": part.comparable(metric),
    }


def _sentence(check: Check) -> str:
    """A sentence that explains why a check failed."""
    name = check["metric"] + (f" of {check['slice']}" if check["slice"] else "")
    value, bound, before = check["value"], check["bound"], check["baseline"]
    if not check["images"] and check["kind"] == "threshold":
        return f"{name} cannot be measured: no test image is in that slice"
    if value is None or math.isnan(value):
        return (
            f"{name} cannot be measured on the test images: what it is about is not there, or never predicted"
        )
    if check["kind"] == "threshold":
        return f"{name} is {value:.4f}, the threshold is {bound:.4f}"
    assert before is not None
    worse = abs(value - before)
    sure = f"{check['images']} images" if check["p"] is None else f"p = {check['p']:.3f}"
    return (
        f"{name} is {value:.4f}, the last blessed model has {before:.4f}: worse by {worse:.4f}, "
        f"{bound:.4f} is allowed ({sure})"
    )
