"""Records the files that `predict` finished: a line for each, in a hidden file beside them.

A line holds the models and the code that made the file, the path and the content of the image, and the
content of the file: each may be replaced by another of the same size and time. A file that differs from its
line counts as missing. Lines are only appended; the last line of a name is valid; an incomplete line of a
killed process is ignored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.prediction.tasks import RECORD
from unet.files import hash_of, named
from unet.fingerprint import fingerprint
from unet.registry.records import digest

_CODE = ("pipeline.prediction.outputs", "unet.inference.model")


class PredictionRecord:
    """The record of one folder for one set of models."""

    def __init__(self, out: Path, models: Sequence[Path]):
        """Args: out: folder of the outputs; models: folders of SavedModels."""
        self._out = out
        text = json.dumps([fingerprint(_CODE), *map(digest, models)])
        self._by = hashlib.sha256(text.encode()).hexdigest()
        self._lines: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in (out / RECORD).read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(RecursionError, ValueError, KeyError, TypeError, AttributeError):
                    entry = json.loads(line)
                    self._lines[entry.pop("file")] = entry

    def is_finished(self, image: Path, names: Sequence[str]) -> bool:
        """Whether these files still exist as these models made them from the current image."""
        if not all(self._lines.get(name, {}).get("sha256") for name in names):
            return False  # without reading the image
        try:
            content = hash_of(image)
            same = (self._lines[name] == self._entry(image, content, name) for name in names)
            return content != "" and all(same)
        except OSError:  # it may pass: whoever predicts the image tells it
            return False

    def finish(self, image: Path, content: str, names: Sequence[str]) -> None:
        """Records new files of an image.

        Args:
            image: the image.
            content: its `unet.files.hash_of` from before the image was read, as it may change meanwhile.
            names: names of the files.
        """
        lines = []
        for name in names:
            self._lines[name] = self._entry(image, content, name)
            lines.append(json.dumps({"file": name, **self._lines[name]}) + "\n")
        # Starts with a line break, in case the last line is incomplete; one call, so that processes do not
        # mix.
        data = ("\n" + "".join(lines)).encode()
        descriptor = os.open(self._out / RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            with named(self._out / RECORD):
                os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def _entry(self, image: Path, content: str, name: str) -> dict[str, Any]:
        return {
            "by": self._by,
            "image": os.path.realpath(image),
            "content": content,
            "sha256": hash_of(self._out / name),
        }
