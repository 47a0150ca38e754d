"""Folders on this machine, its mounts, or another machine, with the few operations that a copy needs."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

from unet.files import atomic_write, files_under, fsync

_SCHEME = "://"


class Place(Protocol):
    """A folder; all paths are relative to it, with `/` between their parts."""

    def names(self) -> list[str]:
        """Returns the names in the folder itself; raises OSError if it cannot be read."""

    def files(self, path: str) -> list[str]:
        """Returns the paths of all files in a folder and below, hidden ones, too; none if there is none."""

    def size(self, path: str) -> int | None:
        """Returns the bytes of a file; None if there is none."""

    def read(self, path: str) -> IO[bytes]:
        """Opens a file."""

    def write(self, path: str, source: Path) -> None:
        """Writes a file, whole or not at all, with the folders above it."""

    def remove(self, path: str) -> None:
        """Deletes a file or a folder with all in it."""


def is_address(text: str) -> bool:
    """Whether a text is an address of fsspec, such as `s3://bucket/unet`, and no path."""
    return _SCHEME in text


def refusal(text: str) -> str:
    """Explains why nothing can be copied to an address of fsspec; empty if it can be tried.

    Args:
        text: the address.
    """
    if urlsplit(text).password:  # it would be part of each run's record
        return "put no password into the address: fsspec reads it from its configuration or the environment"
    try:
        import fsspec
    except ImportError:
        return "an address needs fsspec, which `pip install fsspec` adds: without it, give a path"
    try:
        fsspec.get_filesystem_class(text.partition(_SCHEME)[0])
    except (ImportError, ValueError) as error:  # its package is missing, or nobody knows it
        return " ".join(str(error).split())
    return ""


def place_of(text: str) -> Place:
    """Returns the folder that a path or an address names.

    Args:
        text: an absolute path, or an address of fsspec.

    Raises:
        FileNotFoundError: there is no such path; a mount that is not there must not be replaced by a folder.
        OSError: it cannot be reached.
    """
    return _Remote(text) if is_address(text) else _Local(Path(text))


class _Local:
    """A folder of this machine."""

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}: mount or create it")
        self._folder = folder

    def names(self) -> list[str]:
        return os.listdir(self._folder)

    def files(self, path: str) -> list[str]:
        folder = self._folder / path
        if folder.is_symlink():  # what is no part of the copy would be deleted where the link leads
            raise OSError(f"{folder} is a link: remove it, or put a folder in its place")
        return [found.relative_to(self._folder).as_posix() for found in files_under(folder)]

    def size(self, path: str) -> int | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return (self._folder / path).stat().st_size
        return None

    def read(self, path: str) -> IO[bytes]:
        return (self._folder / path).open("rb")

    def write(self, path: str, source: Path) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as content, atomic_write(target, "wb") as file:
            shutil.copyfileobj(content, file)
        fsync(target.parent)

    def remove(self, path: str) -> None:
        target = self._folder / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
        fsync(target.parent)


class _Remote:
    """What fsspec reaches."""

    def __init__(self, address: str):
        import fsspec

        self._system: Any
        self._system, self._folder = fsspec.core.url_to_fs(address)
        self._system.invalidate_cache()  # others may have written since

    def names(self) -> list[str]:
        try:
            found = self._system.ls(self._folder, detail=False)
        except FileNotFoundError:  # a bucket has no folders, only files with names
            return []
        return [name.rstrip("/").rpartition("/")[2] for name in found]

    def files(self, path: str) -> list[str]:
        try:
            found = self._system.find(self._at(path))
        except FileNotFoundError:
            return []
        return [name.removeprefix(self._at("")) for name in found]

    def size(self, path: str) -> int | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return int(self._system.size(self._at(path)))
        return None

    def read(self, path: str) -> IO[bytes]:
        file: IO[bytes] = self._system.open(self._at(path), "rb")
        return file

    def write(self, path: str, source: Path) -> None:
        folder, _, name = self._at(path).rpartition("/")
        part = f"{folder}/.{name}.part"
        self._system.makedirs(folder, exist_ok=True)
        self._system.put_file(str(source), part)
        self._system.mv(part, self._at(path))

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # a bucket's folder goes with its last file
            self._system.rm(self._at(path), recursive=True)

    def _at(self, path: str) -> str:
        return f"{self._folder.rstrip('/')}/{path}"
