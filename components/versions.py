"""The folder of pushed models: a numbered folder a version, as TensorFlow Serving polls it."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

# Where an exported model says how it was trained: part of the SavedModel, so that it travels with it.
TRAINING_RECORD = "assets.extra/training.json"


def training_record(model: Path) -> dict[str, Any]:
    """What a SavedModel says of its training, `components.trainer` what that is; or nothing."""
    record = model / TRAINING_RECORD
    return json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}


def newest_version(folder: Path) -> int | None:
    """The highest version in a folder of versions; None if it has none. Other names are ignored."""
    if not folder.is_dir():
        return None
    versions = [
        int(p.name) for p in folder.iterdir() if p.name.isdigit() and (p / "saved_model.pb").is_file()
    ]
    return max(versions, default=None)


def push(model: Path, folder: Path) -> tuple[Path, bool]:
    """Copies a SavedModel to `folder/VERSION`; a reader sees the whole version or none of it.

    The version is the time in seconds, or one more than the highest number there is, if the clock is behind.

    Args:
        model: folder of a SavedModel.
        folder: of the versions; created where missing.

    Returns:
        Folder of the version that holds the model, and whether it was pushed now (False: it was the newest
        version already).
    """
    newest = newest_version(folder)
    if newest is not None and _same_tree(model, folder / str(newest)):
        return folder / str(newest), False
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
    version = max([int(time.time()), *(v + 1 for v in taken)])
    # A hidden sibling: on the same file system, so that the rename is atomic, and no number, so that no
    # server takes it for a version. What a killed run left behind goes first.
    for leftover in folder.glob(".pushing-*"):
        shutil.rmtree(leftover)
    hidden = folder / f".pushing-{version}"
    shutil.copytree(model, hidden)
    for path in [*hidden.rglob("*"), hidden]:
        _fsync(path)
    hidden.rename(folder / str(version))
    _fsync(folder)
    return folder / str(version), True


def _same_tree(a: Path, b: Path) -> bool:
    files = [sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()) for root in (a, b)]
    return files[0] == files[1] and all(filecmp.cmp(a / name, b / name, shallow=False) for name in files[0])


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
