"""Checkpoints of a training: one file each, whole or not there, the one before kept.

Keras' BackupAndRestore knows neither the best weights nor the state of early stopping, and stumbles over a
file that was torn; here everything that a training goes on from is in one file, whose checksums are tested.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.files import atomic_write
from unet.fingerprint import fingerprint
from unet.training.tiles import Tiles

_KEPT = 2
_READ_ERRORS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)

Arrays = dict[str, list[NDArray]]


def identity(*settings: object, data: Sequence[Tiles]) -> str:
    """What a training must have in common with a checkpoint to go on from it: settings, data and code."""
    digest = hashlib.sha256(repr(settings).encode())
    for tiles in data:
        for values in (*tiles.features.values(), tiles.mean, tiles.stddev):
            digest.update(b"".join(values) if values.dtype == object else values.tobytes())
    digest.update(fingerprint({"unet.training.loop"}).encode())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one training, in a folder of its own.

    The folder's name has to tell trainings apart: what is in it is gone on from without a question.
    """

    def __init__(self, folder: Path):
        """Args: folder: created when the first checkpoint is saved."""
        self.folder = folder

    def save(self, step: int, arrays: Arrays, state: dict[str, Any]) -> None:
        """Writes a checkpoint; a crash at any instant leaves it whole or not at all.

        Args:
            step: number of steps done.
            arrays: lists of arrays by name.
            state: anything that JSON holds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        flat = {f"{name}/{i}": value for name, values in arrays.items() for i, value in enumerate(values)}
        for torn in self.folder.glob(".*.part"):  # of a process that was killed
            torn.unlink()
        with atomic_write(self.folder / f"step-{step:09d}.npz", "wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **flat)
        for old in self._files()[_KEPT:]:
            old.unlink()

    def load(self) -> tuple[Arrays, dict[str, Any]] | None:
        """The newest checkpoint that can be read, or None."""
        for path in self._files():
            try:
                with path.open("rb") as file, np.load(file) as content:
                    arrays: Arrays = {}
                    for key in content.files:  # in the order in which they were written
                        if key != "state":
                            arrays.setdefault(key.rpartition("/")[0], []).append(content[key])
                    return arrays, json.loads(str(content["state"]))
            except _READ_ERRORS as error:
                logging.warning("%s cannot be read (%s); trying the checkpoint before", path, error)
        return None

    def clear_others(self) -> None:
        """Removes the checkpoints of other trainings, which nobody will go on with."""
        for folder in self.folder.parent.glob("*"):
            if folder != self.folder and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("step-*.npz"), reverse=True)
