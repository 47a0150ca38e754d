"""No image that was ever trained on is tested on, whatever the settings and however they change.

The search goes over what users change between runs of one root: layout, names, bit depth, copies, declared
splits and folds, groups, blocks and spans. A run may be refused in a sentence; it may not move an image.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unet.dataset import layouts, split_memory
from unet.dataset.plan import assign_splits
from unet.dataset.sample import BLOCK_PREFIX, SPLITS, Sample
from unet.dataset.settings import ReadSettings
from unet.errors import BadInput
from unet.images.reader import encode_png, read_image

PATIENTS = 5
PATIENT = "^[pq][0-9]"  # pattern of the group of a patient


@dataclass(frozen=True)
class Run:
    """What a user gives to one run. Images are numbers; the patient of an image is its number modulo 5."""

    layout: str = "flat"
    first: int = 2  # images from the first to the last
    last: int = 12
    missing: frozenset[int] = frozenset()
    deep: bool = False  # images of even numbers have 16 bits
    copies: frozenset[int] = frozenset()  # images that occur twice, in the other bit depth
    declared: str = ""  # what decides the split in a manifest or folder: image, patient, some images
    folds: str = ""  # what decides the fold in a manifest
    shift: int = 0  # other declared splits
    prefix: str = "p"  # of names
    group_pattern: str | None = None
    slices_per_group: int = 0
    fold: int | None = None
    rare: int = 1  # the foreground is in images whose number this divides

    def files(self) -> Iterator[tuple[str, int, bool]]:
        """Name, number and whether it has 16 bits, of each image."""
        for number in range(self.first, self.last + 1):
            if number not in self.missing:
                deep = self.deep and not number % 2
                yield f"{self.prefix}{number % PATIENTS}_{number:02d}", number, deep
                if number in self.copies:
                    yield f"{self.prefix}{(number + 1) % PATIENTS}_{number:02d}c", number, not deep

    def split_of(self, number: int) -> str | None:
        """The declared split of an image."""
        if self.layout == "folders":
            kind = self.declared or "patient"
        else:
            kind = self.declared if self.layout in ("manifest", "stacks") else ""
        by = {"image": number, "some": number // 4 if not number % 4 else None, "patient": number % PATIENTS}
        key = by.get(kind)
        return None if key is None else SPLITS[(key + self.shift) % 3]

    def fold_of(self, number: int) -> int | None:
        """The declared fold of an image."""
        if self.layout not in ("manifest", "stacks") or not self.folds:
            return None
        return (number if self.folds == "image" else number % PATIENTS) % 4


def write(run: Run, folder: Path) -> Path:
    """Writes files that hold the number and depth of their image; returns the path of the data."""
    rows = ["image,mask,split,fold,page"]
    for name, number, deep in run.files():
        place = {"folders": run.split_of(number) or "", "spans": f"span-{number // 5}"}.get(run.layout, "")
        page, copy = "", name.endswith("c")
        if run.layout == "stacks":  # two stacks of pages that lie one after the other
            name, page = ("a" if number < 7 else "b") + "c" * copy, f"{number}"
        listed = run.layout in ("manifest", "stacks")  # there an image may be its own mask: fewer files
        for part in ("images",) if listed else ("images", "masks"):
            path = folder / place / part / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number} {deep:d}")
        split, fold = run.split_of(number), run.fold_of(number)
        file = f"images/{name}.png"
        rows.append(f"{file},{file},{split or ''},{'' if fold is None else fold},{page}")
    if listed:
        (folder / "manifest.csv").write_text("\n".join(rows))
    return folder / "span-{SPAN}" if run.layout == "spans" else folder


def image_of(sample: Sample, run: Run) -> tuple[int, bool]:
    """Number and depth of the image of a sample."""
    number, deep = map(int, sample.image.read_text().split())
    if sample.page is None:
        return number, bool(deep)
    deep = run.deep and not sample.page % 2
    return sample.page, deep != sample.stack.endswith("c")


@functools.cache
def content(number: int, deep: bool) -> str:
    """Of the deep copy, of 16 bits and turned by a quarter, the same as of the image itself."""
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4), np.uint8)
    return read_image(encode_png(np.rot90(pixels) * np.uint16(257) if deep else pixels)).content


@dataclass
class Root:
    """A root, and what its runs did: the split of each image, and of each group of samples."""

    splits_file: Path
    images: dict[int, str]
    names: set[str]

    def run(self, run: Run, data: Path) -> bool:
        """Runs, and checks what must hold; returns whether the run was not refused."""
        before = self._written()
        settings = ReadSettings(
            classes={"a": 0, "b": 1}, sigma=0, columns=[], splits_file=str(self.splits_file),
            group_pattern=run.group_pattern, slices_per_group=run.slices_per_group, fold=run.fold, folds=4,
        )  # fmt: skip
        samples, problems = layouts.find_samples(
            data, slices_per_group=run.slices_per_group, group_pattern=run.group_pattern
        )
        if problems:
            assert all("group" in problem.found and problem.advice for problem in problems)
            return False
        images = {sample.name: image_of(sample, run) for sample in samples}
        contents = {name: content(*image) for name, image in images.items()}
        held = {name: {"a", *(["b"] if not image[0] % run.rare else [])} for name, image in images.items()}
        try:
            splits, copies, memory = assign_splits(samples, contents, settings, lambda: held)
        except BadInput as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert "; " in refusal, "no advice"
            assert self._written() == before
            return False
        split_memory.save(self.splits_file, memory)
        again = assign_splits(samples, contents, settings, lambda: held)  # the executor's plan
        assert again == (splits, copies, memory)
        self._judge(run, samples, {name: number for name, (number, _) in images.items()}, splits)
        return True

    def _written(self) -> str:
        return self.splits_file.read_text() if self.splits_file.exists() else ""

    def _judge(
        self, run: Run, samples: list[Sample], number_of: dict[str, int], splits: dict[str, str | None]
    ) -> None:
        now: dict[int, set[str]] = {}
        groups: dict[str, set[str]] = {}
        for sample in samples:
            split = splits[sample.name]
            if split:
                now.setdefault(number_of[sample.name], set()).add(split)
                groups.setdefault(sample.group, set()).add(split)
            if run.fold is None or sample.fold is None:
                assert split in (sample.split or split, None), "a declared split is not another one"
        for number, found in now.items():
            assert len(found) == 1, f"image {number} is in {found}"
            [split] = found
            was = self.images.get(number, split)
            assert split in (was, run.split_of(number)), f"image {number} was in {was} and is in {split}"
        for group, found in groups.items():
            if not group.startswith(BLOCK_PREFIX):
                assert len(found) == 1, f"group {group} is in {found}"
        if run.fold is None:
            assert now.keys() == set(number_of.values()), "an image vanished"
            self._judge_slices(samples, number_of, splits)
        self.images.update({number: split for number, [split] in now.items()})
        self.names.update(number_of)

    def _judge_slices(
        self, samples: list[Sample], number_of: dict[str, int], splits: dict[str, str | None]
    ) -> None:
        """A new slice of a block with known ones is in the split of a known one of its stack."""
        known: dict[str, set[str]] = {}
        blocks = set()
        for sample in samples:
            if number_of[sample.name] in self.images and sample.name in self.names:
                known.setdefault(sample.stack, set()).add(str(splits[sample.name]))
                blocks.add(sample.group)
        for sample in samples:
            if sample.group.startswith(BLOCK_PREFIX) and sample.group in blocks and sample.stack:
                split = splits[sample.name]
                assert split in {*known[sample.stack], None}, f"{sample.name} took the split of another stack"


changes: dict[str, st.SearchStrategy[Any]] = {
    "layout": st.sampled_from(["flat", "folders", "manifest", "spans", "stacks"]),
    "first": st.integers(0, 3),
    "last": st.integers(11, 16),
    "missing": st.frozensets(st.integers(0, 16), max_size=3),
    "deep": st.booleans(),
    "copies": st.frozensets(st.integers(0, 16), max_size=3),
    "declared": st.sampled_from(["", "patient", "image", "some"]),
    "folds": st.sampled_from(["", "patient", "image"]),
    "shift": st.integers(0, 2),
    "prefix": st.sampled_from(["p", "q"]),
    "group_pattern": st.sampled_from([None, PATIENT, "[0-9]c?$"]),
    "slices_per_group": st.sampled_from([0, 2, 3]),
    "fold": st.sampled_from([None, 0, 1]),
    "rare": st.sampled_from([1, 3, 5]),
}


@st.composite
def histories(draw: st.DrawFn) -> list[Run]:
    """Runs of which each changes a few things of the one before."""
    run, runs = Run(), []
    for most in (8, 3, 3):
        names = draw(st.lists(st.sampled_from(list(changes)), max_size=most, unique=True))
        run = replace(run, **{name: draw(changes[name]) for name in names})
        runs.append(run)
    return runs


# Faults that this code has had, whether or not the search comes upon them.
@example([Run(layout="folders", declared="image", group_pattern=PATIENT)])
@example([Run(layout="manifest", declared="image", group_pattern=PATIENT)])
@example([Run(layout="folders", declared="image", slices_per_group=3)])
@example([Run(layout="manifest", folds="image", group_pattern=PATIENT, fold=0)])
@example([Run(layout="folders", fold=0)])
@example([Run(), Run(group_pattern=PATIENT)])
@example([Run(group_pattern=PATIENT), Run()])
@example([Run(), Run(layout="spans")])
@example([Run(), Run(deep=True, prefix="q")])
@example([Run(copies=frozenset({3, 4, 5}))])
@example([Run(copies=frozenset(range(17)))])
@example([Run(layout="stacks", first=0, missing=frozenset(gone), slices_per_group=3) for gone in ([7], [])])
@given(histories())
def test_no_image_leaves_its_split_unless_its_name_is_given(runs: list[Run]) -> None:
    judge(runs)


def judge(runs: list[Run]) -> list[bool]:
    """Does the runs in one root; whether each was not refused."""
    with tempfile.TemporaryDirectory() as place:
        root = Root(Path(place) / "splits.json", {}, set())
        return [root.run(run, write(run, Path(place) / f"data-{i}")) for i, run in enumerate(runs)]


@pytest.mark.parametrize("shape", [(30, 40, 1), (30, 40, 3), (30, 30, 1)], ids=["gray", "rgb", "square"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_flips_and_quarter_turns_of_an_image_are_copies_of_it(shape: tuple[int, ...], kind: type) -> None:
    pixels: np.ndarray = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape).astype(kind)
    eight = [np.rot90(side, turns) for side in (pixels, pixels[:, ::-1]) for turns in range(4)]
    [content] = {read_image(encode_png(np.ascontiguousarray(turned))).content for turned in eight}
    assert read_image(encode_png(np.roll(pixels, 1, 0))).content != content
