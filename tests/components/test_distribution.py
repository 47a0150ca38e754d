"""Domains, drift and skew, on statistics that TFDV computed."""

import numpy as np
import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from components import distribution


def scalars(count=40, seed=0, **changes):
    """Of `count` images; a change is a function of a column, or a value for it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "height": np.full(count, 512), "width": rng.choice([512, 640], count),
            "channels": 1, "bit_depth": 8,
            "mean": rng.normal(90, 8, count), "stddev": rng.normal(30, 3, count),
            "fraction_cell": rng.uniform(0.2, 0.4, count),
        }
    )  # fmt: skip
    for name, change in changes.items():
        frame[name] = change(frame[name]) if callable(change) else change
    return frame


def statistics(count=40, seed=0, **changes):
    return tfdv.generate_statistics_from_dataframe(scalars(count, seed, **changes), n_jobs=1)


def table(first=0, **more):
    """The table of images with these numbers."""
    frame = scalars(**more)
    names = [f"image {number}" for number in range(first, first + len(frame))]
    return frame.assign(name=names, split="train", content=names)


def different(now, before, max_drift=0.3):
    return [s.split()[0] for s in distribution.differences(now, before, max_drift, "drifted")]


@pytest.mark.parametrize("count", [6, 12, 40, 400])
@pytest.mark.parametrize("seed", range(1, 9))
def test_another_sample_of_the_same_images_is_no_drift(count, seed):
    assert different(statistics(count, seed), statistics(count, 100 + seed)) == []


@pytest.mark.parametrize("count", [12, 40])
@pytest.mark.parametrize(
    ("name", "change"),
    [("mean", lambda x: x * 2), ("stddev", lambda x: x / 3), ("height", 256), ("fraction_cell", 0.9)],
)
def test_other_images_are_drift(count, name, change):
    assert different(statistics(count, 1, **{name: change}), statistics(count)) == [name]


def test_the_sentence_says_what_changed_and_by_how_much():
    [sentence] = distribution.differences(statistics(mean=180.0), statistics(mean=90.0), 0.3, "drifted")
    assert sentence.startswith("mean drifted: 90 before, 180 now on average (divergence 1.00, allowed 0.5")


@pytest.mark.parametrize(
    ("domains", "found"),
    [
        ({"mean": (0, 255)}, 0),
        ({"mean": (0, 80)}, 1),
        ({"channels": (3, 3)}, 1),
        ({"fraction_cell": (0, 0.3)}, 1),
    ],
)
def test_domains_of_the_profile(domains, found):
    sentences = distribution.outside_domains({"train": statistics()}, domains)
    assert len(sentences) == found
    assert all("its domain is" in sentence for sentence in sentences)


@pytest.mark.parametrize(("changes", "found"), [({}, 0), ({"bit_depth": 16}, 1), ({"channels": 3}, 1)])
def test_new_kinds_of_images_are_named(changes, found):
    now = {"train": statistics(), "test": statistics(3, **changes)}
    before = {"train": statistics(20), "eval": statistics(5), "test": statistics(5)}
    assert len(distribution.new_kinds(now, before)) == found


def test_a_few_wrong_images_among_many_are_seen():
    before = table()
    wrong = table(100, count=5, seed=7, fraction_cell=0.9)
    now = pd.concat([before, wrong])
    new = distribution.of_new_images(now, before)
    assert new is not None
    assert new.datasets[0].num_examples == 5
    assert different(tfdv.generate_statistics_from_dataframe(now.drop(columns=["name", "split", "content"])),
                     statistics()) == []  # fmt: skip
    assert different(new, statistics()) == ["fraction_cell"]


@pytest.mark.parametrize("count", [4, 12])
@pytest.mark.parametrize("seed", range(1, 5))
def test_good_images_among_known_ones_are_no_drift(count, seed):
    before = table()
    new = distribution.of_new_images(pd.concat([before, table(100, count=count, seed=seed)]), before)
    assert different(new, statistics()) == []


def test_known_images_under_other_names_are_not_new_but_those_with_other_masks_are():
    before = table()
    assert distribution.of_new_images(before.assign(name="x"), before) is None
    mended = before.copy()
    mended.loc[:5, "content"] = "another mask"
    new = distribution.of_new_images(mended, before)
    assert new is not None
    assert new.datasets[0].num_examples == 6


def test_three_images_images_in_service_and_nothing_but_new_ones_say_nothing():
    before = table()
    for now in (
        pd.concat([before, table(100, count=3, mean=250.0)]),
        pd.concat([before, table(100, mean=250.0).assign(split="serving")]),
        table(100),
    ):
        assert distribution.of_new_images(now, before) is None
