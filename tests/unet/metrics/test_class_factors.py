"""The factors of the best mean Dice, against every candidate tried one by one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unet.metrics import class_factors
from unet.metrics.class_factors import CANDIDATES, ONE, ROUNDS, Sample, choose

VOID = 255


def pixels(seed: int, classes: int, count: int = 60) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Probabilities that favor the first classes, rounded so that many scores are equal; true classes."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, count, p=np.arange(classes, 0, -1) / np.arange(1, classes + 1).sum())
    odds = rng.random((count, classes)) + 0.5 * np.eye(classes)[truth] + np.linspace(0.8, 0, classes)
    return (np.round(8 * odds / odds.sum(-1, keepdims=True)) / 8).astype(np.float32), truth.astype(np.uint8)


def sample_of(probabilities: NDArray[np.float32], truth: NDArray[np.uint8]) -> Sample:
    sample = Sample(len(truth), probabilities.shape[-1])
    sample.add(probabilities[None], truth[None])
    return sample


def dices(probabilities: NDArray[np.float32], truth: NDArray[np.uint8], factors: Any) -> NDArray[np.float64]:
    """Of each class; NaN of those that no pixel is of."""
    found = (probabilities * np.asarray(factors, np.float32)).argmax(-1)
    both = [(2 * ((found == c) & (truth == c)).sum(), (found == c).sum(), (truth == c).sum())
            for c in range(probabilities.shape[-1])]  # fmt: skip
    return np.array([hits / (predicted + real) if real else np.nan for hits, predicted, real in both])


def one_by_one(probabilities: NDArray[np.float32], truth: NDArray[np.uint8], first: int) -> list[float]:
    """The same ascent, with every candidate of every class tried."""

    def goal(chosen: list[int]) -> float:
        return float(np.nanmean(dices(probabilities, truth, CANDIDATES[chosen])[first:]))

    chosen = [ONE] * probabilities.shape[-1]
    for _ in range(ROUNDS):
        before = goal(chosen)
        for label in np.unique(truth):
            tried = [goal([*chosen[:label], k, *chosen[label + 1 :]]) for k in range(len(CANDIDATES))]
            best = [k for k, value in enumerate(tried) if np.isclose(value, max(tried), rtol=0, atol=1e-12)]
            if chosen[label] not in best:
                chosen[label] = min(best, key=lambda k: abs(k - ONE))
        if goal(chosen) <= before:
            break
    return [float(CANDIDATES[k]) for k in chosen]


@pytest.mark.parametrize(
    ("seed", "classes", "first"), [(0, 3, 1), (1, 3, 1), (2, 3, 0), (3, 4, 1), (4, 2, 0), (5, 4, 0)]
)
def test_they_are_those_of_an_ascent_that_tries_every_candidate(seed: int, classes: int, first: int) -> None:
    probabilities, truth = pixels(seed, classes)
    found = choose(sample_of(probabilities, truth), first)
    assert found["factors"] == pytest.approx(one_by_one(probabilities, truth, first), rel=1e-6)
    assert found["chosen"]["mean_dice"] > found["argmax"]["mean_dice"]
    assert (found["aim"], found["step"], found["why_not"]) == ("dice", 1, "")
    for key, factors in (("argmax", np.ones(classes)), ("chosen", found["factors"])):
        expected = dices(probabilities, truth, factors)
        assert found[key]["dice"] == pytest.approx(expected)
        assert found[key]["mean_dice"] == pytest.approx(np.mean(expected[first:]))


def test_a_rare_class_is_found_more_often() -> None:
    """Of 2 % of the pixels, with half the probability of the background where it is."""
    truth = np.repeat(np.array([0, 1, 2], np.uint8), [880, 100, 20])
    likely = np.array([[0.9, 0.08, 0.02], [0.1, 0.88, 0.02], [0.6, 0.1, 0.3]], np.float32)
    found = choose(sample_of(likely[truth], truth), 1)
    assert found["argmax"]["dice"] == [pytest.approx(1760 / 1780), 1.0, 0.0]
    assert found["chosen"]["dice"] == [1.0, 1.0, 1.0]


def test_nothing_changes_where_nothing_is_better() -> None:
    truth = np.arange(3, dtype=np.uint8).repeat(5)
    found = choose(sample_of(np.eye(3, dtype=np.float32)[truth], truth), 1)
    assert found["factors"] == [1.0, 1.0, 1.0]
    assert found["chosen"] == found["argmax"] == {"mean_dice": 1.0, "dice": [1.0, 1.0, 1.0]}


def test_a_class_that_no_pixel_is_of_keeps_its_factor_and_does_not_count() -> None:
    probabilities, truth = pixels(1, 4)
    truth[truth == 2] = 1
    found = choose(sample_of(probabilities, truth), 1)
    assert found["factors"][2] == 1
    assert found["factors"] != [1.0] * 4
    assert found["chosen"]["dice"][2] is None
    rest = [found["chosen"]["dice"][c] for c in (1, 3)]
    assert found["chosen"]["mean_dice"] == pytest.approx(np.mean(rest))


@pytest.mark.parametrize("label", [0, VOID])
def test_where_no_class_that_counts_is_shown_it_says_so(label: int) -> None:
    probabilities, _ = pixels(0, 3)
    found = choose(sample_of(probabilities, np.full(60, label, np.uint8)), 1)
    assert found["factors"] == [1.0, 1.0, 1.0]
    assert found["why_not"] == "no pixel of the eval images is of a class that counts"
    assert found["chosen"] == found["argmax"]
    assert found["chosen"]["mean_dice"] is None
    json.dumps(found, allow_nan=False)


def test_chunks_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sample_of(*pixels(3, 4))
    expected = choose(sample, 1)
    monkeypatch.setattr(class_factors, "_CHUNK", 7)
    assert choose(sample, 1) == expected


@pytest.mark.parametrize(("limit", "step"), [(600, 1), (599, 3), (300, 3), (70, 9)])
def test_of_many_pixels_every_nth_is_held_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, limit: int, step: int
) -> None:
    monkeypatch.setattr(class_factors, "PIXELS", limit)
    probabilities = np.arange(1800, dtype=np.float32).reshape(600, 3)
    truth = (np.arange(600) % 5).astype(np.uint8)  # 3 and 4 are no classes
    sample = Sample(600, 3)
    for part in (slice(0, 32), slice(32, 264), slice(264, 600)):
        sample.add(probabilities[part].reshape(-1, 8, 3), truth[part].reshape(-1, 8))
    every = np.arange(0, 600, step)
    counted = every[truth[every] < 3]
    assert (sample.step, len(every) <= limit) == (step, True)
    np.testing.assert_array_equal(sample.probabilities, probabilities[counted])
    np.testing.assert_array_equal(sample.truth, truth[counted])


def test_many_classes_hold_fewer_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_factors, "VALUES", 1000)
    assert [Sample(100, classes).step for classes in (3, 10, 11, 100)] == [1, 1, 3, 11]
