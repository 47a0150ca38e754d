"""What the schema demands beyond what it was inferred from."""

import math

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from components import schema

GOOD = {
    "height": 100, "width": 50, "channels": 1, "bit_depth": 8, "mean": 30.0, "stddev": 9.0,
    "fraction_background": 0.8, "fraction_cell": 0.2,
}  # fmt: skip


def statistics(**changes):
    frame = pd.DataFrame([{**GOOD, **changes}] * 3)
    return tfdv.generate_statistics_from_dataframe(frame, n_jobs=1)


def sentences(**changes):
    """Validates data against the schema that was inferred from those very data."""
    bad = statistics(**changes)
    enforced = schema.without_bytes(schema.enforce(tfdv.infer_schema(bad)))
    return schema.describe("train", tfdv.validate_statistics(bad, enforced))


def test_good_data_pass():
    assert sentences() == []


@pytest.mark.parametrize(
    "changes", [{"height": 1, "width": 1}, {"channels": 256, "bit_depth": 16}, {"mean": 0.0, "stddev": 0.0}]
)
def test_data_at_the_bounds_pass(changes):
    assert sentences(**changes) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": 300.0},
        {"stddev": -1.0},
        {"channels": 257},
        {"height": 0},
        {"width": 0},
        {"fraction_cell": 1.5},
    ],
)
def test_impossible_values_are_found_in_the_very_data_the_schema_came_from(changes):
    [sentence] = sentences(**changes)
    assert sentence.startswith(f"train: {next(iter(changes))}: ")


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # TFDV computes deviations, too
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_mean_that_is_no_number_is_found(value):
    frame = pd.DataFrame([GOOD, GOOD, {**GOOD, "mean": value}])
    enforced = schema.without_bytes(schema.enforce(tfdv.infer_schema(statistics())))
    bad = tfdv.generate_statistics_from_dataframe(frame, n_jobs=1)
    [sentence] = schema.describe("train", tfdv.validate_statistics(bad, enforced))
    assert sentence.startswith("train: mean: ")


def test_encoded_features_are_in_the_schema_but_not_validated():
    enforced = schema.enforce(tfdv.infer_schema(statistics()))
    names = {feature.name for feature in enforced.feature}
    assert names == {*GOOD, *schema.BYTES_FEATURES}
    assert {f.name for f in schema.without_bytes(enforced).feature} == set(GOOD)
