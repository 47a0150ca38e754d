"""What must be true on the morning after a night of continuous training, whatever happened in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pipeline.process.exit_codes import CODE_OF, OK
from tools.torture.kept_promises import live_outputs, require
from unet.registry.records import digest

LEFTOVERS = (".deleted", "serving/unet/.pushing-*", "serving/unet/.removed-*", "**/.*.part")
KILLED, UNCHANGED = "killed", "unchanged"  # how a run ended that has no exit code, or no row of its own
EVER_GROWS = ("metadata.sqlite", "splits.json")  # rows of all runs, and the split of every image


@dataclasses.dataclass(frozen=True)
class Size:
    """What a root holds: runs, folders of outputs, and bytes but for those of `EVER_GROWS`."""

    runs: int
    outputs: int
    bytes: int


def size(root: Path) -> Size:
    """Measures a root."""
    files = [p for p in root.rglob("*") if p.is_file() and not p.is_symlink() and p.name not in EVER_GROWS]
    return Size(
        len(list(root.glob("runs/*"))),
        len(list(root.glob("artifacts/*/[!.]*/*"))),
        sum(path.stat().st_size for path in files),
    )


def bounded(sizes: list[Size], settled: int, runs: int) -> str:
    """Requires that a root did not grow beyond what the retention policy keeps.

    Args:
        sizes: that of the root after each night.
        settled: number of the first nights, which tell how much a run takes.
        runs: number of runs that the policy keeps at most.

    Returns:
        The sizes at both ends, in words.
    """
    early = sizes[:settled]
    outputs = max(size.outputs / size.runs for size in early) * runs
    most = max(size.bytes / size.runs for size in early) * runs
    for night, now in enumerate(sizes[settled:], settled + 1):
        found = f"after night {night} there are {now}"
        require(now.runs <= runs, f"{found}: more than {runs} runs")
        require(now.outputs <= outputs and now.bytes <= most, f"{found}: more than {runs} runs of before")
    first, last = early[-1], sizes[-1]
    return (
        f"{first.outputs} outputs and {first.bytes / 1e6:.1f} MB after night {settled}, {last.outputs} and "
        f"{last.bytes / 1e6:.1f} MB after night {len(sizes)}"
    )


def tidy(root: Path) -> None:
    """Requires that after a run that came to its end nothing is left of one that did not."""
    left = [path for pattern in LEFTOVERS for path in root.glob(pattern)]
    left += sorted(set(root.glob("artifacts/*/[!.]*/*")) - set(live_outputs(root)))
    require(not left, f"left over: {', '.join(str(path.relative_to(root)) for path in left[:3])}")


class Splits:
    """The split of every image, which may never change."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}

    def unmoved(self, root: Path) -> None:
        """Requires that each image, group and name has the split that it had before."""
        now = json.loads((root / "splits.json").read_text("utf-8"))
        for kind, before in self._known.items():
            for key, split in before.items():
                found = now[kind].get(key)
                require(found == split, f"splits.json: {kind}: {key} went from {split} to {found}")
        self._known = now


class Versions:
    """The pushed versions, by what they hold."""

    def __init__(self) -> None:
        self.pushed: dict[int, str] = {}  # digest of each version that a night pushed
        self.copies: set[int] = set()  # those that a rollback made
        self.withdrawn: set[int] = set()

    @property
    def newest(self) -> int:
        """The newest version."""
        return max(self.copies | set(self.pushed))

    def found(self, root: Path, copy: bool = False) -> list[int]:
        """Returns the versions that came since the last call; requires that none was pushed twice.

        Args:
            root: the root folder.
            copy: whether a rollback made them.
        """
        folder = root / "serving" / "unet"
        names = sorted(int(path.name) for path in folder.glob("[0-9]*"))
        new = [number for number in names if number not in self.copies | set(self.pushed)]
        for number in new:
            if copy:
                self.copies.add(number)
                continue
            known = digest(folder / str(number))
            twice = [version for version, held in self.pushed.items() if held == known]
            require(not twice, f"{number} holds the model of {twice}, which was pushed before")
            self.pushed[number] = known
        return new


class Told:
    """What `runs --json` tells of each run."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._again: dict[str, int] = {}

    def nights(self, rows: list[dict[str, Any]], ends: list[str | int]) -> None:
        """Requires a row for each run of a night with its state, and that of earlier runs as it was.

        Args:
            rows: what `runs --all --json` printed.
            ends: how each run of the night ended: an exit code, `KILLED`, or `UNCHANGED`. One that was killed
                may have no row, if it had written nothing, or that of its end, if it had come to it. To one
                that was unchanged nothing was new, so that the newest row counts it.
        """
        for row in rows:
            before = self._states.get(row["id"], row["status"])
            require(row["status"] == before, f"runs: {row['id']} was {before}, is {row['status']}")
        new = [row["status"] for row in rows if row["id"] not in self._states]
        told: list[str | int] = [CODE_OF.get(status, status) for status in new]
        awaited = [end for end in ends if end != UNCHANGED]
        while awaited and told:
            end, spare = awaited.pop(0), len(told) > sum(end != KILLED for end in awaited)
            if end == told[0] or (end == KILLED and spare and told[0] == OK):
                told.pop(0)
            elif end != KILLED:
                awaited.insert(0, end)
                break
        require(not told and set(awaited) <= {KILLED}, f"runs tells {new} of a night that ended {ends}")
        newest, again = rows[-1]["id"], int(rows[-1]["again"])
        times = self._again.get(newest, 0) + ends.count(UNCHANGED)
        require(again == times, f"runs tells {again} times unchanged, it was {times}")
        self._again = {newest: again}
        self._states.update({row["id"]: row["status"] for row in rows})
