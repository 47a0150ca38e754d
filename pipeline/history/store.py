"""Whether a run may begin with the ML Metadata that lies under its root."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
from pathlib import Path

from pipeline.history.executions import require_readable
from pipeline.metadata import server
from pipeline.metadata.place import (
    connection_to,
    new_place,
    place_of,
    require_same,
    write_place,
)
from pipeline.metadata.settings import SQLITE, Database
from pipeline.metadata.store import connect, open_store
from pipeline.root import Root


class Misplaced(ValueError):
    """The root was moved or copied; the message says from where, and what to do."""


def require_store(root: Root, where: Database) -> None:
    """Refuses a store that a run cannot begin with, before anything is read or made.

    Args:
        root: root folder of the run.
        where: the store of the configuration.

    Raises:
        StoreError: the root has another store, or the server cannot be used.
    """
    require_same(root, where)
    if where.backend != SQLITE:
        server.require_answer(where)


def make_usable(root: Root, where: Database) -> None:
    """Removes a store that holds nothing yet, refuses one that cannot be used, and makes one on a server.

    A process that is killed while it makes the store leaves a file with some tables, with which ML Metadata
    cannot begin. Where no component has written anything, making it anew loses nothing.

    Args:
        root: root folder, whose lock the caller holds.
        where: the store of the configuration.

    Raises:
        StoreError: the store cannot be read, or is not the one that the root began with.
        Misplaced: the root is a copy.
    """
    require_same(root, where)
    if where.backend != SQLITE:
        # Two processes that make the tables at once leave some of them twice, or half.
        with server.locked(where):
            connect(connection_to(where))
        if place_of(root):
            settle_place(root)
        place = place_of(root) or new_place(root, where)
        write_place(root, dataclasses.replace(place, where=where))
        return
    if not root.has_metadata:
        return
    if not root.artifacts.exists() and _is_unused(root.metadata):
        root.metadata.unlink()
        return
    require_readable(root)
    settle_place(root)


def require_place(root: Root) -> None:
    """Raises `Misplaced` if the artifacts of the root's store lie under another root.

    A copy would read, and keep in its cache, what lies under the original; a moved root finds nothing.
    """
    if before := _moved_from(root):
        is_there = Root(before).has_metadata
        raise Misplaced(
            f"{root.path}: this root was made as {before}, and ML Metadata holds that path: "
            + ("move it back, or give another --root" if is_there else "the next run here takes it over")
        )


def settle_place(root: Root) -> None:
    """Gives ML Metadata the new paths of a root that was moved; the caller holds its lock.

    Raises:
        Misplaced: it is a copy, as the original is still there.
    """
    before = _moved_from(root)
    if before is None:
        return
    if Root(before).has_metadata:
        require_place(root)
    store, moved = open_store(root), []
    for artifact in store.get_artifacts():
        uri = _readdressed(artifact.uri, before, root.path)
        texts = [held for held in artifact.custom_properties.values() if held.string_value]
        changed = [(held, _readdressed(held.string_value, before, root.path)) for held in texts]
        if uri != artifact.uri or any(held.string_value != text for held, text in changed):
            artifact.uri = uri
            for held, text in changed:
                held.string_value = text
            moved.append(artifact)
    if moved:
        store.put_artifacts(moved)
    if place := place_of(root):
        write_place(root, dataclasses.replace(place, root=str(root.path)))


def _readdressed(path: str, before: Path, now: Path) -> str:
    """A path below one folder as the same below another; any other text as it is."""
    return f"{now}{path[len(str(before)) :]}" if path.startswith(f"{before}{os.sep}") else path


def _moved_from(root: Root) -> Path | None:
    """The folder that a root was when it was last used, if it is another one now."""
    if place := place_of(root):
        return Path(place.root) if place.root != str(root.path) else None
    with contextlib.closing(_open(root.metadata)) as store:
        newest = store.execute(
            "SELECT uri FROM Artifact WHERE uri LIKE ? ORDER BY id DESC LIMIT 1",
            (f"%/{root.artifacts.name}/%",),
        ).fetchone()
    if not newest:
        return None
    parents = Path(newest[0]).parents
    before = next(folder.parent for folder in parents if folder.name == root.artifacts.name)
    return before if os.path.realpath(before) != str(root.path) else None


def _is_unused(path: Path) -> bool:
    """Whether a store is whole enough for SQLite but holds no execution."""
    try:
        with contextlib.closing(_open(path)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
            return "Execution" not in tables or not store.execute("SELECT 1 FROM Execution").fetchone()
    except sqlite3.Error:
        return False


def _open(path: Path) -> sqlite3.Connection:
    # For writing: that rolls back the unfinished write of a killed process.
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
