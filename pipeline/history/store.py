"""Whether a run may begin with the ML Metadata that lies under its root."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from pipeline.history.executions import require_readable
from pipeline.root import Root


class Misplaced(ValueError):
    """The root was moved or copied; the message says from where, and what to do."""


def make_usable(root: Root) -> None:
    """Removes a store that holds nothing yet, and refuses one that cannot be used.

    A process that is killed while it makes the store leaves a file with some tables, with which ML Metadata
    cannot begin. Where no component has written anything, making it anew loses nothing.

    Args:
        root: root folder, whose lock the caller holds.

    Raises:
        StoreError: the store cannot be read.
        Misplaced: the root was moved or copied.
    """
    if not root.has_metadata:
        return
    if not root.artifacts.exists() and _is_unused(root.metadata):
        root.metadata.unlink()
        return
    require_readable(root.metadata)
    require_place(root)


def require_place(root: Root) -> None:
    """Raises `Misplaced` if the artifacts of the root's store lie under another root.

    A copy would read, and keep in its cache, what lies under the original; a moved root finds nothing.
    """
    with contextlib.closing(_open(root.metadata)) as store:
        newest = store.execute(
            "SELECT uri FROM Artifact WHERE uri LIKE ? ORDER BY id DESC LIMIT 1",
            (f"%/{root.artifacts.name}/%",),
        ).fetchone()
    if not newest:
        return
    parents = Path(newest[0]).parents
    before = next(folder.parent for folder in parents if folder.name == root.artifacts.name)
    if os.path.realpath(before) != str(root.path):
        raise Misplaced(
            f"{root.path}: this root was made as {before}, and ML Metadata holds that path: move it back, or "
            "give another --root"
        )


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
