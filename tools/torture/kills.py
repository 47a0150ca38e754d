"""Kills the process group at random instants, and cuts files; each time the command is repeated."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from tools.torture.cases import Case, instants
from tools.torture.kept_promises import (
    finished,
    in_service,
    live_outputs,
    require,
    same_weights,
    spoke,
)
from tools.torture.place import Place, at_work, newest_record, wait_until

IN_EACH = 5  # kills in each component
QUICK = ("(loading)", "Transform", "Trainer")
BLOCK = 4096  # bytes that a file system writes at once
TORN_EACH = 3  # one kill of this many is followed by a torn write
SLOW = 120.0  # seconds until a component that was finished before is reached


def cases(quick: bool) -> Iterator[Case]:
    """Yields the cases of this chapter: one chain of kills; all of it begins with an empty root."""

    def chain(place: Place, draw: random.Random) -> str:
        return _chain(place, draw, quick)

    number = "once" if quick else f"{IN_EACH} times"
    where = "three components" if quick else "each component"
    yield Case(
        "kills",
        "kill -9",
        f"the process group was killed at random instants, {number} in {where}, and the command repeated; "
        "after each third kill the last blocks of what was not flushed were cut",
        chain,
    )


def _chain(place: Place, draw: random.Random, quick: bool) -> str:
    root = place.folder / "killed"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    shutil.copy(place.root / "splits.json", root)
    record = newest_record(place.root)
    durations = {name: float(found["seconds"]) for name, found in record["components"].items()}
    names = list(QUICK) if quick else ["(loading)", *record["nodes"]]
    kills = torn = cut = 0
    hit = set()
    for name in names:
        for instant in instants(draw, durations.get(name, 0.1), 1 if quick else IN_EACH):
            where = _kill_in(place, root, name, instant)
            if where is None:
                continue
            hit.add(where)
            kills += 1
            if kills % TORN_EACH == 0:
                torn += 1
                cut += _tear(root, draw)
    done = place.command("run", root=root)
    spoke(done, 0)
    twice = {name: count for name, count in finished(root).items() if count > 1}
    require(not twice, f"done again after it had finished: {twice}")
    in_service(root)
    same_weights(root, place.root)
    shutil.rmtree(root)
    return (
        f"{kills} kills while {len(hit)} components were at work, {torn} torn writes ({cut} files cut); then "
        "completed, nothing that had finished done twice, weights equal to those of an uninterrupted run"
    )


def _kill_in(place: Place, root: Path, name: str, instant: float) -> str | None:
    """Starts the command and kills it a time after a component began.

    Returns:
        The component that was at work; None if the run ended before.
    """
    before = set(root.glob("runs/*"))
    order = ["(loading)", *newest_record(place.root)["nodes"], None]
    started = place.start("run", root=root)
    try:
        wait_until(lambda: not started.alive or order.index(at_work(root, before)) >= order.index(name), SLOW)
        wait_until(lambda: not started.alive, instant)
        if not started.alive:
            spoke(started.wait(), 0)
            return None
        return at_work(root, before) or "(the end)"
    finally:
        started.kill()


def _tear(root: Path, draw: random.Random) -> int:
    """Cuts the last blocks of files that nobody had flushed, and returns how many were cut.

    Flushed are ML Metadata, finished outputs, versions in service, and files that were replaced at once.
    """
    flushed = live_outputs(root)
    replaced = {"run.json", "summary.json", "splits.json", "latest.json", "source.json", "report.html"}
    since = max((path.stat().st_mtime for path in root.glob("runs/*/run.json")), default=0.0)
    cut = 0
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        kept = (
            path.is_symlink()
            or not path.is_file()
            or path.stat().st_mtime < since
            or path.name in replaced
            or inside[0].startswith(("metadata.sqlite", ".lock"))
            or (inside[0] == "serving" and inside[2].isdigit())
            or any(path.is_relative_to(folder) for folder in flushed)
        )
        if not kept and path.stat().st_size:
            size = path.stat().st_size
            with path.open("rb+") as file:
                file.truncate(max(0, (size - 1) // BLOCK * BLOCK - BLOCK * draw.randrange(3)))
            cut += 1
    return cut
