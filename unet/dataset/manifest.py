"""Reads samples from a manifest: manifest.csv, or manifest.jsonl with one JSON object per line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from unet.dataset.sample import Problem, Sample, split_named, unreadable

NAMES = ("manifest.csv", "manifest.jsonl")
COLUMNS = "image,mask and optionally group,split,fold,page"
_MOST_COLUMNS = 1000  # of CSV; each row takes memory for all of them, even a row of two cells
_NUMBER = re.compile("[0-9]{1,9}")
_OURS = {"image", "mask", "group", "split", "fold", "page"}
Row = Mapping[str | None, str | list[str] | None]


def read_manifest(manifest: Path) -> tuple[list[Sample], list[Problem]]:
    """Reads a manifest, whose paths are relative to its folder.

    Args:
        manifest: a CSV file whose first line names the columns image, mask and optionally group, split, fold
            and page, or a file of JSON lines with the same keys.

    Returns:
        The samples without problems, and all problems. A sample without a group has an empty one; all other
        columns become its `columns`.
    """
    try:
        text = manifest.read_bytes().decode("utf-8-sig")  # Excel writes the byte order mark
        lines, problems = (
            _json_rows(manifest, text) if manifest.suffix == ".jsonl" else _csv_rows(manifest, text)
        )
    except OSError as error:
        return [], [unreadable(manifest, error)]
    except (UnicodeDecodeError, csv.Error) as error:
        return [], [Problem(str(manifest), f"unreadable ({error})", "save it as CSV or JSON lines in UTF-8")]
    samples: list[Sample] = []
    seen: dict[tuple[str, object, int | None], int] = {}  # name, mask or image with page -> its line
    for line, row in lines:
        sample, found = _parse_row(manifest, line, row)
        keys = (("name", sample.name), ("mask", sample.mask), ("image", sample.image)) if sample else ()
        for kind, value in keys:
            key = (kind, value, sample.page if sample else None)
            if key in seen:
                problem = f"the same {kind} as in line {seen[key]}: {value}"
                found.append(Problem(f"{manifest}:{line}", problem, "list each image and mask once"))
                break
            seen[key] = line
        problems += found
        if sample and not found:
            samples.append(sample)
    return samples, problems


def _csv_rows(manifest: Path, text: str) -> tuple[list[tuple[int, Row]], list[Problem]]:
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows.fieldnames = [_column(name) for name in rows.fieldnames or ()]
    missing = [column for column in ("image", "mask") if column not in rows.fieldnames]
    if missing:
        advice = f"its first line must name the columns: {COLUMNS}"
        return [], [Problem(str(manifest), f"no column {' and '.join(missing)}", advice)]
    if (columns := len(rows.fieldnames)) > _MOST_COLUMNS:
        found = f"{columns} columns, more than {_MOST_COLUMNS}"
        advice = "keep image, mask, and those that say something about an image"
        return [], [Problem(str(manifest), found, advice, of_the_set=True)]
    if twice := sorted({name for name in rows.fieldnames if name and rows.fieldnames.count(name) > 1}):
        found = f"the column {', '.join(twice)} more than once"
        return [], [Problem(str(manifest), found, "name each column once", of_the_set=True)]
    return [(rows.line_num, row) for row in rows], []


def _column(name: str) -> str:
    """The name of a column, ours in small letters: a `Split` that is not read would split the images anew."""
    name = name.strip()
    return name.casefold() if name.casefold() in _OURS else name


def _json_rows(manifest: Path, text: str) -> tuple[list[tuple[int, Row]], list[Problem]]:
    rows: list[tuple[int, Row]] = []
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # fails for half a character
        except (RecursionError, ValueError):
            row = None
        keys = {key: _column(key) for key in row} if isinstance(row, dict) else {}
        if len({*keys.values()}) < len(keys):
            found = "a key in two ways of writing"
            problems.append(Problem(f"{manifest}:{number}", found, "name each key once"))
        elif {"image", "mask"} <= {*keys.values()}:
            rows.append((number, {keys[key]: None if v is None else str(v) for key, v in row.items()}))
        else:
            advice = f"write a JSON object a line, with the keys {COLUMNS}"
            problems.append(Problem(f"{manifest}:{number}", "no object with image and mask", advice))
    return rows, problems


def _parse_row(manifest: Path, line: int, row: Row) -> tuple[Sample | None, list[Problem]]:
    """Sample and problems of one row of a manifest; no sample if its files are not found."""
    problems: list[Problem] = []

    def report(found: str, advice: str) -> None:
        problems.append(Problem(f"{manifest}:{line}", found, advice))

    if None in row:
        report("more columns than the first line names", "put names that hold a comma in quotes")
        return None, problems
    cells = {str(column): str(value or "").strip() for column, value in row.items()}
    paths: dict[str, PurePosixPath] = {}
    for column in ("image", "mask"):
        path = PurePosixPath(cells[column].replace("\\", "/"))
        if not cells[column]:
            report(f"no {column}", "fill in its path, relative to the manifest")
        elif path.is_absolute() or ".." in path.parts:
            advice = "give a path relative to the manifest, below it"
            report(f"{column} {path} lies outside the folder", advice)
        elif not (manifest.parent / path).is_file():
            report(f"{column} {path} does not exist", "correct the path, or remove the line")
        else:
            paths[column] = path
    split = split_named(cells.get("split", ""))
    if cells.get("split") and split is None:
        report(f"split {cells['split']!r}", "write train, eval (or val) or test, or nothing")
    numbers: dict[str, int | None] = {}
    for column in ("fold", "page"):
        cell = cells.get(column, "")
        is_number = _NUMBER.fullmatch(cell) is not None
        if cell and not is_number:
            report(f"{column} {cell[:40]!r}", "write a whole number from 0, or nothing")
        numbers[column] = int(cell) if is_number else None
    if len(paths) < 2 or problems:
        return None, problems
    # The name must not depend on other rows, and becomes part of file names: images/a/b.png gives a-b.
    parts = paths["image"].with_suffix("").parts
    name = "-".join(parts[1:] if parts[0] == "images" and len(parts) > 1 else parts)
    page, stack = numbers["page"], ""
    if page is not None:
        name, stack = f"{name}-{page:04d}", name
    image, mask = (manifest.parent / paths[column] for column in ("image", "mask"))
    group = cells.get("group", "")
    columns = tuple(sorted((key, value) for key, value in cells.items() if key not in _OURS))
    return Sample(name, image, mask, group, split, numbers["fold"], page, stack, columns), problems
