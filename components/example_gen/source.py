"""Finds the samples of a data folder and looks into each file; every problem is listed, not just the first.

A folder holds either `manifest.csv`, or `images/` and `masks/` whose files pair by their exact stem.
"""

from __future__ import annotations

import concurrent.futures
import csv
import functools
import hashlib
import io
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from components import images

SPLITS = ("train", "eval", "test")
BLOCK_PREFIX = "block-"
MANIFEST = "manifest.csv"
_IGNORED = {"thumbs.db", "desktop.ini"}
_FOREIGN_SPLITS = {"val": "eval", "valid": "eval", "validation": "eval", "dev": "eval", "training": "train"}
Content = TypeVar("Content")


@dataclass(frozen=True)
class Sample:
    """An image and its mask; `split` and `fold` are what the manifest says, else None."""

    name: str
    image: Path
    mask: Path
    group: str
    split: str | None = None
    fold: int | None = None


@dataclass(frozen=True)
class Problem:
    """Something that the user has to change: where, what was found there, and what to do."""

    path: str
    found: str
    advice: str


@dataclass(frozen=True)
class Facts:
    """What `inspect` learns about a sample; units as in `components.images.Image`.

    `class_pixels` counts the pixels of each class; the hashes are those of the files as they are.
    """

    name: str
    height: int
    width: int
    channels: int
    bit_depth: int
    mean: float
    stddev: float
    class_pixels: dict[str, int]
    image_sha256: str
    mask_sha256: str


def is_ignored(path: Path) -> bool:
    """Whether a file is one that systems leave in folders of images, hidden ones among them."""
    return path.name.startswith(".") or path.name.lower() in _IGNORED


def natural_key(text: str) -> tuple[object, ...]:
    """Sort key that puts slice_2 before slice_10."""
    parts = re.split("([0-9]+)", text)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), text


def find_samples(folder: Path, *, block: int = 0) -> tuple[list[Sample], list[Problem]]:
    """Lists the samples of a folder in natural order, without opening an image.

    Args:
        folder: holds manifest.csv, or images/ and masks/.
        block: so many consecutive samples form one group; 0 makes each its own. A manifest's groups win.

    Returns:
        The samples that are in order, and all problems.
    """
    if not folder.is_dir():
        found = "not a folder" if folder.exists() else "no such folder"
        return [], [Problem(str(folder), found, "give the folder that holds images/ and masks/ with --data")]
    manifest = folder / MANIFEST
    samples, problems = _read_manifest(manifest) if manifest.is_file() else _pair(folder)
    samples.sort(key=lambda sample: natural_key(sample.name))
    if not samples and not problems:
        problems = [Problem(str(folder), "no images", "put images into images/ and their masks into masks/")]
    own = (f"{BLOCK_PREFIX}{i // block:03d}" if block else s.name for i, s in enumerate(samples))
    return [replace(s, group=s.group or group) for s, group in zip(samples, own, strict=True)], problems


def _pair(folder: Path) -> tuple[list[Sample], list[Problem]]:
    problems: list[Problem] = []
    found = {part: _files(folder / part, problems) for part in ("images", "masks")}
    if problems and not any(found.values()):
        return [], problems
    samples = []
    for key in sorted(found["images"].keys() | found["masks"].keys(), key=natural_key):
        image, mask = found["images"].get(key), found["masks"].get(key)
        if image and mask:
            samples.append(Sample(image.stem, image, mask, group=""))
        elif image:
            advice = "add a mask of the same name to masks/, or remove the image"
            problems.append(Problem(str(image), "image without mask", advice))
        else:
            advice = "add an image of the same name to images/, or remove the mask"
            problems.append(Problem(str(mask), "mask without image", advice))
    return samples, problems


