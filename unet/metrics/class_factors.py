"""The operating point of a model of several classes: a factor for each, chosen for the mean Dice coefficient.

A pixel is of the class whose probability times its factor is highest. Candidates of a factor are powers of
two, in steps of 1/16 of the exponent, from 1/16 to 16. The factors are chosen one after the other (coordinate
ascent): where the others are fixed, a pixel turns to a class at one factor of it, so that one histogram says
what every candidate gives. Time grows with the pixels, the square of the classes, and the rounds.

Memory is bounded: where the images have more than `PIXELS` pixels, or `VALUES` probabilities, pixels at an
even stride stand for all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.metrics.confusion import dice

PIXELS, VALUES = 2**22, 2**26  # that are held at most: of few classes 4 million pixels, of many 256 MiB
STEPS = 16  # candidates for each power of two
CANDIDATES = (2.0 ** (np.arange(-4 * STEPS, 4 * STEPS + 1) / STEPS)).astype(np.float32)
ONE = 4 * STEPS  # the index of the factor 1
ROUNDS = 8  # at most; each goes through all classes
_CHUNK = 2**16  # pixels at a time


class Sample:
    """Probabilities and true classes of every `step`-th pixel of images, in a bounded amount of memory.

    Attributes:
        step: odd, so that it does not meet the same columns of an image in every row where their number is a
            power of two; 1 where all pixels are held.
    """

    def __init__(self, pixels: int, classes: int) -> None:
        """Takes the memory.

        Args:
            pixels: number of pixels that will be added.
            classes: number of classes.
        """
        self.step = -(-pixels // min(PIXELS, VALUES // classes)) | 1
        held = -(-pixels // self.step)
        self._probabilities = np.empty((held, classes), np.float32)
        self._truth = np.empty(held, np.uint8)
        self._added = self._held = 0

    def add(self, probabilities: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """Adds the pixels of a part of an image, of which those without a class are not held.

        Args:
            probabilities: probabilities of all classes, [H, W, classes].
            truth: true class of each pixel, [H, W]; other numbers where it has none.
        """
        classes = self._probabilities.shape[1]
        every = slice(-self._added % self.step, None, self.step)
        labels = truth.ravel()[every]
        counted = labels < classes
        end = self._held + int(counted.sum())
        self._truth[self._held : end] = labels[counted]
        self._probabilities[self._held : end] = probabilities.reshape(-1, classes)[every][counted]
        self._held, self._added = end, self._added + truth.size

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Of the pixels that are held, [N, classes]."""
        return self._probabilities[: self._held]

    @property
    def truth(self) -> NDArray[np.uint8]:
        """True class of the pixels that are held, [N]."""
        return self._truth[: self._held]


def choose(sample: Sample, first: int) -> dict[str, Any]:
    """Chooses the factors of the best mean Dice over the classes that count and that the images show.

    The mean is never less than that of the most likely class. Of factors of a class with equal results the
    one so far is kept, or else the nearest to 1 taken. A class that no pixel is of keeps the factor 1: the
    images say nothing of how it is found.

    Args:
        sample: pixels of the eval images.
        first: index of the first class that counts: 1 after a background, 0 without one.

    Returns:
        `aim`; `factors`, one for each class; `step`, see `Sample`; `why_not`, a sentence if nothing could be
        chosen, else empty; and `argmax` and `chosen`: `mean_dice`, and the `dice` of each class, without and
        with the factors, None of a class that no pixel is of.
    """
    probabilities, truth = sample.probabilities, sample.truth
    classes = probabilities.shape[1]
    real = np.bincount(truth, minlength=classes)  # pixels of each class
    counted = (real > 0) & (np.arange(classes) >= first)
    chosen = np.full(classes, ONE)  # indices of candidates
    plain = best = _scored(probabilities, truth, chosen)
    for _ in range(ROUNDS if counted.any() else 0):
        proposed = chosen.copy()
        for label in np.flatnonzero(real):
            proposed[label] = _better(probabilities, truth, proposed, int(label), real, counted)
        found = _scored(probabilities, truth, proposed)
        if not found[counted].mean() > best[counted].mean():
            break
        chosen, best = proposed, found
    return {
        "aim": "dice",
        "factors": [float(2 ** ((index - ONE) / STEPS)) for index in chosen],
        "step": sample.step,
        "why_not": "" if counted.any() else "no pixel of the eval images is of a class that counts",
        **{
            name: {
                "mean_dice": float(values[counted].mean()) if counted.any() else None,
                "dice": [float(value) if real[label] else None for label, value in enumerate(values)],
            }
            for name, values in (("argmax", plain), ("chosen", best))
        },
    }


