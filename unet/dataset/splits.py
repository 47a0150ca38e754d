"""Assigns samples to splits by group, so that related images are never in both training and test split.

Images and groups keep their split over all runs: a model is compared with its predecessor on the same test
images, and no training image of the predecessor becomes a test image later (unless a manifest or folder
declares it for this very image). The splits of blocks are remembered for each slice, since the numbers of
blocks change when a slice is added.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from unet.dataset import stratification
from unet.dataset.sample import BLOCK_PREFIX, SPLITS, Sample, natural_key
from unet.dataset.split_memory import Memory
from unet.errors import BadInput

_REMEMBERED = f"{BLOCK_PREFIX}of-"  # group of all remembered slices of a split, whose name follows
_UNDO = (
    "undo what changed the groups or folds, name the splits of its images in a manifest, or give the data a"
    " --root of its own"
)
# Returns the names of the classes in the mask of each sample; called only where groups are dealt.
Held = Callable[[], Mapping[str, Collection[str]]]


class EmptySplit(BadInput):
    """A split would be empty: there are too few groups for train, eval and test."""


def assign(
    samples: Sequence[Sample],
    contents: Mapping[str, str],
    shares: Mapping[str, float],
    *,
    remembered: Memory,
    seed: int,
    fold: int | None,
    folds: int = 5,
    held: Held = dict,
) -> dict[str, str | None]:
    """Decides the split of each sample.

    The declared split takes precedence, then the remembered split of the group or its images. New groups are
    dealt in the order of their hashes, so that each split gets its share of the images, and of those that
    hold a rare class; see `stratification.deal`. If all groups are new blocks of slices, each split gets
    consecutive blocks, since neighbouring slices look alike, unless a split would lack a class.

    Args:
        samples: all samples of the data, in natural order; no group has two declared splits or folds.
        contents: `Image.content` of each sample, by name.
        shares: share of the samples for each of train, eval and test; their sum is 1.
        remembered: splits of earlier runs.
        seed: seed of the order of new groups.
        fold: number of the fold that is the test split in cross-validation; the next fold is the eval split,
            all others the train split. The manifest declares the folds, and samples without a fold are left
            out; without declared folds, the groups are distributed over `folds` folds. None: splits by
            shares.
        folds: number of folds without declared folds.
        held: returns the classes in the mask of each sample.

    Returns:
        Split of each sample by name; None for a sample that is left out.

    Raises:
        EmptySplit: a split would be empty.
        BadInput: there is no such fold, folds contradict declared splits, or a group has images of several
            remembered splits.
    """
    if fold is not None:
        return _by_fold(samples, fold, folds, seed, held)
    of_image = _by_image(samples, contents, remembered)
    samples = _with_remembered_slices(samples, of_image)
    sizes = Counter(sample.group for sample in samples)
    split_of = _remembered_splits(samples, contents, of_image, remembered)
    split_of.update({sample.group: sample.split for sample in samples if sample.split is not None})
    new = sorted((group for group in sizes if group not in split_of), key=lambda group: _order(group, seed))
    if new:
        classes = held()
        dealt: dict[str, str] = {}
        if not split_of and len(sizes) >= len(SPLITS) and all(g.startswith(BLOCK_PREFIX) for g in sizes):
            dealt = _in_runs(new, shares)
        if not dealt or _lacks_a_class(samples, classes, dealt):
            ordered = {split: shares[split] for split in SPLITS}  # ties go to train, then eval, then test
            dealt = stratification.deal(samples, classes, new, split_of, ordered)
        split_of.update(dealt)
    counts = Counter(split_of[sample.group] for sample in samples)
    _require_all_splits(counts, samples)
    return {sample.name: split_of[sample.group] for sample in samples}


def _in_runs(blocks: Sequence[str], shares: Mapping[str, float]) -> dict[str, str]:
    """Splits blocks into consecutive runs for train, eval and test, each of at least one block."""
    ends = {
        "eval": max(1, round(shares["eval"] * len(blocks))),
        "test": max(1, round(shares["test"] * len(blocks))),
    }
    train = max(1, len(blocks) - sum(ends.values()))
    evaluation = min(len(blocks) - 1, train + ends["eval"])
    return {
        block: "train" if i < train else "eval" if i < evaluation else "test"
        for i, block in enumerate(blocks)
    }


def _lacks_a_class(
    samples: Sequence[Sample], held: Mapping[str, Collection[str]], split_of: Mapping[str, str]
) -> bool:
    """Whether a class that enough groups hold is missing in a split."""
    groups: dict[str, set[str]] = {}
    for sample in samples:
        for name in held.get(sample.name, ()):
            groups.setdefault(name, set()).add(sample.group)
    return any(
        len(inside) >= len(SPLITS) > len({split_of[group] for group in inside}) for inside in groups.values()
    )


def _order(group: str, seed: int) -> tuple[object, ...]:
    if group.startswith(BLOCK_PREFIX):
        return (0, *natural_key(group))
    return (1, hashlib.sha256(f"{seed} {group}".encode()).hexdigest())


def _by_image(
    samples: Sequence[Sample], contents: Mapping[str, str], remembered: Memory
) -> dict[str, str | None]:
    """Remembered split of each sample regarded by itself: by its pixels, or else by its name.

    Where another file with these pixels keeps the split of the pixels, a copy has only that of its name: it
    was left out, or is new.
    """
    kept = {
        contents[s.name]
        for s in samples
        if (s.split or remembered.of_place(s)) == remembered.images.get(contents[s.name], "")
    }
    of_pixels = {content: split for content, split in remembered.images.items() if content not in kept}
    return {s.name: of_pixels.get(contents[s.name]) or remembered.names.get(s.name) for s in samples}


def _with_remembered_slices(samples: Sequence[Sample], of_image: Mapping[str, str | None]) -> list[Sample]:
    """Regroups blocks with slices of earlier runs; a new slice joins the known slice before it."""
    known: dict[str, str] = {}  # block -> split of its first known slice
    for sample in samples:
        if sample.group.startswith(BLOCK_PREFIX) and (split := of_image[sample.name]):
            known.setdefault(sample.group, split)
    regrouped = []
    last: dict[str, str] = {}  # series of slices, such as a stack -> split of the slice before
    for sample in samples:
        if sample.group in known and not sample.split:
            series = sample.group.rpartition("-")[0]
            last[series] = of_image[sample.name] or last.get(series) or known[sample.group]
            # All slices of one split become one group, whose split the known slices determine.
            sample = replace(sample, group=f"{_REMEMBERED}{last[series]}")
        regrouped.append(sample)
    return regrouped


def _remembered_splits(
    samples: Sequence[Sample],
    contents: Mapping[str, str],
    of_image: Mapping[str, str | None],
    remembered: Memory,
) -> dict[str, str]:
    """Remembered split of each group without a declared one; a new group takes the split of its images."""
    members: dict[str, list[Sample]] = {}
    for sample in samples:
        members.setdefault(sample.group, []).append(sample)
    split_of = {}
    for group, inside in members.items():
        if any(sample.split for sample in inside):
            continue
        if group.startswith(_REMEMBERED):
            split_of[group] = group.removeprefix(_REMEMBERED)
            continue
        found = {sample.name: of_image[sample.name] for sample in inside}
        if group in remembered.groups and any(sample.name != group for sample in inside):
            found = {group: remembered.groups[group]}
        elif len({split for split in found.values() if split}) > 1:  # perhaps because of copies
            found = {s.name: remembered.images.get(contents[s.name], found[s.name]) for s in inside}
        first = {split: name for name, split in reversed(found.items()) if split}
        if len(first) > 1:
            there = " and ".join(f"{first[split]} in {split}" for split in SPLITS if split in first)
            raise BadInput(f"group {group!r} has images of several splits of earlier runs, {there}; {_UNDO}")
        if first:
            [split_of[group]] = first
    return split_of


def _by_fold(
    samples: Sequence[Sample], fold: int, folds: int, seed: int, held: Held
) -> dict[str, str | None]:
    fold_of = {sample.name: sample.fold for sample in samples}
    where = "the manifest"
    if not any(f is not None for f in fold_of.values()):
        if named := next((sample for sample in samples if sample.split), None):
            raise BadInput(
                f"{named.image}: named for the {named.split} split, but fold = {fold} deals all images to"
                " folds; unset fold, or name no splits"
            )
        groups = len({sample.group for sample in samples})
        if groups < folds:
            raise BadInput(
                f"folds = {folds}, but the images make {groups} groups, and a fold without images tests "
                f"nothing: set folds to at most {groups}, or add images"
            )
        fold_of, where = _deal(samples, folds, seed, held), f"folds = {folds}"
    known = sorted({f for f in fold_of.values() if f is not None})
    if fold not in known:
        raise BadInput(
            f"fold = {fold}, but the folds of {where} are {', '.join(map(str, known))}; choose one"
        )
    if len(known) < 3:
        raise BadInput(f"{where} makes {len(known)} folds; test, eval and train need at least 3")
    evaluation = known[(known.index(fold) + 1) % len(known)]
    special = {None: None, fold: "test", evaluation: "eval"}
    return {name: special.get(f, "train") for name, f in fold_of.items()}


def _deal(samples: Sequence[Sample], folds: int, seed: int, held: Held) -> dict[str, int | None]:
    """Assigns folds to samples: blocks in runs, then each other group in the order of hashes."""
    groups = sorted({sample.group for sample in samples}, key=lambda group: _order(group, seed))
    blocks = {g: i * folds // len(groups) for i, g in enumerate(groups) if g.startswith(BLOCK_PREFIX)}
    others = [group for group in groups if group not in blocks]
    shares = dict.fromkeys(range(folds), 1 / folds)
    fold_of = blocks | (stratification.deal(samples, held(), others, blocks, shares) if others else {})
    return {sample.name: fold_of[sample.group] for sample in samples}


def leave_out_duplicates(
    samples: Sequence[Sample],
    assignment: Mapping[str, str | None],
    contents: Mapping[str, str],
    *,
    remembered: Memory,
) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    """Leaves out duplicates of images in another split, so that no model is tested on a training image.

    Of equal images, the one in the remembered split of the image stays, so that a test image remains a test
    image. Without any, one with a declared split stays, then one of a remembered group or name, then the one
    in test, then the one in eval.

    Args:
        samples: all samples, in natural order.
        assignment: split of each sample by name, as `assign` returned it.
        contents: `Image.content` of each sample, by name.
        remembered: splits of earlier runs, as for `assign`.

    Returns:
        The assignment without the duplicates, and for each duplicate its name and the name of the sample that
        stays.

    Raises:
        EmptySplit: a split would be empty without the duplicates.
        BadInput: an image would leave its split of earlier runs, though no split is declared for it.
    """
    alike: dict[str, list[Sample]] = {}
    for sample in samples:
        if assignment[sample.name]:
            alike.setdefault(contents[sample.name], []).append(sample)
    kept, copies = dict(assignment), []
    moved: list[tuple[Sample, str]] = []
    strength = {"test": 0, "eval": 1, "train": 2}
    for content, twins in alike.items():
        before = remembered.images.get(content)

        def order(sample: Sample, before: str | None = before) -> tuple[object, ...]:
            split = str(assignment[sample.name])
            return split != before, not sample.split, not remembered.of_place(sample), strength[split]

        first = min(twins, key=order)
        split = assignment[first.name]
        declared = any(sample.split == split for sample in twins)
        for sample in twins:
            was = before or remembered.of_place(sample)
            if assignment[sample.name] != split:
                kept[sample.name] = None
                copies.append((sample.name, first.name))
            elif was not in (None, split) and not declared:
                moved.append((sample, str(was)))
    if moved:
        sample, was = moved[0]
        more = f" (and {len(moved) - 1} images more)" if len(moved) > 1 else ""
        now = assignment[sample.name]
        raise BadInput(f"{sample.image}: in {was} in earlier runs, would be in {now} now{more}; {_UNDO}")
    if copies:
        _require_all_splits(Counter(split for split in kept.values() if split), samples)
    return kept, copies


def _require_all_splits(counts: Mapping[str, int], samples: Sequence[Sample]) -> None:
    empty = [split for split in SPLITS if not counts.get(split)]
    if not empty:
        return
    found = ", ".join(f"{split} {counts.get(split, 0)}" for split in SPLITS)
    groups = {sample.group for sample in samples}
    verb = "is" if len(groups) == 1 else "are"
    needed = f"train, eval and test need a group each and there {verb} {len(groups)}"
    blocks = f"for example --set slices_per_group={block_size(len(samples))}"
    if len(groups) >= len(SPLITS):
        advice = "add images, or change the splits of the manifest, of the folders or the remembered ones"
    elif len(samples) < len(SPLITS):
        advice = f"{needed}: add images"
    elif all(group.startswith(BLOCK_PREFIX) for group in groups):
        advice = f"{needed}: lower slices_per_group, {blocks}"
    elif any(sample.stack for sample in samples):
        advice = f"{needed}: split the stack in blocks, {blocks}"
    else:
        advice = f"{needed}: add images, or make smaller groups"
    raise EmptySplit(f"the {' and '.join(empty)} split would be empty (images: {found}); {advice}")


def block_size(slices: int) -> int:
    """Number of slices in each of about five blocks; the fewer blocks, the fewer neighbours in two splits."""
    return max(1, round(slices / 5))


def missing_classes(rows: Iterable[tuple[str | None, Mapping[str, int]]]) -> list[tuple[str, str]]:
    """Classes without any pixel in a split: such a class cannot be learned from train, or not be evaluated.

    Args:
        rows: for each sample its split, and the number of pixels of each class by name.

    Returns:
        Name of the class and name of the split, for each missing class.
    """
    totals: dict[str, Counter[str]] = {}
    for split, pixels in rows:
        for name, count in pixels.items():
            totals.setdefault(name, Counter())[split or ""] += count
    return [(name, split) for name, counts in totals.items() for split in SPLITS if not counts[split]]
