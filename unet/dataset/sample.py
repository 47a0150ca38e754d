"""What the layouts of data folders are turned into: samples, and problems that the user has to solve."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "eval", "test")
FOREIGN_SPLITS = {"val": "eval", "valid": "eval", "validation": "eval", "dev": "eval", "training": "train"}
SCALARS = ("height", "width", "channels", "bit_depth", "mean", "stddev")  # of an image, see its `Image`
FRACTION_PREFIX = "fraction_"  # of the counted pixels of a mask, with the name of a class
COLUMN_PREFIX = "column_"  # of features that hold a further column of the manifest
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
        name: unique in the data, the same in every run, and fit for a file's name.
        image, mask: files; `page` of both, if they are multi-page TIFFs.
        group: samples of one group are never in two splits.
        split, fold: what the manifest or the folders say, else None.
        stack: name of the multi-page TIFF, or empty.
        columns: further columns of the manifest and their values, by name.
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
    """Something that the user has to change: where, what was found there, and what to do.

    `of_the_set`: it concerns all samples, and leaving out a file does not solve it.
    """

    path: str
    found: str
    advice: str
    of_the_set: bool = False


def unreadable(path: Path, error: OSError) -> Problem:
    """What is said of a folder or a list of samples that the operating system does not show."""
    found = f"cannot be read ({error.strerror})"
    return Problem(str(error.filename or path), found, "check its permissions", of_the_set=True)


def is_ignored(path: Path) -> bool:
    """Whether a file is no image: one that systems leave in folders, a hidden one, notes."""
    name = path.name.lower()
    return name.startswith(".") or name in _IGNORED or path.suffix.lower() in _NOTES


def natural_key(text: str) -> tuple[object, ...]:
    """Sort key that puts slice_2 before slice_10."""
    parts = re.split("([0-9]+)", text)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), text


SERVING = "serving"  # the split of images as they come in service: scalars for the statistics, nothing else


GROUP = "group"
