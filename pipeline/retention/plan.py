"""What goes and what stays: looks at every folder under a root that runs fill, and deletes nothing.

No symbolic link is followed: neither what a link leads to nor an output under a folder that is a link goes.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.history.executions import require_readable
from pipeline.history.store import settle_place
from pipeline.history.withdrawal import tell_withdrawn
from pipeline.metadata.store import open_store
from pipeline.retention.needs import Needs, find_needs
from pipeline.retention.settings import Retention
from pipeline.root import Root
from unet.registry.versions import versions

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.part")  # of `unet.files.atomic_write`
_SYSTEM = ".system"  # where TFX keeps the working folders of executions


@dataclasses.dataclass(frozen=True)
class Item:
    """A file or folder that goes: its path, the reason, and its bytes."""

    path: Path
    why: str
    size: int


@dataclasses.dataclass
class Plan:
    """What goes and what stays.

    Attributes:
        items: files and folders to delete.
        versions: numbers of the versions to delete, which are among `items`.
        artifacts: artifacts in ML Metadata that will be marked as deleted.
        runs: ids of the runs that will be marked as cleaned.
        kept: number of bytes or things that stay, and the reason, as sentences.
        notes: sentences about what is not looked at.
    """

    items: list[Item]
    versions: list[int]
    artifacts: list[mlmd.Artifact]
    runs: list[str]
    kept: list[str]
    notes: list[str]

    @property
    def size(self) -> int:
        """Bytes of all that goes."""
        return sum(item.size for item in self.items)


def make_plan(root: Root, settings: Retention) -> Plan:
    """Makes the plan for a root, whose lock the caller holds.

    Args:
        root: root folder with ML Metadata.
        settings: how much of earlier runs stays.

    Raises:
        StoreError: ML Metadata cannot be read, so it is not known what is needed.
        Misplaced: the root is a copy, so ML Metadata names other folders.
    """
    require_readable(root)
    settle_place(root)
    tell_withdrawn(root)
    store = open_store(root)
    needs = find_needs(root, store, settings)
    known = {artifact.id: artifact for artifact in store.get_artifacts()}
    inside = _inside(root, known)
    plan = Plan([], [], [], needs.others, _kept(needs), [])
    plan.artifacts = [
        known[number]
        for number in inside.keys() - needs.artifacts
        if known[number].state != mlmd.Artifact.DELETED
    ]
    needed = {folder for number, folder in inside.items() if number in needs.artifacts}
    unneeded = {folder for number, folder in inside.items() if number not in needs.artifacts}
    newest = max((execution.id for execution in store.get_executions()), default=0)
    looked = _Folders(root, needs, newest, plan.notes)
    plan.items += looked.outputs(needed, unneeded)
    plan.items += looked.runs()
    gone = {item.path for item in plan.items}
    plan.items += looked.curves(gone)
    plan.items += looked.set_aside()
    plan.items += looked.checkpoints()
    plan.items += looked.partial_files(gone)
    plan.versions = looked.versions()
    plan.items += [_item(root.serving / str(v), "a later version replaced it") for v in plan.versions]
    return plan


def _inside(root: Root, known: dict[int, mlmd.Artifact]) -> dict[int, Path]:
    """The folders of the artifacts that lie under the root without a link on the way, by id."""
    # A root may have been used by another name, of a link to it.
    place = os.path.realpath(root.artifacts)
    found = {
        number: Path(os.path.realpath(artifact.uri)) for number, artifact in known.items() if artifact.uri
    }
    if place != str(root.artifacts):
        return {}
    return {number: folder for number, folder in found.items() if root.artifacts in folder.parents}


def _kept(needs: Needs) -> list[str]:
    sentences = [f"{_count(n, 'run')}: {why}" for why, n in Counter(needs.runs.values()).items()]
    return sentences + [f"version {version}: {why}" for version, why in sorted(needs.versions.items())]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


class _Folders:
    """Looks into the folders under a root."""

    def __init__(self, root: Root, needs: Needs, newest: int, notes: list[str]):
        self._root, self._needs, self._newest, self._notes = root, needs, newest, notes

    def outputs(self, needed: set[Path], unneeded: set[Path]) -> Iterator[Item]:
        """Yields the outputs and the working folders of executions that are not needed.

        What an execution wrote that is newer than ML Metadata stays: where that came from a backup, or was
        deleted, it may be put back yet. A run whose executions get these numbers sets such outputs aside.
        """
        for component in self._folders(self._root.artifacts):
            for key in self._folders(component):
                if key.name == _SYSTEM:
                    for kind in self._folders(key):
                        yield from (_item(p, "left by an execution that ended") for p in self._folders(kind))
                    continue
                newer = 0
                for folder in self._folders(key):
                    if folder in unneeded and folder not in needed:
                        yield _item(folder, "no run that stays needs it")
                    elif folder not in needed and folder.name.isdecimal() and int(folder.name) > self._newest:
                        newer += 1
                    elif folder not in needed:
                        yield _item(folder, "no complete execution is known to have written it")
                if newer:
                    those = "what is newer than all that ML Metadata knows"
                    self._notes.append(f"{key}: {those} stays ({_count(newer, 'output')})")

    def runs(self) -> Iterator[Item]:
        """Yields the folders of runs that are not needed."""
        for folder in self._folders(self._root.run("")):
            if folder.name not in self._needs.runs:
                yield _item(folder, "later runs replaced it")

    def curves(self, gone: set[Path]) -> Iterator[Item]:
        """Yields the links to curves that are gone or go, and folders of curves of other runs."""
        if not self._is_own(self._root.tensorboard):
            return
        for path in sorted(self._root.tensorboard.iterdir()):
            target = Path(os.path.realpath(path))
            if path.is_symlink():
                if not target.exists() or gone & {target, *target.parents}:
                    yield _item(path, "its curves are gone")
            elif path.is_dir() and path.name not in self._needs.runs:
                yield _item(path, "later runs replaced it")

    def set_aside(self) -> Iterator[Item]:
        """Yields damaged outputs that were set aside before the oldest of the newest runs."""
        for component in self._folders(self._root.set_aside):
            for key in self._folders(component):
                for folder in self._folders(key):
                    if folder.lstat().st_ctime < self._needs.since:
                        yield _item(folder, "damaged, and older than the runs that stay")

    def checkpoints(self) -> Iterator[Item]:
        """Yields the checkpoints that none of the newest runs used."""
        for folder in self._folders(self._root.checkpoints):
            if last_use(folder) < self._needs.since:
                yield _item(folder, "no run that stays used it")

    def partial_files(self, gone: set[Path]) -> Iterator[Item]:
        """Yields what processes left that were killed while they wrote a file or deleted something."""
        if self._is_own(self._root.deleted):
            yield _item(self._root.deleted, "left by a process that was killed")
        places = [self._root.path, *self._folders(self._root.run("")), *self._folders(self._root.checkpoints)]
        for place in places:
            if place in gone:
                continue
            for path in sorted(place.iterdir()):
                if _PARTIAL.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                    yield _item(path, "left by a process that was killed")

    def versions(self) -> list[int]:
        """Returns the numbers of the versions that are not needed."""
        if not self._is_own(self._root.serving):
            return []
        serving = self._root.serving
        return [
            version
            for version in versions(serving)
            if version not in self._needs.versions and not (serving / str(version)).is_symlink()
        ]

    def _folders(self, parent: Path) -> list[Path]:
        """The folders in a folder of this root, without links."""
        if not self._is_own(parent):
            return []
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())

    def _is_own(self, folder: Path) -> bool:
        """Whether a folder is there, and no part of its path below the root is a link."""
        if not folder.is_dir():
            return False
        if os.path.realpath(folder) == str(folder):
            return True
        note = f"{folder}: a link on its way leads elsewhere, so nothing in it is deleted"
        if note not in self._notes:
            self._notes.append(note)
        return False


def last_use(folder: Path) -> float:
    """The time of the newest change in a folder of checkpoints, in seconds since the epoch."""
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _item(path: Path, why: str) -> Item:
    paths = [path] if path.is_symlink() or not path.is_dir() else list(path.rglob("*"))
    return Item(path, why, sum(p.lstat().st_size for p in paths if p.is_symlink() or not p.is_dir()))


def format_bytes(size: int) -> str:
    """Formats a number of bytes, such as `3.2 MB`."""
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
