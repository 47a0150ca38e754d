"""What an earlier `predict` finished: a line for each file it wrote, in a hidden file beside them.

A line says by which models a file was made, of which image, and how large it is. What is not exactly so any
more counts as missing. The file only grows; the last line of a name counts; a line that a killed process left
half written says nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unet.registry.records import digest

NAME = ".predict.jsonl"
_FORMAT = 1  # another one, whenever the same models would give other files


def look(image: Path) -> list[int]:
    """What tells whether a file changed: its bytes, and when it was written; nothing if it is gone."""
    with contextlib.suppress(OSError):
        seen = image.stat()
        return [seen.st_size, seen.st_mtime_ns]
    return []


class PredictionRecord:
    """The record of one folder, for one choice of models."""

    def __init__(self, out: Path, models: Sequence[Path]):
        """Args: out: folder of the outputs; models: folders of SavedModels."""
        self._out = out
        text = json.dumps([_FORMAT, *map(digest, models)])
        self._by = hashlib.sha256(text.encode()).hexdigest()
        self._lines: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in (out / NAME).read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    self._lines[entry.pop("file")] = entry

    def is_finished(self, image: Path, names: Sequence[str]) -> bool:
        """Whether these files were made of this image, as it is now, by these models, and are still there."""
        try:
            seen = look(image)
            return all(self._lines[name] == self._entry(image, seen, name) for name in names)
        except (OSError, KeyError):
            return False

    def finish(self, image: Path, seen: list[int], names: Sequence[str]) -> None:
        """Remembers files that were just made of an image; `seen` is how it looked before it was read."""
        lines = []
        for name in names:
            self._lines[name] = self._entry(image, seen, name)
            lines.append(json.dumps({"file": name, **self._lines[name]}) + "\n")
        # A line of its own even after a torn one; in one call, so that processes side by side do not mix.
        data = ("\n" + "".join(lines)).encode()
        descriptor = os.open(self._out / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def _entry(self, image: Path, seen: list[int], name: str) -> dict[str, Any]:
        return {
            "by": self._by,
            "image": str(image.resolve()),
            "seen": seen,
            "size": (self._out / name).stat().st_size,
        }
