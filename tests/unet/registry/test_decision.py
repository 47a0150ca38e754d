"""One rule decides, by a threshold or by factors, in NumPy and in TensorFlow to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from unet.registry.decision import Decision, decision_of, scores


def probabilities(classes: int) -> np.ndarray:
    """Few different values, so that many scores are equal or next to one another."""
    values = np.array([0, 0.2, 0.3, 0.5, np.nextafter(np.float32(0.5), 1), 1], np.float32)
    return np.random.default_rng(0).choice(values, (30, 40, classes))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1 / 3, 1 - 2**-16])
def test_a_threshold_is_what_the_second_class_has_to_be_above(threshold: float) -> None:
    found = probabilities(2)
    decided = scores(found, Decision.of({"threshold": threshold})).argmax(-1)
    np.testing.assert_array_equal(decided, found[..., 1] > np.float32(threshold))


def test_factors_multiply_probabilities_and_of_equal_scores_the_first_counts() -> None:
    found = np.array([[0.5, 0.25, 0.25], [0.5, 0.2, 0.3], [0.2, 0.4, 0.4]], np.float32)
    assert scores(found, Decision.of({"factors": [1, 2, 1]})).argmax(-1).tolist() == [0, 0, 1]
    assert scores(found, Decision.of({"factors": [1, 1, 2]})).argmax(-1).tolist() == [0, 2, 2]
    assert scores(found, None) is found


@pytest.mark.parametrize(
    "point", [{"threshold": 0.3}, {"factors": [1, 2**-0.25]}, {"factors": [16, 2**0.0625]}]
)
def test_tensors_are_decided_as_arrays_are(point: dict) -> None:
    found, decision = probabilities(2), Decision.of(point)
    expected = scores(found, decision)
    graph = tf.function(lambda values: scores(values, decision))
    np.testing.assert_array_equal(graph(tf.constant(found)).numpy(), expected)
    assert expected.dtype == np.float32


def test_a_model_decides_as_its_record_says_and_several_by_the_mean() -> None:
    records = [{"operating_point": {"factors": [1.0, factor]}} for factor in (1.0, 4.0)]
    found = decision_of(records)
    assert found is not None
    assert (found.factors.tolist(), found.offsets.tolist()) == ([1, 2], [0, 0])
    assert decision_of([{}, {}]) is None
