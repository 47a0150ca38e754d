"""Serves the newest valid version in a folder; a new version replaces it without losing requests."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from serving.errors import Refused, without_paths
from serving.metrics import LOADS, MODEL_VERSION
from serving.model.loaded import LoadedModel

log = logging.getLogger("serving")

# Name, size and time of every file of a version; a broken version is tried again only if these change.
Fingerprint = frozenset[tuple[str, int, int]]
_LONGEST = 500  # characters of why a version cannot be loaded: TensorFlow's errors may hold whole tensors
MOST_DIGITS = 18  # of a version: more do not fit into 64 bits, and no client could ask for it


def find_versions(folder: Path) -> dict[int, Fingerprint]:
    """Returns the versions in a folder: numbered folders with a saved_model.pb; others are ignored."""
    found = {}
    for entry in folder.iterdir() if folder.is_dir() else ():
        if re.fullmatch(rf"0|[1-9][0-9]{{0,{MOST_DIGITS - 1}}}", entry.name):
            with contextlib.suppress(OSError):  # the version may be removed meanwhile
                if (entry / "saved_model.pb").is_file():
                    found[int(entry.name)] = _fingerprint(entry)
    return found


def content_of(version: Path) -> str:
    """Returns a digest of all files of a version."""
    digest = hashlib.sha256()
    for path in sorted(_files(version)):
        if not path.is_file():
            if path.exists():
                raise ValueError(f"{path.name} is no file")  # reading a pipe would never end
            continue
        with path.open("rb") as file:
            of_file = hashlib.sha256()
            while block := file.read(1 << 20):
                of_file.update(block)
        digest.update(os.fsencode(path.relative_to(version)) + f" {of_file.hexdigest()}\n".encode())
    return digest.hexdigest()


def _files(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """All but folders below a folder, also behind links; a link to a folder around itself is passed over."""
    if (real := folder.resolve()) in above:
        return
    paths: list[Path] = []
    with contextlib.suppress(OSError):  # it may be removed meanwhile
        paths += folder.iterdir()
    for path in sorted(paths):
        if path.is_dir():
            yield from _files(path, above | {real})
        else:
            yield path


def _fingerprint(version: Path) -> Fingerprint:
    found = set()
    for path in _files(version):
        # A file that has gone meanwhile, or a link to nothing, takes no version out of service.
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.add((str(path.relative_to(version)), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)


class Versions:
    """The served version, and the thread that looks for newer versions."""

    def __init__(self, folder: Path, poll_seconds: float, load: Callable[[Path], LoadedModel]) -> None:
        """Sets up the object; `start` starts the thread.

        Args:
            folder: folder of the versions.
            poll_seconds: interval in seconds between two scans of the folder.
            load: function that loads a version and warms it up, or raises.
        """
        self._folder, self._poll_seconds, self._load = folder, poll_seconds, load
        self._current: LoadedModel | None = None
        self._in_flight: dict[LoadedModel, int] = {}
        self._left = False  # whether a version that is not served any more has ended its last request
        self._changed = threading.Lock()
        self._seen: dict[int, Fingerprint] | None = None
        self._broken: dict[int, tuple[Fingerprint, str]] = {}
        self._kept: dict[str, LoadedModel] = {}  # the served one and the one before, by their content
        self._loading: int | None = None
        self._said = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="versions", daemon=True)

    def start(self) -> None:
        """Starts to scan the folder for new versions."""
        self._thread.start()

    def stop(self) -> None:
        """Stops scanning the folder; requests are still served."""
        self._stop.set()

    @property
    def version(self) -> int | None:
        """The served version; None before the first one is loaded."""
        current = self._current
        return current.version if current else None

    @contextlib.contextmanager
    def current(self, version: int | None = None) -> Iterator[LoadedModel]:
        """Yields the served version, which is not freed before the context ends.

        Args:
            version: number of the required version; the request is refused if another one is served.
        """
        with self._changed:
            model = self._current
            if model is None:
                raise Refused(503, "no version of the model is loaded yet", retry_after=2)
            if version not in (None, model.version):
                raise Refused(404, f"version {version} is not served, only {model.version}")
            self._in_flight[model] = self._in_flight.get(model, 0) + 1
        try:
            yield model
        finally:
            with self._changed:
                self._in_flight[model] -= 1
                if not self._in_flight[model]:
                    del self._in_flight[model]
                    self._left = self._left or model is not self._current

    def status(self, version: int | None = None) -> list[dict[str, Any]]:
        """Returns the state of each known version, the newest first, in TensorFlow Serving's format.

        Args:
            version: number of the only version to tell of; the request is refused if it is not known.
        """
        states = {version: ("END", "UNKNOWN", reason) for version, (_, reason) in self._broken.items()}
        if self._loading is not None:
            states[self._loading] = ("LOADING", "OK", "")
        if self.version is not None:
            states[self.version] = ("AVAILABLE", "OK", "")
        if version is not None:
            if version not in states:
                raise Refused(404, f"there is no version {version}")
            states = {version: states[version]}
        return [
            {
                "version": str(number),
                "state": state,
                "status": {"error_code": code, "error_message": message},
            }
            for number, (state, code, message) in sorted(states.items(), reverse=True)
        ]

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
                if self._left:
                    self._left = False
                    gc.collect()  # a SavedModel leaves reference cycles behind
            except Exception:  # the next scan may succeed, and requests are still served
                log.exception("cannot look at %s", self._folder)
            self._stop.wait(self._poll_seconds)

    def _look(self) -> None:
        found = find_versions(self._folder)
        seen, self._seen = self._seen, found
        self._broken = {v: known for v, known in self._broken.items() if found.get(v) == known[0]}
        if not found:
            kept = "waiting" if self._current is None else f"version {self.version} is kept"
            self._say(f"{self._folder} holds no version; {kept}")
        for version in sorted(found, reverse=True):
            if version == self.version:
                return
            if version in self._broken:
                continue
            # A version that is being copied file by file is complete when it stops changing.
            if seen is not None and seen.get(version) != found[version]:
                return
            if self._try(version, found[version]):
                return

    def _try(self, version: int, fingerprint: Fingerprint) -> bool:
        """Loads a version beside the served one, then switches; returns False if the version is broken."""
        self._loading = version
        try:
            content = content_of(self._folder / str(version))
            kept = self._kept.get(content)
            model = kept.as_version(version) if kept else self._load(self._folder / str(version))
            if find_versions(self._folder).get(version) != fingerprint:
                # Withdrawn, or a mixture of what was there before and after.
                raise ValueError("its files have changed while it was loaded")
        except Exception as error:  # a broken model can raise any exception
            reason = str(error).strip().partition("\n")[0][:_LONGEST] or type(error).__name__
            told = without_paths(reason, self._folder)
            self._broken = {**self._broken, version: (fingerprint, told)}
            other = f"version {self.version} stays" if self.version is not None else "there is no other"
            log.error("version %d cannot be loaded; %s: %s", version, other, reason)
            LOADS.labels("failed").inc()
            return False
        finally:
            self._loading = None
        with self._changed:
            before, self._current = self._current, model
            # Requests that run on the version before go on; the last one of them lets it be freed.
            self._left = self._left or before not in self._in_flight
        MODEL_VERSION.set(version)
        LOADS.labels("kept" if kept else "loaded").inc()
        # A rollback needs the version before at once, under whatever number it comes back.
        last = list(self._kept.items())[-1:]
        self._kept = {key: known for key, known in last if key != content} | {content: model}
        log.info("version %d is served%s", version, f" instead of {before.version}" if before else "")
        self._said = ""
        if not kept:
            # Beside the next look: a rollback does not wait for it.
            threading.Thread(target=model.compile_rest, name="compile", daemon=True).start()
        return True

    def _say(self, text: str) -> None:
        """Logs a message unless it was the last one."""
        if text != self._said:
            log.warning(text)
            self._said = text
