"""Assigns samples to splits by group, so that related images are never in both training and test split.

A group keeps its split over all runs: a model is compared with its predecessor on the same test images, and
no training image of the predecessor becomes a test image later (unless a manifest declares it). The splits of
blocks are remembered for each slice, since the numbers of blocks change when a slice is added.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unet.dataset.sample import BLOCK_PREFIX, SPLITS, Sample, natural_key
from unet.errors import BadInput
from unet.files import atomic_write


class EmptySplit(BadInput):
    """A split would be empty: there are too few groups for train, eval and test."""


def assign(
    samples: Sequence[Sample],
    shares: Mapping[str, float],
    *,
    remembered: Mapping[str, str],
    seed: int,
    fold: int | None,
    folds: int = 5,
) -> dict[str, str | None]:
    """Decides the split of each sample.

    The manifest's split takes precedence, then the remembered split of the group. New groups, in the order of
    their hashes, go one after the other to the split that lacks most samples; once only as many groups are
    left as splits are empty, they go to the empty splits. If all groups are new blocks of slices, each split
    gets consecutive blocks, since neighbouring slices look alike.

    Args:
        samples: all samples of the data.
        shares: share of the samples for each of train, eval and test; their sum is 1.
        remembered: split of each group in earlier runs, as `to_remember` returned it.
        seed: seed of the order of new groups.
        fold: number of the fold that is the test split in cross-validation; the next fold is the eval split,
            all others the train split. The manifest declares the folds, and samples without a fold are left
            out; without declared folds, the groups are distributed over `folds` folds. None: splits by
            shares.
        folds: number of folds without declared folds.

    Returns:
        Split of each sample by name; None for a sample that is left out.

    Raises:
        EmptySplit: a split would be empty.
        BadInput: there is no such fold, or a fold contradicts the remembered splits.
    """
    if fold is not None:
        return _by_fold(samples, fold, folds, seed, remembered)
    samples = _with_remembered_slices(samples, remembered)
    sizes = Counter(sample.group for sample in samples)
    split_of = {s.group: remembered[key] for s in samples if (key := _key(s)) in remembered}
    split_of.update({sample.group: sample.split for sample in samples if sample.split is not None})
    if not split_of and len(sizes) >= len(SPLITS) and all(g.startswith(BLOCK_PREFIX) for g in sizes):
        split_of = _in_runs(sorted(sizes, key=natural_key), shares)
    counts = Counter(dict.fromkeys(SPLITS, 0))
    for group, split in split_of.items():
        counts[split] += sizes[group]
    new = sorted((group for group in sizes if group not in split_of), key=lambda group: _order(group, seed))
    for done, group in enumerate(new):
        empty = [split for split in SPLITS if not counts[split]]
        candidates = empty if empty and len(new) - done <= len(empty) else SPLITS
        # Python's max takes the first of equal values: ties go to train, then eval, then test. Rounding makes
        # 0.6 * 5 - 2 tie with 0.2 * 5.
        split = max(candidates, key=lambda s: round(shares[s] * len(samples) - counts[s], 6))
        split_of[group] = split
        counts[split] += sizes[group]
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


def _order(group: str, seed: int) -> tuple[object, ...]:
    if group.startswith(BLOCK_PREFIX):
        return (0, *natural_key(group))
    return (1, hashlib.sha256(f"{seed} {group}".encode()).hexdigest())


def to_remember(samples: Sequence[Sample], assignment: Mapping[str, str | None]) -> dict[str, str]:
    """The splits that a later run has to remember; samples that were left out are not included."""
    return {_key(sample): split for sample in samples if (split := assignment[sample.name])}


def _key(sample: Sample) -> str:
    """Key of a sample's remembered split: its name if its group is a block, else its group."""
    return sample.name if sample.group.startswith(BLOCK_PREFIX) else sample.group


def _with_remembered_slices(samples: Sequence[Sample], remembered: Mapping[str, str]) -> list[Sample]:
    """Regroups blocks with slices of earlier runs; a new slice joins the known slice before it."""
    known: dict[str, str] = {}  # block -> split of its first known slice
    for sample in samples:
        if sample.group.startswith(BLOCK_PREFIX) and sample.name in remembered:
            known.setdefault(sample.group, remembered[sample.name])
    regrouped, last = [], ""
    for sample in samples:
        if sample.group in known:
            last = remembered.get(sample.name) or last or known[sample.group]
            # All slices of one split become one group, whose split the known slices determine.
            sample = replace(sample, group=f"{BLOCK_PREFIX}{last}")
        regrouped.append(sample)
    return regrouped


