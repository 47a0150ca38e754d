"""Samples of a data folder, and problems that the user has to solve."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "eval", "test")
FOREIGN_SPLITS = {"val": "eval", "valid": "eval", "validation": "eval", "dev": "eval", "training": "train"}
# Fields of `unet.images.reader.Image`.
SCALARS = ("height", "width", "channels", "bit_depth", "mean", "stddev")
FRACTION_PREFIX = "fraction_"  # before a class: its share of the mask (components.example_gen.executor)
COLUMN_PREFIX = "column_"  # prefix of features that hold a further column of the manifest
BLOCK_PREFIX = "block-"
_IGNORED = {"thumbs.db", "desktop.ini", "readme", "license"}
_NOTES = {
    ".txt",
    ".md",
    ".json",
    ".jsonl",
    ".xml",
    ".csv",
    ".tsv",
    ".yaml",
    ".yml",
    ".ini",
    ".db",
    ".log",
    ".pdf",
}


@dataclass(frozen=True)
class Sample:
    """An image and its mask.

    Attributes:
        name: name of the sample: unique in the data, equal in every run, and valid as a file name.
        image, mask: paths of the files.
        group: name of the group; samples of one group are never in two splits.
        split, fold: split and fold declared by the manifest or by folders, else None.
        page: page number in image and mask if both are multi-page TIFFs, else None.
        stack: name of the multi-page TIFF, or empty.
        columns: names and values of further columns of the manifest.
    """

    name: str
    image: Path
    mask: Path
    group: str
    split: str | None = None
    fold: int | None = None
    page: int | None = None
    stack: str = ""
    columns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Problem:
    """A problem of the data that the user has to solve: its path, a description, and advice.

    `of_the_set`: whether the problem concerns all samples, so that leaving out a file does not solve it.
    """

    path: str
    found: str
    advice: str
    of_the_set: bool = False


def unreadable(path: Path, error: OSError) -> Problem:
    """The problem of a folder or manifest that the operating system cannot read."""
    found = f"cannot be read ({error.strerror})"
    return Problem(str(error.filename or path), found, "check its permissions", of_the_set=True)


def is_ignored(path: Path) -> bool:
    """Whether to ignore a file: a hidden file, a system file, or notes."""
    name = path.name.lower()
    return name.startswith(".") or name in _IGNORED or path.suffix.lower() in _NOTES


def natural_key(text: str) -> tuple[object, ...]:
    """Sort key of the natural order, which puts slice_2 before slice_10."""
    parts = re.split("([0-9]+)", text)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), text


SERVING = "serving"  # split of the images of `serving_data`, which has only scalars for statistics


GROUP = "group"
