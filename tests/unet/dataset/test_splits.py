from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from unet.dataset import splits
from unet.dataset.sample import BLOCK_PREFIX, Sample
from unet.dataset.split_memory import Memory
from unet.errors import BadInput

SHARES = {"train": 0.6, "eval": 0.2, "test": 0.2}


def sample(name: str, group: str | None = None, split: str | None = None, fold: int | None = None) -> Sample:
    return Sample(name, Path(f"{name}.png"), Path(f"{name}.png"), group or name, split, fold)


def blocks(count: int, size: int) -> list[Sample]:
    return [sample(f"{i}", f"block-{i // size:03d}") for i in range(count * size)]


def assign(
    samples: Sequence[Sample],
    remembered: Memory | None = None,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    fold: int | None = None,
) -> dict[str, str | None]:
    return splits.assign(
        samples, pixels(samples), shares, remembered=remembered or Memory(), seed=seed, fold=fold
    )


def pixels(samples: Iterable[Sample]) -> dict[str, str]:
    """Contents of images that are all different, and keep their names."""
    return {s.name: f"pixels of {s.name}" for s in samples}


def run(samples: Sequence[Sample], before: Memory | None = None, fold: int | None = None) -> Memory:
    """What a run remembers."""
    before = before or Memory()
    assigned = assign(samples, before, fold=fold)
    kept, _ = splits.leave_out_duplicates(samples, assigned, pixels(samples), remembered=before)
    return before.extended(samples, pixels(samples), assigned, kept)


def groups(samples: Sequence[Sample], assigned: Mapping[str, str | None]) -> dict[str, str]:
    return {s.group: split for s in samples if (split := assigned[s.name])}


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (3, "train eval test"),
        (4, "train train eval test"),
        (5, "train train train eval test"),
        (10, "train train train train train train eval eval test test"),
    ],
)
def test_blocks_are_taken_in_their_order(count: int, expected: str) -> None:
    samples = blocks(count, 5)
    assert list(groups(samples, assign(samples)).values()) == expected.split()


@pytest.mark.parametrize("count", [3, 4, 5, 7, 20, 57, 100])
@pytest.mark.parametrize("shares", [SHARES, {"train": 0.8, "eval": 0.1, "test": 0.1}])
def test_shares_are_met_and_no_split_is_empty(count: int, shares: dict[str, float]) -> None:
    counts = Counter(assign([sample(f"{i}") for i in range(count)], shares=shares).values())
    for split, share in shares.items():
        assert max(1, share * count - 2) <= counts[split] <= share * count + 2


def test_a_group_is_never_torn_and_large_groups_count_by_samples() -> None:
    samples = [sample(f"{g}-{i}", f"{g}") for g in range(12) for i in range(1 + 3 * (g % 4))]
    assigned = assign(samples)
    by_group: dict[str, set[str | None]] = {}
    for s in samples:
        by_group.setdefault(s.group, set()).add(assigned[s.name])
    assert all(len(found) == 1 for found in by_group.values())
    assert Counter(assigned.values())["train"] == pytest.approx(0.6 * len(samples), abs=7)


def test_order_of_samples_does_not_matter_but_the_seed_does() -> None:
    samples = [sample(f"{i}") for i in range(30)]
    assert assign(samples[::-1]) == assign(samples)
    assert assign(samples, seed=1) != assign(samples)


@pytest.mark.parametrize("start", [3, 5, 20])
def test_remembered_groups_stay_as_data_grows(start: int) -> None:
    remembered: dict[str, str] = {}
    for count in range(start, 41):
        samples = [sample(f"{i}") for i in range(count)]
        now = groups(samples, assign(samples, Memory(names=remembered)))
        assert now.items() >= remembered.items()
        remembered = now
    assert Counter(remembered.values())["train"] == pytest.approx(24, abs=1)


def test_manifest_wins_over_memory_and_decides_for_the_whole_group() -> None:
    samples = [
        sample("a", split="test"),
        sample("b", "g", "train"),
        sample("c", "g"),
        sample("d"),
        sample("e"),
    ]
    assigned = assign(samples, Memory(groups={"g": "test"}, names={"a": "train", "gone": "eval"}))
    assert {name: assigned[name] for name in "abc"} == {"a": "test", "b": "train", "c": "train"}
    assert "eval" in assigned.values()


@pytest.mark.parametrize(("fold", "evaluation"), [(0, 1), (1, 2), (4, 0)])
def test_folds(fold: int, evaluation: int) -> None:
    samples = [sample(f"{i}", fold=i % 5) for i in range(10)] + [sample("held out", split="test")]
    assigned = assign(samples, fold=fold)
    assert assigned.pop("held out") is None
    expected = {fold: "test", evaluation: "eval"}
    assert assigned == {f"{i}": expected.get(i % 5, "train") for i in range(10)}


