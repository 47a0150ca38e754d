"""Deals groups of images to splits or folds so that each gets its share of the images that hold a class.

The rarest class is dealt first, as long as there is a choice, and what holds no class comes last; compare
Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data", ECML PKDD. Here, what is
dealt are whole groups, some of which have a split already, and a split that would lack a class comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from unet.dataset.sample import Sample

Part = TypeVar("Part", str, int)  # a split or the number of a fold


def deal(
    samples: Sequence[Sample],
    held: Mapping[str, Collection[str]],
    new: Sequence[str],
    known: Mapping[str, Part],
    shares: Mapping[Part, float],
) -> dict[str, Part]:
    """Deals new groups to parts, each to the part that lacks most.

    If all images hold the same classes, a group goes to the part that lacks most images, in the order of
    `new`. Else the classes take turns, the one in the fewest groups first; its groups go to the part that
    lacks most images of this class, and of equal ones to that which lacks most images at all. Once only as
    many groups are left as parts are empty, or without the class, they go to these.

    Args:
        samples: all samples, with their groups.
        held: names of the classes that the mask of each sample holds, by the name of the sample; a sample
            that is missing holds none.
        new: groups without a part, in the order in which they are dealt.
        known: part of each other group.
        shares: share of the samples for each part, in the order in which parts are preferred.

    Returns:
        Part of each new group.
    """
    sizes = Counter(sample.group for sample in samples)
    showing: dict[str, Counter[str]] = {}  # class -> group -> number of its images that hold the class
    for sample in samples:
        for name in sorted(held.get(sample.name, ())):
            showing.setdefault(name, Counter())[sample.group] += 1
    classes_of: dict[str, list[str]] = {}
    for name, groups in showing.items():
        for group in groups:
            classes_of.setdefault(group, []).append(name)
    position = {group: i for i, group in enumerate(new)}
    left = {name: {group for group in groups if group in position} for name, groups in showing.items()}
    totals = _counts(known, sizes, shares)
    of_class = {name: _counts(known, groups, shares) for name, groups in showing.items()}
    dealt: dict[str, Part] = {}

    def give(group: str, part: Part) -> None:
        dealt[group] = part
        totals[part] += sizes[group]
        for name in classes_of.get(group, ()):
            of_class[name][part] += showing[name][group]
            left[name].discard(group)

    while waiting := [name for name in left if left[name]]:
        rarest = min(waiting, key=lambda name: (len(left[name]), len(showing[name]), name))
        for group in sorted(left[rarest], key=position.__getitem__):
            parts = _candidates(totals, len(new) - len(dealt), shares)
            parts = _candidates(of_class[rarest], len(left[rarest]), parts)
            wanted = showing[rarest].total()
            # Python's max takes the first of equal values. Rounding makes 0.6 * 5 - 2 tie with 0.2 * 5.
            lacks = {
                part: (
                    round(shares[part] * wanted - of_class[rarest][part], 6),
                    round(shares[part] * len(samples) - totals[part], 6),
                )
                for part in parts
            }
            give(group, max(lacks, key=lacks.__getitem__))
    for group in new:
        if group not in dealt:
            parts = _candidates(totals, len(new) - len(dealt), shares)
            give(group, max(parts, key=lambda part: round(shares[part] * len(samples) - totals[part], 6)))
    return dealt


def _counts(known: Mapping[str, Part], sizes: Mapping[str, int], parts: Iterable[Part]) -> Counter[Part]:
    counts = Counter(dict.fromkeys(parts, 0))
    for group, part in known.items():
        counts[part] += sizes.get(group, 0)
    return counts


def _candidates(counts: Mapping[Part, int], left: int, parts: Iterable[Part]) -> list[Part]:
    """The empty ones of some parts, if only as many groups are left as there are empty parts; else all."""
    empty = [part for part, count in counts.items() if not count]
    of_these = [part for part in parts if part in empty]
    return of_these if of_these and left <= len(empty) else list(parts)
