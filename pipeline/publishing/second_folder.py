"""Keeps a second serving folder, maybe on another machine, at what is in service here.

Each run, rollback and promotion does the same: it looks at what is there, and copies what is missing. So an
interrupted copy goes on, and a repetition changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from rich.console import Console

from pipeline.process.exit_codes import FAILED, OK
from pipeline.publishing.places import Place, is_address, place_of
from pipeline.root import Root
from unet.files import FULL, files_under, hash_of_content
from unet.registry.model_card import hashes
from unet.registry.versions import (
    LATEST,
    locked,
    newest_version,
    version_number,
    versions,
    withdrawn_versions,
)

# Servers take a folder with this file for a whole version, so it comes last and goes first.
_MODEL = "saved_model.pb"
_AGAIN = "the next run tries again"


class NotCopied(Exception):
    """The second folder does not hold what is in service here; the message is a sentence that says why."""


def copy_after_run(push_to: str, root: Root, status: str, reason: str, console: Console) -> tuple[str, str]:
    """Brings the second folder up to date after a run, and returns how the run ends.

    Args:
        push_to: the setting; empty for no second folder.
        root: root folder of the run.
        status: status of the run so far.
        reason: reason for it.
        console: for a line about what was copied.

    Returns:
        Status and reason of the run: failed if the copy failed, as a scheduler has to tell somebody.
    """
    try:
        line = bring_up_to_date(push_to, root)
    except NotCopied as error:
        return "failed", f"{status.replace('_', ' ')} here, but {error}: {_AGAIN}"
    with contextlib.suppress(OSError):  # a terminal that was closed
        if line:
            console.print(line, soft_wrap=True)
    return status, reason


def copy_now(push_to: str, root: Root) -> int:
    """Brings the second folder up to date after a rollback or a promotion, and prints what came of it.

    Args:
        push_to: path or address of the second folder; empty for none.
        root: root folder of the pipeline.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    again = f"{_AGAIN}, and so does `rollback {newest_version(root.serving)}`"
    try:
        line = bring_up_to_date(push_to, root)
    except NotCopied as error:
        print(f"{error}: {again}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"push_to = {push_to} is not up to date: {again}", file=sys.stderr)
        raise
    if line:
        print(line)
    return OK


def bring_up_to_date(push_to: str, root: Root) -> str:
    """Copies the version in service, verifies the copy, and withdraws there what is withdrawn here.

    Args:
        push_to: path or address of the second folder; empty for none.
        root: root folder of the pipeline.

    Returns:
        A sentence about what was changed there; empty if nothing was.

    Raises:
        NotCopied: the second folder cannot be reached, read or written, or is not to be.
    """
    newest = newest_version(root.serving)
    if not push_to or newest is None:
        return ""
    if not is_address(push_to) and os.path.realpath(push_to) == os.path.realpath(root.serving):
        raise NotCopied(f"push_to = {push_to} is the serving folder of this root")
    try:
        place = place_of(push_to)
        with locked(root.serving):  # a rollback does not wait for a run, which may be copying, too
            done = _synchronize(root.serving, newest_version(root.serving) or newest, place, push_to)
    except NotCopied:
        raise
    except Exception as error:  # each of fsspec's file systems has its own, beside OSError
        raise NotCopied(f"push_to = {push_to} cannot be brought up to date: {_reason(error)}") from error
    return f"{push_to}: {', '.join(done)}" if done else ""


def _synchronize(serving: Path, newest: int, place: Place, push_to: str) -> list[str]:
    there = {number for name in place.names() if (number := version_number(name)) is not None}
    complete = {version for version in there if place.size(f"{version}/{_MODEL}") is not None}
    if max(complete, default=0) > newest:
        raise NotCopied(
            f"push_to = {push_to} holds version {max(complete)}, later than {newest} here: give each root a "
            "folder of its own, or delete it there"
        )
    if len(hashes(serving / str(newest))) > 1:  # the copy there may still be a whole one
        raise NotCopied(
            f"{serving / str(newest)} is damaged, so it is not copied to push_to = {push_to} "
            "(`rollback` puts another version in service)"
        )
    done: list[str] = []
    withdrawn = withdrawn_versions(serving)
    if any(not withdrawn.get(version, True) for version in complete):
        # First what is bad, where a good version is left: it makes room, and the copy may take long.
        done += _clear(serving, newest, place, there)
    if foreign := _remove_foreign(serving / str(newest), place, str(newest)):
        done.append(f"removed from version {newest}, as no part of it: {', '.join(foreign)}")
    if _copy_version(serving / str(newest), place, str(newest)):
        done.append(f"version {newest} copied")
    if (serving / LATEST).is_file() and not _is_same(serving / LATEST, place, LATEST):
        place.write(LATEST, serving / LATEST)
    return done + _clear(serving, newest, place, there)


def _clear(serving: Path, newest: int, place: Place, there: set[int]) -> list[str]:
    """Deletes there what is withdrawn here, and what an interrupted copy left of an older version."""
    done = []
    withdrawn = withdrawn_versions(serving)
    for version in sorted(there & {*versions(serving)} - {newest}):
        mark = f"{version}/{_MODEL}"
        if place.size(mark) is not None:
            # Another root may have another model under this number.
            if not withdrawn.get(version) or not _is_same(serving / mark, place, mark):
                continue
            place.remove(mark)
            done.append(f"version {version} withdrawn")
        place.remove(str(version))
        there.remove(version)
    return done


def _copy_version(version: Path, place: Place, target: str) -> bool:
    """Copies the files of a version that are missing or wrong; returns whether there were any."""
    names = sorted(path.relative_to(version).as_posix() for path in files_under(version) if path.is_file())
    names.remove(_MODEL)
    wrong = [name for name in names if not _is_same(version / name, place, f"{target}/{name}")]
    mark = f"{target}/{_MODEL}"
    if wrong and place.size(mark) is not None:
        place.remove(mark)  # no server begins to load what is being mended
    for name in wrong:
        _write(version / name, place, f"{target}/{name}")
    if not wrong and _is_same(version / _MODEL, place, mark):
        return False
    try:
        _write(version / _MODEL, place, mark)
    except NotCopied:
        place.remove(mark)
        raise
    return True


def _remove_foreign(version: Path, place: Place, target: str) -> list[str]:
    """Deletes in a version there what is not part of it, such as the part of a file of a killed copy."""
    own = {f"{target}/{path.relative_to(version).as_posix()}" for path in files_under(version)}
    foreign = sorted(set(place.files(target)) - own)
    for path in foreign:
        place.remove(path)
    return [path.removeprefix(f"{target}/") for path in foreign]


def _write(source: Path, place: Place, target: str) -> None:
    place.write(target, source)
    if not _is_same(source, place, target):
        raise NotCopied(f"the copy of {target} is not what was copied: check the disk there")


def _is_same(source: Path, place: Place, target: str) -> bool:
    """Whether a file there, read back, is the one here."""
    if place.size(target) != source.stat().st_size:
        return False
    with source.open("rb") as ours, place.read(target) as theirs:
        return hash_of_content(ours) == hash_of_content(theirs)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in FULL:
        return "there is no room left"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return " ".join(str(error).split())[:300] or type(error).__name__