@pytest.mark.parametrize(
    ("samples", "fold", "message"),
    [
        ([sample("a"), sample("b")], None, "the test split would be empty .* a group each and there are 2"),
        (blocks(1, 10), None, "the eval and test split would be empty"),
        ([sample(f"{i}", split="train") for i in range(9)], None, "change the splits of the manifest"),
        ([sample(f"{i}") for i in range(9)], 5, "the folds of folds = 5 are 0, 1, 2, 3, 4"),
        ([sample(f"{i}") for i in range(4)], 1, "folds = 5, but the images make 4 groups.*at most 4"),
        ([sample(f"{i}", fold=i) for i in range(4)], 7, "the folds of the manifest are 0, 1, 2, 3"),
        ([sample(f"{i}", fold=i) for i in range(2)], 1, "need at least 3"),
    ],
)
def test_impossible_splits_are_refused(samples: list[Sample], fold: int | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        assign(samples, fold=fold)


def test_missing_classes_of_each_split() -> None:
    rows = [
        ("train", {"a": 5, "b": 0}),
        ("eval", {"a": 5, "b": 1}),
        ("test", {"a": 0, "b": 7}),
        (None, {"a": 1, "b": 1}),
    ]
    assert splits.missing_classes(rows) == [("a", "test"), ("b", "train")]


@pytest.mark.parametrize(
    "make", [lambda i: sample(f"{i}"), lambda i: sample(f"{i}", f"{BLOCK_PREFIX}{i:03d}")]
)
def test_folds_without_a_manifest_test_each_image_once(make: Callable[[int], Sample]) -> None:
    samples = [make(i) for i in range(23)]
    tested: Counter[str] = Counter()
    for fold in range(5):
        assigned = assign(samples, fold=fold)
        counts = Counter(assigned.values())
        assert counts["test"] in (4, 5)
        assert counts["eval"] in (4, 5)
        assert sum(counts.values()) == 23
        tested.update(name for name, split in assigned.items() if split == "test")
    assert set(tested.values()) == {1}
    assert len(tested) == 23


@pytest.mark.parametrize(
    ("assignment", "remembered", "left_out"),
    [
        ("train train test", {}, []),
        ("train test test", {}, []),
        ("test train test", {}, [("b", "a")]),
        ("train eval test", {"a": "train", "b": "eval"}, [("a", "b")]),
        ("train eval test", {"a": "train"}, [("b", "a")]),
    ],
)
def test_copies_never_land_in_two_splits(
    assignment: str, remembered: dict[str, str], left_out: list[tuple[str, str]]
) -> None:
    samples = [sample(name) for name in "abcdefg"]
    assigned = dict(zip("abcdefg", [*assignment.split(), "train", "eval", "test", "train"], strict=True))
    hashes = {name: name for name in "abcdefg"} | {"a": "same", "b": "same"}
    if left_out == []:
        hashes["b"] = hashes["a"] if assigned["a"] == assigned["b"] else "b"
    kept, copies = splits.leave_out_duplicates(samples, assigned, hashes, remembered=Memory(names=remembered))
    assert copies == left_out
    assert [name for name, split in kept.items() if split is None] == [name for name, _ in left_out]


def test_a_split_that_copies_alone_fill_is_refused() -> None:
    samples = [sample(name) for name in "abc"]
    hashes = {"a": "same", "b": "other", "c": "same"}
    with pytest.raises(BadInput, match="the train split would be empty"):
        splits.leave_out_duplicates(
            samples, {"a": "train", "b": "eval", "c": "test"}, hashes, remembered=Memory()
        )


def test_one_stack_is_to_be_split_in_blocks() -> None:
    pages = [Sample(f"s-{i}", Path("s"), Path("m"), "s", page=i, stack="s") for i in range(50)]
    with pytest.raises(BadInput, match="--set slices_per_group=10"):
        assign(pages)


def slices(numbers: Iterable[int], size: int = 5) -> list[Sample]:
    """Samples of a stack, in blocks by position as `find_samples` makes them."""
    return [sample(f"s{n:02d}", f"block-{i // size:03d}") for i, n in enumerate(numbers)]


@pytest.mark.parametrize(
    "later",
    [
        [n for n in range(25) if n != 3],
        [*range(25), *range(25, 31)],
        range(1, 25),
        [*range(100, 102), *range(25)],
    ],
)
def test_slices_stay_in_their_split_when_others_come_or_go(later: Iterable[int]) -> None:
    first = slices(range(25))
    before = assign(first)
    after = assign(slices(later), run(first))
    assert {name: split for name, split in after.items() if name in before} == {
        name: split for name, split in before.items() if name in after
    }
    assert all(after.values())


def test_a_new_slice_among_known_ones_joins_the_one_before_it() -> None:
    remembered = run(slices(range(0, 50, 2)))
    after = assign(slices(sorted([*range(0, 50, 2), 31])), remembered)
    assert after["s31"] == remembered.names["s30"]


def test_a_new_slice_before_the_first_known_one_of_a_stack_joins_that_one() -> None:
    def stacks(of_b: Iterable[int]) -> list[Sample]:
        pages = [("a", n) for n in range(1, 10)] + [("b", n) for n in of_b]
        return [
            sample(f"{stack}-{n}", f"block-{stack}-{i // 3:03d}")
            for stack, group in itertools.groupby(pages, lambda page: page[0])
            for i, (_, n) in enumerate(group)
        ]

    remembered = run(stacks(range(1, 10)))
    assert remembered.names["a-9"] == "train"
    remembered = replace(
        remembered, names={**remembered.names, **{f"b-{n}": "test" for n in range(1, 4)}},
        images={**remembered.images, **{f"pixels of b-{n}": "test" for n in range(1, 4)}},
    )  # fmt: skip
    assert assign(stacks(range(10)), remembered)["b-0"] == "test"


def test_a_fold_that_contradicts_earlier_runs_is_refused() -> None:
    samples = [sample(f"{i}", fold=i % 3) for i in range(9)]
    remembered = run(samples, fold=0)
    assert run(samples, remembered, fold=0) == remembered
    with pytest.raises(BadInput, match=r"in earlier runs, would be in .* images more.* --root of its own"):
        run(samples, remembered, fold=1)


def test_folds_are_not_dealt_over_declared_splits() -> None:
    samples = [*(sample(f"{i}") for i in range(9)), sample("held-out", split="test")]
    with pytest.raises(BadInput, match=r"held-out\.png: named for the test split, but fold = 0"):
        assign(samples, fold=0)


@pytest.mark.parametrize(("before", "after"), [("^[0-9]", None), (None, "^[0-9]")])
def test_another_group_pattern_moves_no_image(before: str | None, after: str | None) -> None:
    def grouped(pattern: str | None) -> list[Sample]:
        names = [f"{i % 10}-{i:02d}" for i in range(30)]
        return [sample(name, name[0] if pattern else None) for name in names]

    remembered = run(grouped(before))
    if after:  # images of a group are in several splits already
        with pytest.raises(BadInput, match=r"group '.' has images of several splits .*, .-.. in train and"):
            run(grouped(after), remembered)
    else:
        assert run(grouped(after), remembered) == remembered


def test_images_keep_their_split_under_new_names() -> None:
    remembered = run([sample(f"{i}") for i in range(30)])
    samples = [sample(f"1-{i}") for i in range(30)]
    contents = {s.name: f"pixels of {s.name[2:]}" for s in samples}
    assigned = splits.assign(samples, contents, SHARES, remembered=remembered, seed=0, fold=None)
    assert {name[2:]: split for name, split in assigned.items()} == remembered.names


@pytest.mark.parametrize(
    ("samples", "moved"),
    [
        ([sample("a", "g", "test"), sample("b", "g")], "b"),  # only a is named for the test split
        ([sample("a", "g", "test"), sample("b", "g", "test")], None),
        ([sample("a", split="test")], None),
    ],
)
def test_only_a_named_image_leaves_its_split(samples: list[Sample], moved: str | None) -> None:
    contents = {s.name: s.name for s in samples}
    remembered = Memory({"a": "train", "b": "train"})
    others = [sample(name, split=split) for name, split in (("x", "train"), ("y", "eval"), ("z", "test"))]
    contents |= {s.name: s.name for s in others}
    assigned = splits.assign(samples + others, contents, SHARES, remembered=remembered, seed=0, fold=None)
    assert assigned["a"] == "test"
    if moved:
        with pytest.raises(
            BadInput, match=r"b\.png: in train in earlier runs, would be in test now; .* manifest"
        ):
            splits.leave_out_duplicates(samples + others, assigned, contents, remembered=remembered)
    else:
        kept, _ = splits.leave_out_duplicates(samples + others, assigned, contents, remembered=remembered)
        assert kept == assigned


def test_a_group_keeps_its_split_when_other_images_of_it_come() -> None:
    def visits(visit: str, patients: range) -> list[Sample]:
        return [sample(f"{visit}-{i}", f"patient {i}") for i in patients]

    first = run(visits("a", range(12)))
    second = run(visits("b", range(5, 12)), first)
    assert all(second.names[f"b-{i}"] == first.names[f"a-{i}"] for i in range(5, 12))
