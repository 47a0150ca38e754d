"""Each split gets its share of the images that hold a class, and the groups stay whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet.dataset import splits
from unet.dataset.sample import SPLITS, Sample
from unet.dataset.split_memory import Memory
from unet.dataset.stratification import deal

SHARES = {"train": 0.6, "eval": 0.2, "test": 0.2}
Classes = Mapping[str, frozenset[str]]


def sample(name: str, group: str = "") -> Sample:
    return Sample(name, Path(f"{name}.png"), Path(f"{name}.png"), group or name)


def single(held: Mapping[str, str]) -> tuple[list[Sample], Classes]:
    """Images that each show one class, or none, beside the background."""
    return [sample(name) for name in held], {n: frozenset({"background", c} - {""}) for n, c in held.items()}


def assign(
    samples: Sequence[Sample],
    held: Classes,
    seed: int = 0,
    fold: int | None = None,
    names: Mapping[str, str] = {},
) -> dict[str, str | None]:
    contents = {s.name: f"pixels of {s.name}" for s in samples}
    return splits.assign(
        samples, contents, SHARES, remembered=Memory(names=names), seed=seed, fold=fold, held=lambda: held
    )


def shows(name: str, assigned: Mapping[str, str | None], held: Classes) -> Counter[str]:
    """Number of images of each split that show a class."""
    return Counter(str(split) for image, split in assigned.items() if name in held[image])


@pytest.mark.parametrize(
    ("rare", "expected"), [(3, (1, 1, 1)), (5, (3, 1, 1)), (10, (6, 2, 2)), (50, (30, 10, 10))]
)
@pytest.mark.parametrize("seed", range(5))
def test_a_rare_class_is_in_each_split_by_its_share(rare: int, expected: tuple[int, ...], seed: int) -> None:
    samples, held = single({f"{i}": "rare" if i < rare else "" for i in range(100)})
    assigned = assign(samples, held, seed)
    assert tuple(shows("rare", assigned, held)[split] for split in SPLITS) == expected
    assert Counter(assigned.values()) == pytest.approx({"train": 60, "eval": 20, "test": 20}, abs=1)


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=9, max_size=40), st.integers(0, 99))
def test_no_seed_leaves_a_split_without_a_class_that_three_images_show(classes: list[str], seed: int) -> None:
    samples, held = single({f"{i}": name for i, name in enumerate(classes)})
    assigned = assign(samples, held, seed)
    for name, count in Counter(classes).items():
        if name and count >= 3:
            assert set(shows(name, assigned, held)) == set(SPLITS)
    assert assign(samples[::-1], held, seed) == assigned


@given(
    st.lists(st.tuples(st.integers(0, 12), st.frozensets(st.sampled_from("abcd"))), min_size=1, max_size=50),
    st.dictionaries(st.integers(0, 12), st.sampled_from(SPLITS)),
)
def test_groups_stay_whole_and_known_ones_where_they_are(
    images: list[tuple[int, frozenset[str]]], placed: dict[int, str]
) -> None:
    samples = [sample(f"{i}", f"g{group}") for i, (group, _) in enumerate(images)]
    held = {f"{i}": classes for i, (_, classes) in enumerate(images)}
    groups = sorted({s.group for s in samples})
    known = {f"g{number}": split for number, split in placed.items() if f"g{number}" in groups}
    new = [group for group in groups if group not in known]
    dealt = deal(samples, held, new, known, SHARES)
    assert sorted(dealt) == new
    if len(new) >= 3:
        assert set(dealt.values()) | set(known.values()) == set(SPLITS)


@pytest.mark.parametrize("fold", [None, 0, 3])
def test_classes_that_all_images_hold_make_no_difference(fold: int | None) -> None:
    samples = [sample(f"{i}", f"g{i // 3}") for i in range(60)]
    held = {s.name: frozenset({"background", "cell"}) for s in samples}
    assert assign(samples, held, fold=fold) == assign(samples, {}, fold=fold)


def test_new_images_fill_what_the_known_ones_lack() -> None:
    samples, held = single({f"{i}": "rare" if i in (0, 20, 21) else "" for i in range(40)})
    before = {f"{i}": SPLITS[i % 3] for i in range(20)}
    assigned = assign(samples, held, names=before)
    assert {name: assigned[name] for name in before} == before
    assert shows("rare", assigned, held) == {"train": 1, "eval": 1, "test": 1}


def test_each_fold_gets_its_share() -> None:
    samples, held = single({f"{i}": "rare" if i < 10 else "" for i in range(50)})
    for fold in range(5):
        assigned = assign(samples, held, fold=fold)
        assert shows("rare", assigned, held) == {"train": 6, "eval": 2, "test": 2}


def test_blocks_stay_neighbours_unless_a_split_would_lack_a_class() -> None:
    samples = [sample(f"{i}", f"block-{i // 4:03d}") for i in range(40)]
    everywhere = {s.name: frozenset({"cell"}) for s in samples}
    at_the_start = {s.name: frozenset({"cell"} if i < 16 else ()) for i, s in enumerate(samples)}
    in_runs = assign(samples, everywhere)
    assert list(dict.fromkeys(in_runs.values())) == list(SPLITS)
    dealt = assign(samples, at_the_start)
    assert set(shows("cell", dealt, at_the_start)) == set(SPLITS)
    assert all(len({dealt[f"{4 * block + i}"] for i in range(4)}) == 1 for block in range(10))
