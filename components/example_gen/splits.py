"""Who is in which split: by group, so that related images never sit on both sides of an evaluation.

A group stays where it once was: a model is compared with its predecessor on the same test images, and
nothing that trained the predecessor becomes a test image later (unless a manifest says so). Blocks of slices
are remembered slice by slice: their numbers change when a slice is added.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from components.errors import BadInput
from components.example_gen.source import BLOCK_PREFIX, SPLITS, Sample, natural_key


def assign(
    samples: Sequence[Sample],
    shares: Mapping[str, float],
    *,
    remembered: Mapping[str, str],
    seed: int,
    fold: int | None,
) -> dict[str, str | None]:
    """Decides the split of each sample.

    The manifest's split wins, then the remembered one of the group. New groups go, one after the other, to
    the split that lacks most samples; as soon as only as many groups are left as splits are empty, to those.
    Blocks of slices are taken in their natural order, so that neighbours share a split; all else by hash.

    Args:
        samples: all samples of the data.
        shares: part of the samples for each of train, eval and test; their sum is 1.
        remembered: split of each group in earlier runs, as `to_remember` returned it.
        seed: another seed, another order of new groups.
        fold: cross-validation instead: this fold of the manifest is the test split, the next one the eval
            split, the others train; samples without a fold are left out.

    Returns:
        Split of each sample by name; None for a sample that is left out.

    Raises:
        BadInput: a split would be empty, there is no such fold, or a fold contradicts the remembered splits.
    """
    if fold is not None:
        return _by_fold(samples, fold, remembered)
    samples = _with_remembered_slices(samples, remembered)
    sizes = Counter(sample.group for sample in samples)
    split_of = {s.group: remembered[key] for s in samples if (key := _key(s)) in remembered}
    split_of.update({sample.group: sample.split for sample in samples if sample.split is not None})
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
    _require_all_splits(counts, len(sizes))
    return {sample.name: split_of[sample.group] for sample in samples}


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


def _by_fold(samples: Sequence[Sample], fold: int, remembered: Mapping[str, str]) -> dict[str, str | None]:
    folds = sorted({sample.fold for sample in samples if sample.fold is not None})
    if not folds:
        raise BadInput(f"fold = {fold} needs a column 'fold' in manifest.csv; add one or leave fold unset")
    if fold not in folds:
        raise BadInput(f"fold = {fold}, but the folds of manifest.csv are {', '.join(map(str, folds))}")
    if len(folds) < 3:
        raise BadInput(f"manifest.csv has {len(folds)} folds; test, eval and train need at least 3")
    evaluation = folds[(folds.index(fold) + 1) % len(folds)]
    special = {None: None, fold: "test", evaluation: "eval"}
    assignment = {sample.name: special.get(sample.fold, "train") for sample in samples}
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


def _require_all_splits(counts: Mapping[str, int], groups: int) -> None:
    empty = [split for split in SPLITS if not counts[split]]
    if not empty:
        return
    found = ", ".join(f"{split} {counts[split]}" for split in SPLITS)
    if groups < len(SPLITS):
        advice = f"train, eval and test need a group each and there are {groups}: add images, or lower block"
    else:
        advice = "add images, or change the split column of manifest.csv or the remembered splits"
    raise BadInput(f"the {' and '.join(empty)} split would be empty (images: {found}); {advice}")


def missing_classes(rows: Iterable[tuple[str | None, Mapping[str, int]]]) -> list[str]:
    """Names of the classes that no training image holds, which a network therefore cannot learn.

    Args:
        rows: split and pixels of each class, for each sample.
    """
    totals: Counter[str] = Counter()
    for split, pixels in rows:
        for name, count in pixels.items():
            totals[name] += count if split == "train" else 0
    return [name for name, count in totals.items() if not count]


def load(path: Path) -> dict[str, str]:
    """Reads the remembered split of each group; none if there is no such file.

    Raises:
        BadInput: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
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
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(assignments, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