def _files(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    """Files of a folder by stem, in which case and the two Unicode spellings of an accent do not matter."""
    if not folder.is_dir():
        advice = f"create it and put the {folder.name} there, or list the files in {MANIFEST}"
        problems.append(Problem(str(folder), "no such folder", advice))
        return {}
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda p: natural_key(p.name)):
        if is_ignored(path):
            continue
        if path.is_dir():
            advice = f"move its files into {folder.name}/, or list them in {MANIFEST}"
            problems.append(Problem(str(path), "a folder inside a folder, which is not read", advice))
            continue
        if (printable := str(path).encode(errors="backslashreplace").decode()) != str(path):
            problems.append(Problem(printable, "a file name that is not valid UTF-8", "rename the file"))
            continue
        key = unicodedata.normalize("NFC", path.stem).casefold()
        if key in files:
            advice = "keep one of them: names must differ in more than extension or case"
            problems.append(Problem(str(path), f"second file of that name beside {files[key].name}", advice))
            continue
        files[key] = path
    return files


def _read_manifest(manifest: Path) -> tuple[list[Sample], list[Problem]]:
    try:
        text = manifest.read_bytes().decode("utf-8-sig")  # Excel writes the byte order mark
        first = text.partition("\n")[0]
        delimiter = ";" if ";" in first and "," not in first else ","
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        missing = [column for column in ("image", "mask") if column not in (rows.fieldnames or ())]
        if missing:
            advice = "its first line must name the columns: image,mask and optionally group,split,fold"
            return [], [Problem(str(manifest), f"no column {' and '.join(missing)}", advice)]
        lines = [(rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [], [Problem(str(manifest), f"unreadable ({error})", "save it as CSV in UTF-8")]
    samples: list[Sample] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, object], int] = {}  # what must occur once -> its line
    for line, row in lines:
        sample, found = _parse_row(manifest, line, row)
        for key in (("name", sample.name), ("mask", sample.mask), ("image", sample.image)) if sample else ():
            if key in seen:
                problem = f"the same {key[0]} as in line {seen[key]}: {key[1]}"
                found.append(Problem(f"{manifest}:{line}", problem, "list each image and mask once"))
                break
            seen[key] = line
        problems += found
        if sample and not found:
            samples.append(sample)
    return samples, problems + _torn_groups(manifest, samples)


def _parse_row(
    manifest: Path, line: int, row: Mapping[str | None, str | list[str] | None]
) -> tuple[Sample | None, list[Problem]]:
    """One row of a manifest; no sample if its files cannot be told."""
    problems: list[Problem] = []

    def report(found: str, advice: str) -> None:
        problems.append(Problem(f"{manifest}:{line}", found, advice))

    if None in row:
        report("more columns than the first line names", "put names that hold a comma in quotes")
        return None, problems
    cells = {str(column).strip(): str(value or "").strip() for column, value in row.items()}
    paths: dict[str, PurePosixPath] = {}
    for column in ("image", "mask"):
        path = PurePosixPath(cells[column].replace("\\", "/"))
        if not cells[column]:
            report(f"no {column}", "fill in its path, relative to the manifest")
        elif path.is_absolute() or ".." in path.parts:
            report(
                f"{column} {path} lies outside the folder", "give a path relative to the manifest, below it"
            )
        elif not (manifest.parent / path).is_file():
            report(f"{column} {path} does not exist", "correct the path, or remove the line")
        else:
            paths[column] = path
    split = cells.get("split") or None
    if split is not None and split not in SPLITS:
        report(
            f"split {split!r}",
            f"write {_FOREIGN_SPLITS.get(split.lower(), 'train, eval or test')}, or nothing",
        )
    fold = cells.get("fold", "")
    if fold and not (fold.isascii() and fold.isdigit()):
        report(f"fold {fold!r}", "write a whole number from 0, or nothing")
    if len(paths) < 2 or problems:
        return None, problems
    # The name must not depend on other rows, and it becomes part of file names: images/a/b.png is a-b.
    parts = paths["image"].with_suffix("").parts
    name = "-".join(parts[1:] if parts[0] == "images" and len(parts) > 1 else parts)
    image, mask = (manifest.parent / paths[column] for column in ("image", "mask"))
    return Sample(name, image, mask, cells.get("group", ""), split, int(fold) if fold else None), problems


