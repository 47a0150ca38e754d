"""Checkpoints of a training: one file each, written atomically; the previous checkpoint is kept.

Keras' BackupAndRestore saves neither the best weights nor the state of early stopping, and fails on an
incomplete file; here the complete state of a training is in one file, whose checksums are tested.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.files import atomic_write, files_in, raise_passing
from unet.training.tiles import Tiles

_KEPT = 2
_TRAINING = "training"  # key in the state: name of the folder, thus the identity of the training
_READ_ERRORS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)

Arrays = dict[str, list[NDArray]]


def identity(*settings: object, data: Sequence[Tiles], code: str) -> str:
    """Hash of settings, data and code: a training resumes only from checkpoints with an equal hash.

    Args:
        settings: everything else that the weights depend on, such as the resolved precision.
        data: tiles of the splits that the training reads.
        code: fingerprint of the code that trains, see `unet.fingerprint`.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for tiles in data:
        for values in (*tiles.features.values(), tiles.mean, tiles.stddev):
            digest.update(b"".join(values) if values.dtype == object else values.tobytes())
    digest.update(code.encode())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one training, in a folder of its own.

    The folder's name must be unique to the training. Each checkpoint holds it, too: one of another training
    that was put into the folder is not resumed.
    """

    def __init__(self, folder: Path):
        """Args: folder: folder of the checkpoints; it is created when the first checkpoint is saved."""
        self.folder = folder

    def save(self, step: int, arrays: Arrays, state: dict[str, Any]) -> None:
        """Writes a checkpoint; a crash at any instant leaves a complete file or none.

        Args:
            step: number of steps done.
            arrays: lists of arrays by name.
            state: further state, in types that JSON can hold.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        flat = {f"{name}/{i}": value for name, values in arrays.items() for i, value in enumerate(values)}
        for torn in self.folder.glob(".*.part"):  # incomplete files of a process that was killed
            torn.unlink()
        state = {**state, _TRAINING: self.folder.name}
        written = self.folder / f"step-{step:09d}.npz"
        with atomic_write(written, "wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **flat)
        # Of more steps are those of a longer training, from which this one could not go on.
        kept = [path for path in self._files() if path.name <= written.name][:_KEPT]
        for other in set(self._files()) - set(kept):
            other.unlink()

    def load(
        self, usable: Callable[[dict[str, Any]], bool] = lambda state: True
    ) -> tuple[Arrays, dict[str, Any]] | None:
        """Loads the newest readable checkpoint, arrays and state, of a usable state; None without one."""
        for path in self._files():
            try:
                with path.open("rb") as file, np.load(file) as content:
                    state = json.loads(str(content["state"]))
                    if state.pop(_TRAINING) != self.folder.name:
                        logging.warning("%s is of another training; trying the checkpoint before", path)
                        continue
                    if not usable(state):
                        continue
                    arrays: Arrays = {}
                    for key in content.files:  # in the order in which they were written
                        if key != "state":
                            arrays.setdefault(key.rpartition("/")[0], []).append(content[key])
                    os.utime(self.folder)  # the time of its last use: this training may need no more of them
                    return arrays, state
            except _READ_ERRORS as error:
                raise_passing(error)
                logging.warning("%s cannot be read (%s); trying the checkpoint before", path, error)
        return None

    def _files(self) -> list[Path]:
        """The checkpoint files, newest first."""
        return [path for path in reversed(files_in(self.folder)) if path.match("step-*.npz")]
