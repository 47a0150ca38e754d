"""Statistics of single images, and the metrics of sets of images.

All statistics of an image are sums over its pixels. The statistics of a set of images, of a part of a set or
of a resample are sums over the images, so that the same functions compute the metrics of all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.masks.object_rule import ObjectRule
from unet.metrics import boundary, calibration, objects
from unet.metrics import segments as segment_scores
from unet.metrics.confusion import Floats, mean, ratio, summarize_each
from unet.metrics.names import OBJECT_SCORES, SEGMENT_SCORES, WORST_DECILE, gate_names

FULL = 65535  # stands for a probability of 1 in the PNGs of the exported model
_NO_SEGMENTS = (2, 0, len(SEGMENT_SCORES))


@dataclasses.dataclass(frozen=True)
class ImageStatistics:
    """Sums over the pixels of one image, or, with more leading axes, of many images.

    Attributes:
        confusion: pixel counts, [..., classes, classes], row = ground truth, column = prediction.
        boundary: counts of boundary pixels, [..., classes that count, 4], see `boundary.boundary_counts`.
        objects: counts of objects, [..., classes that count, COUNTS], see `objects.object_counts`.
        calibration: sums of bins, [..., BINS, 3], see `calibration.calibration_counts`.
        segments: sums of `segment_scores.scores` and their number, [..., 2, thresholds, scores]; without
            segment scores the axis of thresholds is empty.
    """

    confusion: Floats
    boundary: Floats
    objects: Floats
    calibration: Floats
    segments: Floats

    @property
    def first(self) -> int:
        """Index of the first class that counts: 1 after a background, 0 without one."""
        return self.confusion.shape[-1] - self.boundary.shape[-2]

    def to_json(self) -> dict[str, Any]:
        """The arrays as nested lists, with whole numbers as integers."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: (_whole(value)).tolist() for name, value in found.items()}

    @classmethod
    def stack(cls, rows: Sequence[Mapping[str, Any]]) -> ImageStatistics:
        """Stacks the results of `to_json` of several images along a new first axis."""
        names = [field.name for field in dataclasses.fields(cls)]
        stacked = {name: np.array([row[name] for row in rows], np.float64) for name in names}
        # Nested lists do not keep the lengths of the axes inside an empty axis.
        if not stacked["segments"].size:
            stacked["segments"] = np.zeros((len(rows), *_NO_SEGMENTS))
        return cls(**stacked)

    def part(self, chosen: NDArray[np.bool_]) -> ImageStatistics:
        """The statistics of the chosen images."""
        return self._each(lambda values: values[chosen])

    def total(self, weights: NDArray | None = None) -> ImageStatistics:
        """Sums over images; `weights` [N, images] gives N sums that count each image that many times."""
        if weights is None:
            return self._each(lambda values: values.sum(0))
        return self._each(lambda values: np.tensordot(weights, values, 1))

    def _each(self, function: Any) -> ImageStatistics:
        names = [field.name for field in dataclasses.fields(self)]
        return ImageStatistics(**{name: function(getattr(self, name)) for name in names})


def measure(
    confusion: NDArray,
    probabilities: NDArray[np.uint16],
    ground_truth: NDArray[np.uint8],
    ignore: int,
    tolerance: int,
    with_segments: bool = False,
    first: int = 1,
    predicted: NDArray[np.uint8] | None = None,
    instances: NDArray[np.uint16] | None = None,
    split: float = 0.0,
    min_size: int = 0,
) -> ImageStatistics:
    """Computes the statistics of a model's prediction for one image.

    Args:
        confusion: pixel counts of the predicted mask, [classes, classes].
        probabilities: probabilities of all classes but the first, times 65535, [H, W, classes - 1].
        ground_truth: class indices of the ground truth, [H, W].
        ignore: class index of pixels that are not counted.
        tolerance: tolerance of `boundary.boundary_counts` in pixels.
        with_segments: whether to compute the segment scores, too, which takes a second per image.
        first: index of the first class that counts.
        predicted: predicted class indices, [H, W]; None: the most likely classes. The calibration is that of
            the most likely class all the same: it is a property of the probabilities.
        instances: number of each pixel's object in the ground truth, 0 for none, [H, W]; None: a true object
            is a 4-connected part of a class, a true segment one of all classes but the first.
        split: depth in pixels by which predicted objects are split, see
            `unet.masks.objects.split_touching`.
        min_size: least number of pixels of a predicted object; smaller ones are left out.
    """
    classes = len(confusion)
    likely, confidence = most_likely(probabilities)
    counted = ground_truth != ignore
    segments = np.zeros(_NO_SEGMENTS)
    if with_segments:
        foreground = np.minimum(probabilities.sum(-1, dtype=np.uint32), FULL) / FULL
        scores = segment_scores.scores(foreground, ground_truth, ignore, instances)
        there = ~np.isnan(scores)  # an image without segments has no scores
        segments = np.stack([np.where(there, scores, 0), there])
    mask = likely if predicted is None else predicted
    rule = ObjectRule(split, min_size)
    return ImageStatistics(
        np.asarray(confusion, np.float64),
        boundary.boundary_counts(mask, ground_truth, counted, classes, tolerance, first).astype(float),
        objects.object_counts(mask, ground_truth, counted, classes, first, instances, rule),
        calibration.calibration_counts(confidence[counted], (likely == ground_truth)[counted]),
        segments,
    )