def _by_fold(
    samples: Sequence[Sample], fold: int, folds: int, seed: int, remembered: Mapping[str, str]
) -> dict[str, str | None]:
    fold_of = {sample.name: sample.fold for sample in samples}
    where = "the manifest"
    if not any(f is not None for f in fold_of.values()):
        fold_of, where = _deal(samples, folds, seed), f"folds = {folds}"
    known = sorted({f for f in fold_of.values() if f is not None})
    if fold not in known:
        raise BadInput(
            f"fold = {fold}, but the folds of {where} are {', '.join(map(str, known))}; choose one"
        )
    if len(known) < 3:
        raise BadInput(f"{where} makes {len(known)} folds; test, eval and train need at least 3")
    evaluation = known[(known.index(fold) + 1) % len(known)]
    special = {None: None, fold: "test", evaluation: "eval"}
    assignment = {name: special.get(f, "train") for name, f in fold_of.items()}
    moved = [
        s.name
        for s in samples
        if assignment[s.name] not in (None, remembered.get(_key(s), assignment[s.name]))
    ]
    if moved:
        raise BadInput(
            f"fold = {fold} would move {len(moved)} images ({moved[0]}, ...) out of their split of earlier"
            " runs, and test a model on what its predecessor was trained on; give it a --root of its own"
        )
    return assignment


def _deal(samples: Sequence[Sample], folds: int, seed: int) -> dict[str, int | None]:
    """Assigns folds to samples: each group, in the order of hashes, to the smallest fold; blocks in runs."""
    sizes = Counter(sample.group for sample in samples)
    groups = sorted(sizes, key=lambda group: _order(group, seed))
    fold_of: dict[str, int] = {}
    totals = Counter(dict.fromkeys(range(folds), 0))
    for i, group in enumerate(groups):
        is_block = group.startswith(BLOCK_PREFIX)
        fold_of[group] = i * folds // len(groups) if is_block else min(totals, key=lambda f: (totals[f], f))
        totals[fold_of[group]] += sizes[group]
    return {sample.name: fold_of[sample.group] for sample in samples}


def leave_out_duplicates(
    samples: Sequence[Sample],
    assignment: Mapping[str, str | None],
    hashes: Mapping[str, str],
    *,
    remembered: Mapping[str, str],
) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    """Leaves out duplicates of images in another split, so that no model is tested on a training image.

    Of equal images, one with a remembered split stays, so that a test image remains a test image. Among
    several of these, or without any, the image in test stays, then the image in eval.

    Args:
        samples: all samples, in natural order.
        assignment: split of each sample by name, as `assign` returned it.
        hashes: hash of the pixels of each sample's image, by name.
        remembered: split of each group in earlier runs, as for `assign`.

    Returns:
        The assignment without the duplicates, and for each duplicate its name and the name of the sample that
        stays.

    Raises:
        EmptySplit: a split would be empty without the duplicates.
    """
    alike: dict[str, list[Sample]] = {}
    for sample in samples:
        if assignment[sample.name]:
            alike.setdefault(hashes[sample.name], []).append(sample)
    kept, copies = dict(assignment), []
    strength = {"test": 0, "eval": 1, "train": 2}
    for twins in alike.values():
        first = min(twins, key=lambda s: (_key(s) not in remembered, strength[str(assignment[s.name])]))
        for sample in twins:
            if assignment[sample.name] != assignment[first.name]:
                kept[sample.name] = None
                copies.append((sample.name, first.name))
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
    if len(groups) >= len(SPLITS):
        advice = "add images, or change the splits of the manifest, of the folders or the remembered ones"
    elif len(samples) < len(SPLITS):
        advice = f"{needed}: add images"
    elif all(group.startswith(BLOCK_PREFIX) for group in groups):
        advice = f"{needed}: lower slices_per_group, for example --set slices_per_group={_block(samples)}"
    elif any(sample.stack for sample in samples):
        advice = f"{needed}: split the stack in blocks, for example --set slices_per_group={_block(samples)}"
    else:
        advice = f"{needed}: add images, or make smaller groups"
    raise EmptySplit(f"the {' and '.join(empty)} split would be empty (images: {found}); {advice}")


def _block(samples: Sequence[Sample]) -> int:
    """Number of slices per block that gives about ten blocks, or at least three."""
    return max(1, len(samples) // 10)


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


def load(path: Path) -> dict[str, str]:
    """Reads the remembered split of each group; empty without a file.

    Raises:
        BadInput: the file is damaged, or cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(path, "not a JSON object")
    wrong = next((group for group, split in content.items() if split not in SPLITS), None)
    if wrong is not None:
        raise _damaged(path, f"group {wrong!r} is in {content[wrong]!r}")
    return content


def _damaged(path: Path, detail: str) -> BadInput:
    return BadInput(
        f"{path}: the remembered splits are damaged ({detail}); restore the file, or delete it to split anew,"
        " after which models are no longer compared on the same test images"
    )


def save(path: Path, assignments: Mapping[str, str]) -> None:
    """Writes the split of each group atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        json.dump(assignments, file, indent=1, sort_keys=True)
