"""The folder of pushed models, with a numbered folder for each version, as TensorFlow Serving polls it.

`latest.json` beside them names the deployed version and the withdrawn models, for clients that do not poll;
it is replaced atomically after a new version is complete. A rollback is written there before it begins, so
that whoever changes the folder next completes one that was interrupted. Pipelines that share a folder take
turns by its lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from unet.files import atomic_write, fsync, fsync_all, raise_passing, told_of_no_locks
from unet.registry.model_card import hashes, renumber_card
from unet.registry.records import digest

MODEL_NAME = "unet"  # name of the model in servers, and of its folder
LATEST = "latest.json"
_LOCK = ".lock"
_PUSHING, _REMOVED = ".pushing-", ".removed-"  # prefixes of versions on their way in and out
_UNFINISHED = "rolling_back_to"  # key in LATEST while a rollback is in progress


class VersionError(ValueError):
    """There is no such version; the message lists the existing versions."""


class Withdrawn(Exception):
    """The model was withdrawn by `roll_back`."""


def version_number(name: str) -> int | None:
    """The version that the name of a folder stands for; None if it stands for none.

    Servers read ASCII digits only, and no more of them than fit into 64 bits: nothing that is pushed after a
    longer one would be served.
    """
    return int(name) if re.fullmatch(r"0|[1-9][0-9]{0,17}", name) else None


def versions(folder: Path) -> list[int]:
    """The numbers of the complete versions in a folder of versions, ascending."""
    return sorted(v for v in _numbers(folder) if (folder / str(v) / "saved_model.pb").is_file())


def newest_version(folder: Path) -> int | None:
    """The highest version in a folder of versions; None without any version."""
    return max(versions(folder), default=None)


def is_whole(folder: Path) -> bool:
    """Whether the newest version in a folder of versions is, to the byte, what was pushed."""
    newest, record = newest_version(folder), _record(folder) or {}
    if newest is None or record.get("version") != newest:
        return False
    return bool(record.get("sha256") == digest(folder / str(newest)))


def withdrawn_versions(folder: Path) -> dict[int, bool]:
    """Whether the model of each version is withdrawn; empty if no record in the folder says so.

    Nothing is changed, and no version is read unless a model was withdrawn.
    """
    record = _record(folder)
    if record is None:
        return {}
    bad = record["withdrawn"]
    return {v: bool(bad) and digest(folder / str(v)) in bad for v in versions(folder)}


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
    _create(folder)
    with locked(folder):
        _finish(folder)
        known = digest(model)
        withdrawn = _withdrawn(folder)
        if known in withdrawn and not even_withdrawn:
            raise Withdrawn
        withdrawn = [other for other in withdrawn if other != known]
        newest = newest_version(folder)
        if newest is not None and digest(folder / str(newest)) == known:
            _write_latest(folder, newest, known, withdrawn)
            return folder / str(newest), False
        return _add(model, folder, known, withdrawn, describe), True


def roll_back(
    folder: Path, version: int | None = None, remembered: Callable[[], Collection[str]] = tuple
) -> Path:
    """Copies an older version to a new version, and withdraws the models after the older version.

    A withdrawn model is not pushed again, as a run on unchanged data would do otherwise. The withdrawal is on
    the disk before anything else happens. If an earlier rollback was interrupted, the same request completes
    it.

    Args:
        folder: folder of the versions.
        version: version to go back to; None: the newest version whose model is neither the newest version's
            nor withdrawn.
        remembered: asked for the hashes of withdrawn models in another record, by which `latest.json` is
            mended if it is missing or damaged.

    Returns:
        Folder of the version that is in service now.

    Raises:
        VersionError: there is no such version, it is the newest already, or it is damaged.
    """
    if not folder.is_dir():
        raise VersionError(f"{folder}: no version was pushed yet")
    with locked(folder):
        if _record(folder) is None:
            _mend(folder, remembered())
        unfinished = (_record(folder) or {}).get(_UNFINISHED)
        if unfinished is not None and version in (None, unfinished) and (finished := _finish(folder)):
            return finished
        present = versions(folder)
        listed = ", ".join(map(str, present)) or "none"
        target = _before_the_newest(folder, present) if version is None else version
        if target is None:
            raise VersionError(f"{folder}: no good version before the newest; there are: {listed}")
        if target not in present:
            raise VersionError(f"{folder}: no version {target}; there are: {listed}")
        if target == present[-1]:
            raise VersionError(f"{folder}: {target} is the newest version already")
        wanted = hashes(folder / str(target))
        if len(wanted) > 1:
            raise VersionError(
                f"{folder}: {target} is damaged: it is not what was pushed; there are: {listed}"
            )
        after = set().union(*(hashes(folder / str(v)) for v in present if v > target))
        withdrawn = sorted((set(_withdrawn(folder)) | after) - wanted)
        known = digest(folder / str(present[-1]))
        _write_latest(folder, present[-1], known, withdrawn, unfinished=target)
        return _finish(folder) or folder / str(target)


def settle(folder: Path, remembered: Collection[str] = ()) -> frozenset[str]:
    """Completes a rollback that was interrupted, and returns which models are withdrawn.

    Args:
        folder: folder of the versions; it may be missing.
        remembered: hashes of withdrawn models from another record, by which `latest.json` is mended if it is
            missing or damaged.

    Returns:
        The hashes of the withdrawn models, see `unet.registry.records.digest`.
    """
    if not folder.is_dir() and not remembered:
        return frozenset()
    _create(folder)
    with locked(folder):
        if _record(folder) is None:
            _mend(folder, remembered)
        _finish(folder)
        return frozenset(_withdrawn(folder))


def _mend(folder: Path, remembered: Collection[str]) -> None:
    """Writes the record anew where any model was withdrawn; the caller holds the lock of the folder."""
    if remembered:
        newest = newest_version(folder)
        known = "" if newest is None else digest(folder / str(newest))
        _write_latest(folder, newest, known, sorted(remembered))


def remove(folder: Path, numbers: Collection[int]) -> None:
    """Deletes versions; a reader sees each of them whole or not at all.

    Args:
        folder: folder of the versions.
        numbers: the versions to delete; the newest version stays in any case.
    """
    with locked(folder):
        _finish(folder)
        for number in set(numbers) - {newest_version(folder)}:
            (folder / str(number)).rename(folder / f"{_REMOVED}{number}")
        fsync(folder)
        _clear(folder)


def _before_the_newest(folder: Path, present: list[int]) -> int | None:
    """The newest version whose model is neither the newest's nor withdrawn."""
    if not present:
        return None
    return _newest_good(folder, present, {*_withdrawn(folder), *hashes(folder / str(present[-1]))})


