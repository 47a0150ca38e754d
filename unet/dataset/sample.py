"""Samples of a data folder, and problems that the user has to solve."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "eval", "test")
FOREIGN_SPLITS = {
    "val": "eval",
    "valid": "eval",
    "validation": "eval",
    "dev": "eval",
    "training": "train",
    "testing": "test",
}
# Fields of `unet.images.reader.Image`.
SCALARS = ("height", "width", "channels", "bit_depth", "mean", "stddev")
FRACTION_PREFIX = "fraction_"  # before a class: its share of the mask (components.example_gen.executor)
COLUMN_PREFIX = "column_"  # prefix of features that hold a further column of the manifest
BLOCK_PREFIX = "block-"
# What people and systems leave in folders of images: notes, thumbnails, bins and copies of drives.
_IGNORED = {
    "readme",
    "license",
    "thumbs.db",
    "thumbs.db:encryptable",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "picasa.ini",
    "@eadir",
    "@tmp",
    "#recycle",
    "@recycle",
    "$recycle.bin",
    "__macosx",
    "lost+found",
    "system volume information",
    "__pycache__",
}
# No image has one of these: notes and sidecars; world files, projections and overviews of maps; arrays and
# objects of tools for cells.
_NO_IMAGES = {
    *(".txt", ".md", ".rst", ".json", ".jsonl", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".ini", ".cfg"),
    *(".db", ".log", ".pdf", ".html", ".xmp", ".thm", ".url", ".lnk", ".tfw", ".tifw", ".tiffw", ".jgw"),
    *(".jpgw", ".jpegw", ".pgw", ".pngw", ".bpw", ".bmpw", ".wld", ".prj", ".ovr", ".aux", ".rrd", ".cpg"),
    *(".dbf", ".shp", ".shx", ".qgz", ".qgs", ".qml", ".kml", ".geojson", ".npy", ".npz", ".roi", ".zip"),
    *(".lut", ".h5", ".hdf5", ".ilp", ".pkl", ".mat", ".xls", ".xlsx", ".ods", ".docx", ".py", ".ipynb"),
    *(".sh", ".bak", ".part", ".tmp"),
}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff")
# Endings of what tools for cells and galleries write beside an image, without being images to learn from.
_COMPANIONS = (
    *("_flows", "_cp_flows", "_outlines", "_cp_outlines", "_outlines_cp_masks", "_cp_output", "_overlay"),
    *("_thumb", "_thumbnail", "_preview", "_probabilities"),
)
# Names of lists of splits and folds, of the images or of the lines in them.
NOT_READ = re.compile(
    r"(data)?(splits?|folds?|partitions?|train|training|val|valid|validation|dev|test|trainval|default)"
    r"([_-]?(splits?|list|set|files|images|ids|names|final|[0-9]+))?\.(csv|tsv|txt|json|yaml|yml|lst)"
)


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
        prefix: what the name begins with to be unique: the folder of its split and "-", or empty.

    Name, group and stack are in one Unicode form (NFC): systems write the accent of a patient's name in two.
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
    prefix: str = ""

    def __post_init__(self) -> None:
        """Gives names their Unicode form."""
        for name in ("name", "group", "stack"):
            object.__setattr__(self, name, unicodedata.normalize("NFC", getattr(self, name)))


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


def split_named(name: str) -> str | None:
    """The split that a name stands for, whatever other tools call it: val and validation are eval."""
    name = name.strip().casefold()
    return name if name in SPLITS else FOREIGN_SPLITS.get(name)


def is_ignored(path: Path) -> bool:
    """Whether to ignore a file or folder: hidden, of the system, notes, or a sidecar of an image."""
    name = path.name.lower()
    return name.startswith(".") or name in _IGNORED or path.suffix.lower() in _NO_IMAGES


def companions(keys: Collection[str], mask_suffix: str) -> list[str]:
    """The names that a tool gave to what it wrote beside an image, such as NAME_flows beside NAME.

    Args:
        keys: names in small letters, without extension.
        mask_suffix: ending of masks, which is no such ending.
    """
    endings = {*_COMPANIONS, *(["_cp_masks"] if mask_suffix == "_masks" else [])} - {mask_suffix}
    return [
        key for key in keys if any(key.endswith(end) and key.removesuffix(end) in keys for end in endings)
    ]


def natural_key(text: str) -> tuple[object, ...]:
    """Sort key of the natural order, which puts slice_2 before slice_10."""
    parts = re.split("([0-9]+)", text)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), text


SERVING = "serving"  # split of the images of `serving_data`, which has only scalars for statistics


GROUP = "group"
