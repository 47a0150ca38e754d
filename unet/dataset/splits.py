"""Who is in which split: by group, so that related images never sit on both sides of an evaluation.

A group stays where it once was: a model is compared with its predecessor on the same test images, and
nothing that trained the predecessor becomes a test image later (unless a manifest says so). Blocks of slices
are remembered slice by slice: their numbers change when a slice is added.
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
    """Too few groups, or too few of some split, for train, eval and test."""


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

    The manifest's split wins, then the remembered one of the group. New groups go, one after the other, to
    the split that lacks most samples; as soon as only as many groups are left as splits are empty, to those.
    They are taken by hash; but where there are only blocks of slices, and all new, each split gets blocks
    that follow each other: neighbours look alike.

    Args:
        samples: all samples of the data.
        shares: part of the samples for each of train, eval and test; their sum is 1.
        remembered: split of each group in earlier runs, as `to_remember` returned it.
        seed: another seed, another order of new groups.
        fold: cross-validation instead: this fold is the test split, the next one the eval split, the others
            train. The manifest says which fold a sample is in, and those without one are left out; if none
            has a fold, the groups are dealt out to `folds` of them.
        folds: see `fold`.

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
        # Python's max takes the first of equals: ties go to train, then eval, then test. Rounded, so that
        # 0.6 * 5 - 2 ties with 0.2 * 5.
        split = max(candidates, key=lambda s: round(shares[s] * len(samples) - counts[s], 6))
        split_of[group] = split
        counts[split] += sizes[group]
    _require_all_splits(counts, samples)
    return {sample.name: split_of[sample.group] for sample in samples}


def _in_runs(blocks: Sequence[str], shares: Mapping[str, float]) -> dict[str, str]:
    """Train, eval and test as three runs of blocks, each of them at least one."""
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
    """What a later run has to know of an assignment; samples that were left out are not in it."""
    return {_key(sample): split for sample in samples if (split := assignment[sample.name])}


def _key(sample: Sample) -> str:
    """Under which name the split of a sample is remembered."""
    return sample.name if sample.group.startswith(BLOCK_PREFIX) else sample.group


def _with_remembered_slices(samples: Sequence[Sample], remembered: Mapping[str, str]) -> list[Sample]:
    """Regroups blocks that hold slices of earlier runs; a new slice there joins the known one before it."""
    known: dict[str, str] = {}  # block -> split of its first known slice
    for sample in samples:
        if sample.group.startswith(BLOCK_PREFIX) and sample.name in remembered:
            known.setdefault(sample.group, remembered[sample.name])
    regrouped, last = [], ""
    for sample in samples:
        if sample.group in known:
            last = remembered.get(sample.name) or last or known[sample.group]
            # All slices of one split become one group, whose split the known ones tell.
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
    """The fold of each sample: groups by hash to the smallest fold, blocks in runs."""
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
    """Leaves out copies of an image that is in another split: a model would be tested on what it trained on.

    Whichever was there in an earlier run stays, so that a test image remains one; of several, or of none, the
    one in test, then in eval.

    Args:
        samples: in natural order.
        assignment: split of each by name, as `assign` returned it.
        hashes: of the pixels of the image of each.
        remembered: see `assign`.

    Returns:
        The assignment without the copies, and those: name, and name of the one that stays.

    Raises:
        EmptySplit: a split would be empty without them.
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
    """A size of blocks that gives about ten of them, three at least."""
    return max(1, len(samples) // 10)


def missing_classes(rows: Iterable[tuple[str | None, Mapping[str, int]]]) -> list[tuple[str, str]]:
    """Classes that a split lacks: without it in train a network cannot learn it, elsewhere none can judge it.

    Args:
        rows: split and pixels of each class by name, for each sample.

    Returns:
        Name of the class and split.
    """
    totals: dict[str, Counter[str]] = {}
    for split, pixels in rows:
        for name, count in pixels.items():
            totals.setdefault(name, Counter())[split or ""] += count
    return [(name, split) for name, counts in totals.items() for split in SPLITS if not counts[split]]


def load(path: Path) -> dict[str, str]:
    """Reads the remembered split of each group; none if there is no such file.

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
    """Writes the split of each group; whatever happens, the file is the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        json.dump(assignments, file, indent=1, sort_keys=True)