def most_likely(probabilities: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Most likely class of each pixel, and its probability times 65535, [H, W] each.

    Of equally likely classes the first is taken, as in the model. If the probabilities of two classes differ
    by less than 1 / 65535, rounding to 16 bits may make them equal, and the class differ from the model's.

    Args:
        probabilities: probabilities of all classes but the first, times 65535, [H, W, classes - 1].
    """
    others = probabilities[..., 0] if probabilities.shape[-1] == 1 else probabilities.max(-1)
    rest = np.uint32(FULL) - np.minimum(probabilities.sum(-1, dtype=np.uint32), FULL)
    index = 1 + (0 if probabilities.shape[-1] == 1 else probabilities.argmax(-1))
    first = rest >= others
    predicted = np.where(first, 0, index).astype(np.uint8)
    return predicted, np.where(first, rest, others).astype(np.uint16)


def of_each(measured: ImageStatistics, classes: Sequence[str]) -> dict[str, Floats]:
    """All metrics of each row, an image or the sum of a set, [rows] by name, except the worst decile."""
    found = summarize_each(measured.confusion, classes, measured.first)
    kinds = {"boundary_f1": boundary.boundary_f1(measured.boundary)}
    kinds |= dict(zip(OBJECT_SCORES, objects.scores(measured.objects), strict=True))
    for kind, values in kinds.items():
        found[kind] = mean(values)
        found |= {f"{kind}_{name}": values[..., i] for i, name in enumerate(classes[measured.first :])}
    found["ece"] = calibration.expected_calibration_error(measured.calibration)
    if measured.segments.shape[-2]:
        sums, counts = np.moveaxis(measured.segments, -3, 0)
        best = segment_scores.best(ratio(sums, counts))
        found |= {name: best[..., i] for i, name in enumerate(SEGMENT_SCORES)}
    return found


def pooled(measured: ImageStatistics, classes: Sequence[str]) -> dict[str, float]:
    """Metrics pooled over all images, by name, in the order of `unet.metrics.names.gate_names`."""
    every = np.arange(len(measured.confusion))[None]
    return {name: float(values[0]) for name, values in of_sets(measured, classes, every).items()}


def of_sets(
    measured: ImageStatistics, classes: Sequence[str], chosen: NDArray[np.integer]
) -> dict[str, Floats]:
    """Metrics of N sets of images, [N] by name.

    Args:
        measured: statistics of each image.
        classes: class names.
        chosen: indices of the images of each set, [N, size of a set]; an image may occur more than once.
    """
    count = len(measured.confusion)
    flat = chosen + count * np.arange(len(chosen))[:, None]
    weights = np.bincount(flat.ravel(), minlength=count * len(chosen)).reshape(len(chosen), count)
    found = of_each(measured.total(weights), classes)
    by_image = summarize_each(measured.confusion, classes, measured.first)["foreground_iou"]
    found[WORST_DECILE] = _worst_decile(by_image[chosen])
    return {
        name: found[name] for name in gate_names(classes, bool(measured.segments.shape[-2]), measured.first)
    }


def _worst_decile(scores: Floats) -> Floats:
    """Tenth percentile over the last axis without NaN, [...]; NaN if all values are NaN."""
    ordered = np.sort(scores, -1)  # NaN comes last
    count = (~np.isnan(scores)).sum(-1)
    place = 0.1 * np.maximum(count - 1, 0)
    low = np.floor(place).astype(int)
    below = np.take_along_axis(ordered, low[..., None], -1)[..., 0]
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    above = np.take_along_axis(ordered, high[..., None], -1)[..., 0]
    return below + (place - low) * (above - below)


def _whole(values: Floats) -> NDArray:
    return values.astype(np.int64) if np.array_equal(values, np.rint(values)) else values
