"""What is measured of one image, and what the measurements of a set of images amount to.

Everything that is measured of an image is a sum over its pixels, so that a set, any part of it, and any
resample of it are sums over their images: metrics of all of them come from the same functions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.metrics import boundary, calibration
from unet.metrics import segments as segment_scores
from unet.metrics.confusion import Floats, mean, ratio, summarize_each
from unet.metrics.names import SEGMENT_SCORES, WORST_DECILE, gate_names

FULL = 65535  # a probability of 1, in the PNGs of the exported model
_NO_SEGMENTS = (2, 0, len(SEGMENT_SCORES))


@dataclasses.dataclass(frozen=True)
class ImageStatistics:
    """Sums over the pixels of one image, or, with more axes in front, of many.

    Attributes:
        confusion: [..., classes, classes], row = truth, column = prediction.
        boundary: [..., classes - 1, 4], see `boundary.boundary_counts`.
        calibration: [..., BINS, 3], see `calibration.calibration_counts`.
        segments: [..., 2, thresholds, scores], sums of `segment_scores.scores` and how many there are; no
            thresholds where they are not wanted.
    """

    confusion: Floats
    boundary: Floats
    calibration: Floats
    segments: Floats

    def to_json(self) -> dict[str, Any]:
        """As nested lists; whole numbers as such."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: (_whole(value)).tolist() for name, value in found.items()}

    @classmethod
    def stack(cls, rows: Sequence[Mapping[str, Any]]) -> ImageStatistics:
        """Of what `to_json` made of one image each: an axis in front, over the images."""
        names = [field.name for field in dataclasses.fields(cls)]
        stacked = {name: np.array([row[name] for row in rows], np.float64) for name in names}
        # Lists cannot tell how long the elements of nothing are.
        if not stacked["segments"].size:
            stacked["segments"] = np.zeros((len(rows), *_NO_SEGMENTS))
        return cls(**stacked)

    def part(self, chosen: NDArray[np.bool_]) -> ImageStatistics:
        """Those images, of many, that are chosen."""
        return self._each(lambda values: values[chosen])

    def total(self, weights: NDArray | None = None) -> ImageStatistics:
        """Sums over images; with weights [N, images], N of them: how often each image is counted."""
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
) -> ImageStatistics:
    """Measures what a model says about one image.

    Args:
        confusion: pixel counts, [classes, classes], of the model's own mask.
        probabilities: of all classes but the first, times 65535, [H, W, classes - 1].
        ground_truth: class indices, [H, W].
        ignore: index of pixels that count nowhere.
        tolerance: of `boundary.boundary_counts`.
        with_segments: also what `metric_names.SEGMENT_SCORES` are made of, which takes a second.
    """
    classes = len(confusion)
    predicted, confidence = most_likely(probabilities)
    counted = ground_truth != ignore
    segments = np.zeros(_NO_SEGMENTS)
    if with_segments:
        foreground = np.minimum(probabilities.sum(-1, dtype=np.uint32), FULL) / FULL
        scores = segment_scores.scores(foreground, ground_truth, ignore)
        there = ~np.isnan(scores)  # an image without segments has no scores
        segments = np.stack([np.where(there, scores, 0), there])
    return ImageStatistics(
        np.asarray(confusion, np.float64),
        boundary.boundary_counts(predicted, ground_truth, counted, classes, tolerance).astype(float),
        calibration.calibration_counts(confidence[counted], (predicted == ground_truth)[counted]),
        segments,
    )


def most_likely(probabilities: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Class of each pixel and its probability times 65535, [H, W], of those of all classes but the first.

    Of equal classes the first, as in the model. Where rounding to 16 bits makes two classes equal that were
    not, which happens where they differ by less than 1 / 65535, the class may be another than the model's.
    """
    others = probabilities[..., 0] if probabilities.shape[-1] == 1 else probabilities.max(-1)
    rest = np.uint32(FULL) - np.minimum(probabilities.sum(-1, dtype=np.uint32), FULL)
    index = 1 + (0 if probabilities.shape[-1] == 1 else probabilities.argmax(-1))
    first = rest >= others
    predicted = np.where(first, 0, index).astype(np.uint8)
    return predicted, np.where(first, rest, others).astype(np.uint16)


def per_image(measured: ImageStatistics, classes: Sequence[str]) -> dict[str, Floats]:
    """Metrics of each image by itself, [images] by name: all but the worst decile."""
    found = summarize_each(measured.confusion, classes)
    scores = boundary.boundary_f1(measured.boundary)
    found["boundary_f1"] = mean(scores)
    found |= {f"boundary_f1_{name}": scores[..., i] for i, name in enumerate(classes[1:])}
    found["ece"] = calibration.expected_calibration_error(measured.calibration)
    if measured.segments.shape[-2]:
        sums, counts = np.moveaxis(measured.segments, -3, 0)
        best = segment_scores.best(ratio(sums, counts))
        found |= {name: best[..., i] for i, name in enumerate(SEGMENT_SCORES)}
    return found


def pooled(measured: ImageStatistics, classes: Sequence[str]) -> dict[str, float]:
    """Metrics of all images as one, by name: `metric_names.gate_names`, in that order."""
    every = np.arange(len(measured.confusion))[None]
    return {name: float(values[0]) for name, values in bootstrap_resamples(measured, classes, every).items()}


def bootstrap_resamples(
    measured: ImageStatistics, classes: Sequence[str], chosen: NDArray[np.integer]
) -> dict[str, Floats]:
    """Metrics of N sets that are drawn of the images, [N] by name.

    Args:
        measured: of each image.
        classes: names; the first is the background.
        chosen: [N, size of a set], indices of images, which may occur more than once.
    """
    count = len(measured.confusion)
    flat = chosen + count * np.arange(len(chosen))[:, None]
    weights = np.bincount(flat.ravel(), minlength=count * len(chosen)).reshape(len(chosen), count)
    found = per_image(measured.total(weights), classes)
    by_image = summarize_each(measured.confusion, classes)["foreground_iou"]
    found[WORST_DECILE] = _worst_decile(by_image[chosen])
    return {name: found[name] for name in gate_names(classes, bool(measured.segments.shape[-2]))}


def _worst_decile(scores: Floats) -> Floats:
    """Tenth percentile over the last axis of what is not NaN, [...]; NaN where nothing is left."""
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
