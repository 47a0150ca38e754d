"""Spans of data that arrive over time: folders with TFX's patterns, `span-{SPAN}` or `{YYYY}-{MM}-{DD}`."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

_FIELDS = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(?::(\d+))?\}")
_WIDTHS = {"YYYY": 4, "MM": 2, "DD": 2}


def is_pattern(folder: Path) -> bool:
    """Whether a path is a pattern for the folders of spans, not a single folder."""
    return bool(_FIELDS.search(str(folder)))


class TwoFolders(Exception):
    """Two folders of one span and version; `path` is the second."""

    def __init__(self, path: Path, first: Path):
        """Args: path: the second folder; first: the first folder."""
        super().__init__(f"the same span as {first.name}")
        self.path = path


def find_spans(pattern: Path, window: int = 0) -> dict[int, Path]:
    """The folder of each span, from the oldest to the newest.

    `{SPAN}` is a number, `{SPAN:4}` a number of four digits; `{YYYY}{MM}{DD}` in any order is a date, whose
    span is the number of days since 1970-01-01, as for TFX. Of several `{VERSION}` of a span the highest is
    used.

    Args:
        pattern: path with such fields.
        window: number of the newest spans to return; 0: all.

    Raises:
        TwoFolders: two folders have the same span and version, such as span-2 and span-02.
    """
    found: dict[int, tuple[int, Path]] = {}
    for path, fields in _matches(pattern):
        if "SPAN" in fields:
            span = int(fields["SPAN"])
        else:
            try:
                date = datetime.date(*(int(fields[key]) for key in ("YYYY", "MM", "DD")))
            except (KeyError, ValueError):
                continue  # not a date
            span = (date - datetime.date(1970, 1, 1)).days
        version = int(fields.get("VERSION", 0))
        if span in found and found[span][0] == version:
            raise TwoFolders(path, found[span][1])
        if span not in found or version > found[span][0]:
            found[span] = (version, path)
    spans = sorted(found)
    return {span: found[span][1] for span in (spans[-window:] if window else spans)}


def newest_span(pattern: Path) -> int:
    """The number of the newest span; 0 if the path is not a pattern, or no folder matches it."""
    return max(find_spans(pattern), default=0) if is_pattern(pattern) else 0


def _matches(pattern: Path) -> list[tuple[Path, dict[str, str]]]:
    """All folders that match a pattern, each with the values of the pattern's fields."""
    candidates: list[tuple[Path, dict[str, str]]] = [(Path(pattern.anchor), {})]
    for part in pattern.parts[1 if pattern.anchor else 0 :]:
        if not _FIELDS.search(part):
            candidates = [(path / part, fields) for path, fields in candidates]
            continue
        expression = re.compile(_expression(part))
        candidates = [
            (child, {**fields, **match.groupdict()})
            for path, fields in candidates
            if path.is_dir()
            for child in sorted(path.iterdir())
            if (match := expression.fullmatch(child.name))
        ]
    return [(path, fields) for path, fields in candidates if path.is_dir()]


def _expression(part: str) -> str:
    """Converts a part of a pattern to a regular expression with a group for each field."""
    expression, end = "", 0
    for match in _FIELDS.finditer(part):
        name, width = match[1], int(match[2] or _WIDTHS.get(match[1], 0))
        digits = f"{{{width}}}" if width else "+"
        expression += re.escape(part[end : match.start()]) + f"(?P<{name}>[0-9]{digits})"
        end = match.end()
    return expression + re.escape(part[end:])
