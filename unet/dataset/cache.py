"""Cache of the results of checked files, by the hash of their content, so that no file is decoded twice.

The cache is in the user's cache folder, so that another root or a moved data folder uses it, too. It is only
a shortcut: if it cannot be read or written, files are silently decoded again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import platformdirs

from unet.fingerprint import fingerprint

# Modules that determine the cached results; a change of their code starts a new cache.
_READERS = {f"unet.images.{name}" for name in ("formats", "likeness", "raster", "reader", "tiff")} | {
    "unet.masks.reader",
    "unet.masks.values",
}


class InspectionCache:
    """A persistent dictionary of JSON values, written when its context ends; several threads may use it."""

    def __init__(self, folder: Path | None = None):
        """Args: folder: folder of the database; None: the user's cache folder."""
        self._new: dict[str, str] = {}
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        # Without a home folder platformdirs raises RuntimeError or, in earlier versions, leaves the ~.
        with contextlib.suppress(OSError, RuntimeError, sqlite3.Error):
            folder = folder or Path(platformdirs.user_cache_dir("unet-pipeline"))
            if not folder.is_absolute():
                return
            folder.mkdir(parents=True, exist_ok=True)
            # Each version of the reader has its own file, since its results may differ from other versions'.
            path = folder / f"checked-{fingerprint(_READERS)[:16]}.sqlite"
            database = sqlite3.connect(path, timeout=5, check_same_thread=False)
            try:
                database.execute("CREATE TABLE IF NOT EXISTS checked (key TEXT PRIMARY KEY, value TEXT)")
            except sqlite3.Error:
                database.close()
                raise
            self._database = database

    def get(self, key: str) -> Any | None:
        """The value of a key; None if the key is not stored."""
        if self._database is None:
            return None
        with self._lock, contextlib.suppress(sqlite3.Error, ValueError):
            row = self._database.execute("SELECT value FROM checked WHERE key = ?", (key,)).fetchone()
            return json.loads(row[0]) if row else None
        return None

    def put(self, key: str, value: Any) -> None:
        """Sets the value of a key, in types that JSON can hold."""
        with self._lock:
            self._new[key] = json.dumps(value)

    def __enter__(self) -> InspectionCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes the new values, also after an interrupted check, so that its results are not lost."""
        if self._database is None:
            return
        with self._lock, contextlib.suppress(sqlite3.Error), contextlib.closing(self._database) as database:
            database.executemany("INSERT OR REPLACE INTO checked VALUES (?, ?)", self._new.items())
            database.commit()