def _scored(
    probabilities: NDArray[np.float32], truth: NDArray[np.uint8], chosen: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Dice coefficient of each class by factors that are given as indices of candidates, [classes]."""
    classes = len(chosen)
    confusion = np.zeros(classes**2, np.int64)
    for start in range(0, len(truth), _CHUNK):
        part = slice(start, start + _CHUNK)
        predicted = (probabilities[part] * CANDIDATES[chosen]).argmax(1)
        confusion += np.bincount(truth[part].astype(np.int64) * classes + predicted, minlength=classes**2)
    return dice(confusion.reshape(classes, classes))


def _better(
    probabilities: NDArray[np.float32],
    truth: NDArray[np.uint8],
    chosen: NDArray[np.integer],
    label: int,
    real: NDArray[np.integer],
    counted: NDArray[np.bool_],
) -> int:
    """Index of the best candidate for the factor of one class, those of the others being as they are.

    Args:
        probabilities: of the held pixels, [N, classes].
        truth: their true classes, [N].
        chosen: indices of the candidates so far, [classes].
        label: the class whose factor is chosen.
        real: number of pixels of each true class.
        counted: which classes the mean is over.
    """
    classes, count = len(chosen), len(CANDIDATES)
    # By the first candidate at which a pixel turns to the class, `count` if at none; of the second and third
    # also by the class that it has before. Pixels, those that are right before, those that are right after.
    turned, lost = (np.zeros((count + 1) * classes, np.int64) for _ in range(2))
    gained = np.zeros(count + 1, np.int64)
    for start in range(0, len(truth), _CHUNK):
        part, labels = probabilities[start : start + _CHUNK], truth[start : start + _CHUNK]
        scores = part * CANDIDATES[chosen]  # [n, classes]
        scores[:, label] = -1
        other, most, own = scores.argmax(1), scores.max(1), part[:, label]
        with np.errstate(divide="ignore", invalid="ignore"):
            equal = STEPS * np.log2(most / own) + ONE  # where both scores are equal
        # Whether it turns at the nearest candidate the scores themselves say, as logarithms are rounded. Of
        # equal scores the first class is taken.
        bins = np.fmin(np.fmax(np.rint(equal), 0), count - 1).astype(np.int64)
        score = own * CANDIDATES[bins]
        bins += ~((score > most) | ((score == most) & (label < other)))
        pairs = bins * classes + other
        turned += np.bincount(pairs, minlength=len(turned))
        lost += np.bincount(pairs[other == labels], minlength=len(lost))
        gained += np.bincount(bins[labels == label], minlength=len(gained))
    away, wrong = (each.reshape(-1, classes).cumsum(0) for each in (turned, lost))
    predicted, hits = away[-1] - away[:-1], wrong[-1] - wrong[:-1]  # [count, classes] of the other classes
    predicted[:, label], hits[:, label] = away[:-1].sum(1), gained.cumsum()[:-1]
    means = (2 * hits[:, counted] / (real + predicted)[:, counted]).mean(1).round(12)  # [count]
    good = np.flatnonzero(means == means.max())
    return int(chosen[label] if chosen[label] in good else good[np.argmin(np.abs(good - ONE))])
