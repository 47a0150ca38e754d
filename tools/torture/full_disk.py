"""Fills the disk under a root while a run works, makes room, and repeats the command."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.torture.cases import Case, NotHeld, Skipped
from tools.torture.kept_promises import in_service, require, same_weights, spoke
from tools.torture.place import (
    COMPONENTS,
    Place,
    Started,
    TooLate,
    newest_record,
    until_at_work,
    wait_until,
)

SIZES = (0.1, 0.5, 0.9)  # of what the root of a whole run takes, beside the reserve
QUICK = (0.5,)
UNCHECKED = {"check_resources": "false"}  # else a run refuses to start on so small a disk
RESERVE, ROOM = 4 << 20, 512 << 20  # bytes
BUSY = 10  # seconds for which a disk may be in use after the end of the processes that used it


def cases(quick: bool) -> Iterator[Case]:
    """Yields a case for each size of the disk."""
    for share in QUICK if quick else SIZES:

        def attempt(place: Place, draw: random.Random, share: float = share) -> str:
            return _full(place, share)

        yield Case(
            "full disk",
            f"room for {share:.0%} of the root",
            "a disk of this size became full in the run; then it had room, and the same command was repeated",
            attempt,
        )
    for component in () if quick else COMPONENTS:

        def within(place: Place, draw: random.Random, component: str = component) -> str:
            return _full_in(place, component, draw)

        yield Case(
            "full disk",
            f"full in {component}",
            "the disk was made as small as what lay there and 0 to 64 KB, as was drawn; then it had room, "
            "and the same command was repeated",
            within,
        )


def _full(place: Place, share: float) -> str:
    taken = sum(path.stat().st_size for path in place.root.rglob("*") if path.is_file())
    disk = place.folder / "disk"
    with mounted(disk, RESERVE + int(share * taken)):
        root = disk / "root"
        root.mkdir()
        shutil.copy(place.root / "splits.json", root)
        return _ends_and_completes(place, ("run",), root, disk, place.root, lambda run, before: None)


def _full_in(place: Place, component: str, draw: random.Random) -> str:
    aside = place.folder / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    place.root.rename(aside)
    with mounted(place.root, ROOM):
        shutil.copytree(aside, place.root, symlinks=True, dirs_exist_ok=True)

        def fill(run: Started, before: set[Path]) -> None:
            until_at_work(run, place.root, before, component)
            _fill(place.root, draw.randrange(64 << 10))

        return _ends_and_completes(place, ("run", "--from", component), place.root, place.root, aside, fill)


def _ends_and_completes(
    place: Place,
    words: Sequence[str],
    root: Path,
    disk: Path,
    original: Path,
    fill: Callable[[Started, set[Path]], None],
) -> str:
    """Requires that a run ends in words as its disk becomes full, and completes once there is room.

    Args:
        place: the place.
        words: the command and its arguments.
        root: the root on the disk.
        disk: where the disk is mounted.
        original: a root with the weights that it must come to.
        fill: makes the disk full; gets the run, and the folders of runs that were there before.
    """
    before = set(root.glob("runs/*"))
    run = place.start(*words, root=root, settings=UNCHECKED)
    try:
        fill(run, before)
        done = run.wait()
    finally:
        run.kill()
    if done.code == 0:
        raise TooLate("the disk never became full")
    spoke(done, 1, 2)
    record = newest_record(root)
    require(record.get("status") not in (None, "running"), "the end of the run was not recorded")
    blamed = [f" in {name}" for name in record["nodes"] if record["reason"].startswith(f"{name}: ")]
    where = blamed[0] if blamed else ""
    disk_of(disk, ROOM)
    spoke(place.command(*words, root=root, settings=UNCHECKED), 0)
    in_service(root, also={in_service(original)})
    same_weights(root, original)
    return f"ended with {done.code}{where}, recorded as {record['status']}; then completed, weights equal"


def _fill(disk: Path, left: int) -> None:
    """Makes a mounted disk as small as what lies there, but for some bytes."""
    for _ in range(100):
        with contextlib.suppress(Skipped):  # the run wrote more in between
            return disk_of(disk, shutil.disk_usage(disk).used + left)
    raise TooLate("the run wrote without a pause")


@contextlib.contextmanager
def mounted(folder: Path, size: int) -> Iterator[None]:
    """Mounts a disk on a folder, which is made if missing.

    Args:
        folder: where it is mounted.
        size: its bytes.

    Raises:
        Skipped: this machine does not permit it.
        NotHeld: a process that should have ended still uses the disk, which is gone from its path.
    """
    folder.mkdir(exist_ok=True)
    if os.geteuid():
        raise Skipped("to mount a small disk takes the rights of root")
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        _unmount(folder)


def _unmount(folder: Path) -> None:
    words = ["umount", str(folder)]
    if wait_until(lambda: not subprocess.run(words, capture_output=True, check=False).returncode, BUSY):
        return
    # Else all later cases of this place would work on this disk.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    raise NotHeld("a process was left that used the disk")


def disk_of(folder: Path, size: int) -> None:
    """Gives a mounted disk another size, in bytes."""
    _mount("-o", f"remount,size={size}", str(folder))


def _mount(*words: str) -> None:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Skipped("there is no command mount") from None
    if done.returncode:
        raise Skipped(f"mount is not permitted here: {done.stderr.strip()}")
