"""The bootstrap against SciPy's, and against what its numbers must mean."""

import numpy as np
import pytest
import scipy.stats

from unet.metrics import bootstrap


def means(values):
    return lambda chosen: {"mean": values[chosen].mean(1)}


def test_intervals_against_scipy():
    values = np.random.default_rng(1).gamma(2, size=40)
    drawn = bootstrap.resample(40, 0, means(values))["mean"]
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile")
    assert bootstrap.interval(drawn) == pytest.approx(tuple(theirs.confidence_interval), abs=0.03)


def test_the_same_seed_draws_the_same():
    values = np.arange(10.0)
    a, b, c = (bootstrap.resample(10, seed, means(values))["mean"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert len(a) == bootstrap.RESAMPLES


def test_batches_are_bounded_and_complete():
    batches = list(bootstrap.resamples(100_000, 0))
    assert sum(map(len, batches)) == bootstrap.RESAMPLES
    assert max(batch.size for batch in batches) <= 2_000_000


def test_numbers_that_are_none_are_left_out():
    assert bootstrap.interval(np.array([1.0, np.nan, 1.0])) == (1, 1)
    assert np.isnan(bootstrap.interval(np.full(3, np.nan))).all()


@pytest.mark.parametrize(("share", "p"), [(0.0, 1 / 2001), (0.5, 1001 / 2001), (1.0, 1.0)])
def test_p_is_the_share_that_is_not_worse(share, p):
    worse = np.where(np.arange(2000) < share * 2000, -1.0, 1.0)
    assert bootstrap.p_not_worse(worse) == pytest.approx(p)


def test_a_resample_without_a_value_says_nothing():
    worse = np.array([np.nan] * 500 + [1.0] * 999 + [-1.0] * 500)
    assert bootstrap.p_not_worse(worse) == pytest.approx(501 / 1500)


def test_p_of_paired_differences_agrees_with_a_test():
    rng = np.random.default_rng(3)
    worse = rng.normal(0.02, 0.05, 60)
    drawn = bootstrap.resample(60, 0, means(worse))["mean"]
    t_test = scipy.stats.ttest_1samp(worse, 0, alternative="greater").pvalue
    assert bootstrap.p_not_worse(drawn) == pytest.approx(t_test, abs=0.01)