def _torn_groups(manifest: Path, samples: Sequence[Sample]) -> list[Problem]:
    """A group in two splits, or in two folds, would let a model be tested on what it was trained on."""
    problems = []
    for column in ("split", "fold"):
        values: dict[str, set[str]] = {}
        for sample in samples:
            value = getattr(sample, column)
            if sample.group and value is not None:
                values.setdefault(sample.group, set()).add(str(value))
        for group, several in values.items():
            if len(several) > 1:
                found = f"group {group!r} is in {column}s {', '.join(sorted(several))}"
                problems.append(Problem(str(manifest), found, f"give all its rows the same {column}"))
    return problems


def inspect(sample: Sample, classes: Mapping[str, int], *, max_pixels: int) -> Facts | list[Problem]:
    """Reads image and mask completely.

    Args:
        sample: what to read.
        classes: value in the masks of each class.
        max_pixels: larger images are refused.

    Returns:
        What was learnt, or all that is wrong.
    """
    problems: list[Problem] = []
    read_image = functools.partial(images.read_image, max_pixels=max_pixels)
    read_mask = functools.partial(images.read_mask, classes=classes, max_pixels=max_pixels)
    image = _attempt(problems, sample.image, read_image)
    mask = _attempt(problems, sample.mask, read_mask)
    if image is None or mask is None:
        return problems
    (image_hash, facts), (mask_hash, indices) = image, mask
    height, width = indices.shape
    if (height, width) != (facts.height, facts.width):
        transposed = (width, height) == (facts.height, facts.width)
        found = f"mask of {width} x {height} for an image of {facts.width} x {facts.height} pixels"
        advice = "turn the mask by 90 degrees" if transposed else "export the mask at the size of the image"
        return [Problem(str(sample.mask), f"transposed: {found}" if transposed else found, advice)]
    counts = np.bincount(indices.reshape(-1), minlength=len(classes)).tolist()
    return Facts(
        name=sample.name,
        height=height,
        width=width,
        channels=facts.channels,
        bit_depth=facts.bit_depth,
        mean=facts.mean,
        stddev=facts.stddev,
        class_pixels=dict(zip(classes, counts, strict=True)),
        image_sha256=image_hash,
        mask_sha256=mask_hash,
    )


def _attempt(
    problems: list[Problem], path: Path, read: Callable[[bytes], Content]
) -> tuple[str, Content] | None:
    """Hash and content of a file; None, and an entry in `problems`, if it cannot be read."""
    try:
        data = images.read_file(path)
        return hashlib.sha256(data).hexdigest(), read(data)
    except images.ImageError as error:
        problems.append(Problem(str(path), error.found, error.advice))
    except Exception as error:  # one file must not hide what is wrong with the others
        found = f"cannot be read ({type(error).__name__}: {error})"
        problems.append(Problem(str(path), found, "convert it to PNG; if that fails too, report a bug"))
    return None


def inspect_all(
    samples: Sequence[Sample], classes: Mapping[str, int], *, max_pixels: int
) -> list[Facts | list[Problem]]:
    """`inspect` for each sample, in order, on all cores."""
    # Threads: decoding, hashing and NumPy release the interpreter's lock, and processes take longer to start
    # than small data sets to read.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda sample: inspect(sample, classes, max_pixels=max_pixels), samples))


def fingerprint(rows: Iterable[tuple[str, str, str, str, str]]) -> str:
    """Hash of what a data set holds, whatever the times and places of its files.

    Args:
        rows: name, group, split, and the SHA-256 of image and mask of each sample, in any order.
    """
    digest = hashlib.sha256()
    for row in sorted(rows):
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()
