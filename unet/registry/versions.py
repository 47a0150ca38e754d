"""The folder of pushed models, with a numbered folder for each version, as TensorFlow Serving polls it.

`latest.json` beside them names the deployed version and the withdrawn models, for clients that do not poll;
it is replaced atomically after a new version is complete.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from unet.files import atomic_write, fsync
from unet.registry.records import digest

MODEL_NAME = "unet"  # name of the model in servers, and of its folder
LATEST = "latest.json"


class VersionError(ValueError):
    """There is no such version; the message lists the existing versions."""


class Withdrawn(Exception):
    """The model was withdrawn by `roll_back`."""


def versions(folder: Path) -> list[int]:
    """The numbers of the complete versions in a folder of versions, ascending."""
    if not folder.is_dir():
        return []
    return sorted(
        int(p.name) for p in folder.iterdir() if p.name.isdigit() and (p / "saved_model.pb").is_file()
    )


def newest_version(folder: Path) -> int | None:
    """The highest version in a folder of versions; None without any version."""
    return max(versions(folder), default=None)


def push(
    model: Path,
    folder: Path,
    describe: Callable[[Path, int], None] = lambda copy, version: None,
    even_withdrawn: bool = False,
) -> tuple[Path, bool]:
    """Copies a SavedModel to `folder/VERSION`; a reader sees the whole version or none of it.

    The version is the time in seconds, or one more than the highest existing number if the clock is behind.

    Args:
        model: folder of a SavedModel.
        folder: folder of the versions; it is created if missing.
        describe: called with the hidden copy and its version before it gets its name, to write its card.
        even_withdrawn: whether to push a withdrawn model, too, which then is no longer withdrawn.

    Returns:
        Folder of the version that holds the model, and whether it was pushed now (False: it was the newest
        version already).

    Raises:
        Withdrawn: the model was withdrawn by `roll_back`; nothing was pushed.
    """
    _tidy(folder)
    known = digest(model)
    newest = newest_version(folder)
    if newest is not None and digest(folder / str(newest)) == known:
        _write_latest(folder, newest, known, _withdrawn(folder))
        return folder / str(newest), False
    withdrawn = _withdrawn(folder)
    if known in withdrawn and not even_withdrawn:
        raise Withdrawn
    return _add(model, folder, known, [w for w in withdrawn if w != known], describe), True


def roll_back(
    folder: Path,
    version: int | None = None,
    describe: Callable[[Path, int], None] = lambda copy, version: None,
) -> Path:
    """Copies an older version to a new version, and withdraws the models after the older version.

    A withdrawn model is not pushed again, as a run on unchanged data would do otherwise.

    Args:
        folder: folder of the versions.
        version: version to go back to; None: the newest version whose model is neither the newest version's
            nor withdrawn.
        describe: called with the hidden copy and its version before it gets its name, to write its card.

    Returns:
        Folder of the new version.

    Raises:
        VersionError: there is no such version, or it is the newest already.
    """
    _tidy(folder)
    present = versions(folder)
    listed = ", ".join(map(str, present)) or "none"
    target = _before_the_newest(folder, present) if version is None else version
    if target is None:
        raise VersionError(f"{folder}: no good version before the newest; there are: {listed}")
    if target not in present:
        raise VersionError(f"{folder}: no version {target}; there are: {listed}")
    if target == present[-1]:
        raise VersionError(f"{folder}: {target} is the newest version already")
    wanted = digest(folder / str(target))
    after = {digest(folder / str(v)) for v in present if v > target}
    withdrawn = sorted((set(_withdrawn(folder)) | after) - {wanted})
    return _add(folder / str(target), folder, wanted, withdrawn, describe)


def _before_the_newest(folder: Path, present: list[int]) -> int | None:
    """The newest version whose model is neither the newest's nor withdrawn."""
    if not present:
        return None
    bad = {*_withdrawn(folder), digest(folder / str(present[-1]))}
    return next((v for v in reversed(present) if digest(folder / str(v)) not in bad), None)


def _add(
    model: Path,
    folder: Path,
    known: str,
    withdrawn: list[str],
    describe: Callable[[Path, int], None] = lambda copy, version: None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
    version = max([int(time.time()), *(v + 1 for v in taken)])
    # A hidden sibling is on the same file system, so that the rename is atomic; its name is no number, so
    # that servers do not take it for a version.
    hidden = folder / f".pushing-{version}"
    shutil.copytree(model, hidden)
    describe(hidden, version)
    for path in [*hidden.rglob("*"), hidden]:
        fsync(path)
    hidden.rename(folder / str(version))
    fsync(folder)
    _write_latest(folder, version, known, withdrawn)
    return folder / str(version)


def _tidy(folder: Path) -> None:
    """Removes the remains of a push that was killed; the caller must hold the lock of the root."""
    for leftover in folder.glob(".pushing-*"):
        shutil.rmtree(leftover)


def _withdrawn(folder: Path) -> list[str]:
    # An unreadable file counts as an empty list: the folders of the versions are what matters.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return list(json.loads((folder / LATEST).read_text(encoding="utf-8"))["withdrawn"])
    return []


def _write_latest(folder: Path, version: int, known: str, withdrawn: list[str]) -> None:
    content = {"version": version, "path": str(version), "sha256": known, "withdrawn": withdrawn}
    text = json.dumps(content, indent=2) + "\n"
    path = folder / LATEST
    with contextlib.suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            return
    with atomic_write(path) as file:
        file.write(text)
    fsync(folder)
