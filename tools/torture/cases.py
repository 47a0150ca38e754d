"""A case, its outcome, and the table of all cases."""

from __future__ import annotations

import dataclasses
import random
import zlib
from collections.abc import Callable, Iterable

from tools.torture.place import Place


class NotHeld(AssertionError):
    """A promise was not kept; the message says what was found instead."""


class Skipped(Exception):
    """A case cannot be tried on this machine; the message says why."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One trial; trials of the same chapter and name are one row of the table.

    Attributes:
        chapter: name of the chapter.
        name: what is tried.
        done: what was done, for the table.
        attempt: does it and returns what was found; raises `NotHeld`, `TooLate` or `Skipped`.
    """

    chapter: str
    name: str
    done: str
    attempt: Callable[[Place, random.Random], str]


@dataclasses.dataclass
class Row:
    """What was found in all trials of one row of the table.

    Attributes:
        done: what was done.
        found: what was found, each once.
        held: number of trials in which the promise was kept.
        tried: number of trials.
    """

    done: str
    found: list[str] = dataclasses.field(default_factory=list)
    held: int = 0
    tried: int = 0

    def add(self, found: str, held: bool) -> None:
        """Adds a trial."""
        self.tried += 1
        self.held += held
        if found not in self.found:
            self.found.append(found)


def generator(seed: int, *names: object) -> random.Random:
    """Returns a generator that is the same for the same seed and names, whatever was drawn before."""
    return random.Random(zlib.crc32(repr((seed, names)).encode()))


def instants(draw: random.Random, seconds: float, count: int) -> list[float]:
    """Draws instants within a duration, one in each of `count` equal parts, in their order."""
    return [(part + draw.random()) * seconds / count for part in range(count)]


def table(rows: Iterable[tuple[str, str, Row]]) -> str:
    """Formats the rows as a table in Markdown.

    Args:
        rows: chapter, name of the case, and what was found.
    """
    lines = ["| case | what was done | what was found | held |", "|---|---|---|---|"]
    for chapter, name, row in rows:
        times = f"{row.held} of {row.tried}" if row.tried else "skipped"
        cells = (f"{chapter}: {name}", row.done, "; ".join(row.found), times)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
