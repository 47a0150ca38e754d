"""What earlier checks found in files, by the hash of their content: no file is decoded twice.

It lives in the user's cache folder, so that neither another root nor a moved data folder starts anew. It is
only ever a shortcut: where it cannot be read or written, files are decoded again and nobody is told.
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

# What an inspection keeps of a file is theirs.
_READERS = {f"unet.images.{name}" for name in ("formats", "raster", "reader", "tiff")} | {
    "unet.masks.reader",
    "unet.masks.values",
}


class InspectionCache:
    """A persistent dictionary of JSON values, written when it is closed; safe to use from several threads."""

    def __init__(self, folder: Path | None = None):
        """Args: folder: of the database; None: the user's cache folder."""
        self._new: dict[str, str] = {}
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        with contextlib.suppress(OSError, sqlite3.Error):
            folder = folder or Path(platformdirs.user_cache_dir("unet-pipeline"))
            folder.mkdir(parents=True, exist_ok=True)
            # What another version of the reader found may not be what this one finds: a file for each.
            path = folder / f"checked-{fingerprint(_READERS)[:16]}.sqlite"
            database = sqlite3.connect(path, timeout=5, check_same_thread=False)
            try:
                database.execute("CREATE TABLE IF NOT EXISTS checked (key TEXT PRIMARY KEY, value TEXT)")
            except sqlite3.Error:
                database.close()
                raise
            self._database = database

    def get(self, key: str) -> Any | None:
        """The value of a key, or None."""
        if self._database is None:
            return None
        with self._lock, contextlib.suppress(sqlite3.Error, ValueError):
            row = self._database.execute("SELECT value FROM checked WHERE key = ?", (key,)).fetchone()
            return json.loads(row[0]) if row else None
        return None

    def put(self, key: str, value: Any) -> None:
        """Sets the value of a key, anything that JSON holds."""
        with self._lock:
            self._new[key] = json.dumps(value)

    def __enter__(self) -> InspectionCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes what is new, also when the check was interrupted: what it has read so far is found again."""
        if self._database is None:
            return
        with self._lock, contextlib.suppress(sqlite3.Error), contextlib.closing(self._database) as database:
            database.executemany("INSERT OR REPLACE INTO checked VALUES (?, ?)", self._new.items())
            database.commit()