def _newest_good(folder: Path, present: list[int], bad: Collection[str]) -> int | None:
    """The newest version that is whole and whose model is not among the bad ones."""
    for version in reversed(present):
        found = hashes(folder / str(version))
        if len(found) == 1 and not found & set(bad):
            return version
    return None


def _finish(folder: Path) -> Path | None:
    """Removes the remains of a killed push, and completes a rollback from its record.

    The caller holds the lock of the folder.

    Returns:
        Folder of the version that the rollback put into service; None if there was nothing to complete, or
        every version that is left is withdrawn.
    """
    _clear(folder)
    record = _record(folder) or {}
    if _UNFINISHED not in record:
        return None
    present, withdrawn = versions(folder), record["withdrawn"]
    # Every other model after the wanted version is withdrawn, so the newest good one holds the wanted model.
    good = _newest_good(folder, present, withdrawn)
    if good is None:
        return None
    known = digest(folder / str(good))
    if good == present[-1]:  # interrupted after the new version got its name
        _write_latest(folder, good, known, withdrawn)
        return folder / str(good)
    return _add(folder / str(good), folder, known, withdrawn, renumber_card)


def _clear(folder: Path) -> None:
    """Deletes what killed processes left; the caller holds the lock, so that nobody is writing there."""
    for pattern in (f"{_PUSHING}*", f"{_REMOVED}*"):
        for leftover in folder.glob(pattern):
            shutil.rmtree(leftover)
    for part in folder.glob(f".{LATEST}.*.part"):
        part.unlink()


def _add(
    model: Path,
    folder: Path,
    known: str,
    withdrawn: list[str],
    describe: Callable[[Path, int], None],
) -> Path:
    version = max([int(time.time()), *(v + 1 for v in _numbers(folder))])
    # A hidden sibling is on the same file system, so that the rename is atomic; its name is no number, so
    # that servers do not take it for a version.
    hidden = folder / f"{_PUSHING}{version}"
    shutil.copytree(model, hidden)
    describe(hidden, version)
    if digest(hidden) != known:
        raise OSError(
            errno.EIO, "the copy of the model is not what was copied; nothing was pushed", str(hidden)
        )
    fsync_all(hidden)
    hidden.rename(folder / str(version))
    fsync(folder)
    _write_latest(folder, version, known, withdrawn)
    return folder / str(version)


def _numbers(folder: Path) -> list[int]:
    """The numbers that are taken, also by versions that are not complete."""
    found = (version_number(p.name) for p in folder.iterdir()) if folder.is_dir() else ()
    return [number for number in found if number is not None]


def _create(folder: Path) -> None:
    """Creates a folder whose name is on the disk, too, before anything is written into it."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        fsync(path.parent)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Waits until nobody else changes a folder of versions; the lock of a process that ends is dropped."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with told_of_no_locks(folder):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _record(folder: Path) -> dict[str, Any] | None:
    """The content of `latest.json`; None if the file is missing or damaged."""
    try:
        found = json.loads((folder / LATEST).read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise_passing(error)  # what is withdrawn must not be forgotten
        return None  # no reason to stop: the folders of the versions are what matters
    withdrawn = found.get("withdrawn") if isinstance(found, dict) else None
    good = isinstance(withdrawn, list) and all(isinstance(model, str) for model in withdrawn)
    return dict(found) if good else None


def _withdrawn(folder: Path) -> list[str]:
    return list((_record(folder) or {}).get("withdrawn", []))


def _write_latest(
    folder: Path, version: int | None, known: str, withdrawn: list[str], unfinished: int | None = None
) -> None:
    path = None if version is None else str(version)
    content = {"version": version, "path": path, "sha256": known, "withdrawn": withdrawn}
    if unfinished is not None:
        content[_UNFINISHED] = unfinished
    text = json.dumps(content, indent=2) + "\n"
    with contextlib.suppress(OSError, ValueError):
        if (folder / LATEST).read_text(encoding="utf-8") == text:
            fsync(folder)  # whoever wrote it may have been killed before this
            return
    with atomic_write(folder / LATEST) as file:
        file.write(text)
    fsync(folder)
