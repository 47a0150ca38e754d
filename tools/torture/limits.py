"""Runs with few open files, or none left, and without shared memory; then the same command without limits."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator

from tools.torture.cases import Case, Skipped
from tools.torture.kept_promises import in_service, require, spoke
from tools.torture.place import COMPONENTS, Place, newest_record, until_at_work

LEVELS = (8, 16, 32, 64, 128, 255)  # open files; a run needs 256
QUICK = ("Trainer",)
SHARED = {  # what is done to shared memory -> how; the command follows
    "full": 'mount -t tmpfs -o size=4k tmpfs /dev/shm && head -c 4096 /dev/zero > /dev/shm/full && exec "$@"',
    "absent": 'mount -t tmpfs -o ro,size=4k,mode=0 tmpfs /dev/shm && exec "$@"',
}


def cases(quick: bool) -> Iterator[Case]:
    """Yields the cases of this chapter."""

    def few(place: Place, draw: random.Random) -> str:
        return _few(place)

    levels = ", ".join(map(str, LEVELS))
    yield Case("limits", "few open files", f"`run` with at most {levels} open files; then without", few)
    for component in QUICK if quick else COMPONENTS:

        def none_left(place: Place, draw: random.Random, component: str = component) -> str:
            return _none_left(place, component, draw)

        yield Case(
            "limits",
            f"no more open files in {component}",
            "the limit was lowered to what was open and 0 to 8 more, as was drawn; then the same command",
            none_left,
        )
    for state in () if quick else SHARED:

        def no_shared(place: Place, draw: random.Random, state: str = state) -> str:
            return _no_shared(place, state)

        yield Case(
            "limits", f"/dev/shm {state}", "in a run from Transform on; then the same command", no_shared
        )


def _few(place: Place) -> str:
    for level in LEVELS:
        done = place.command("run", through=("sh", "-c", f'ulimit -n {level} && exec "$@"', "sh"))
        spoke(done, 2)
        require(f"at most {level} files can be open" in done.text, f"at most {level}: {done.last}")
    spoke(place.command("run"), 0)
    in_service(place.root)
    return "refused with a sentence, exit code 2; then completed"


def _none_left(place: Place, component: str, draw: random.Random) -> str:
    runs, model = set(place.root.glob("runs/*")), in_service(place.root)
    words = ("run", "--from", component)
    run = place.start(*words)
    try:
        until_at_work(run, place.root, runs, component)
        lower(run.process.pid, draw.randrange(9))
        done = run.wait()
    finally:
        run.kill()
    if done.code == -signal.SIGABRT:  # by a native library, which leaves nobody to say a word
        return _aborted(place, words, model)
    spoke(done, 0, 1, 2)
    record = newest_record(place.root)
    require(record.get("status") != "running", "the end of the run was not recorded")
    if done.code:
        require("too many files are open" in done.text, f"not said that files are lacking: {done.last}")
    spoke(place.command(*words), 0)
    in_service(place.root, also={model})
    return f"ended with {done.code}, recorded as {record['status']}; then completed"


def _aborted(place: Place, words: tuple[str, ...], model: str) -> str:
    """Requires that a run which a library ended counts as a killed one, and that the next one completes."""
    name = str(newest_record(place.root)["run_id"])
    spoke(place.command(*words), 0)
    in_service(place.root, also={model})
    rows = json.loads(place.command("runs", "--all", "--json").out)
    states = [row["status"] for row in rows if row["id"] == name]
    require(states == ["killed"], f"a run that a library ended is told as {states}")
    return "ended by a library (SIGABRT), recorded as killed; then completed"


def lower(process: int, above: int) -> None:
    """Lowers the number of files that a process may open.

    Args:
        process: its number.
        above: how many more than it has open now.
    """
    used = max(map(int, os.listdir(f"/proc/{process}/fd")))
    _, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (used + 1 + above, hard))


def _no_shared(place: Place, state: str) -> str:
    if os.geteuid() or not shutil.which("unshare"):
        raise Skipped("to mount in a namespace takes the rights of root, and unshare")
    through = ("unshare", "--mount", "sh", "-c", SHARED[state], "sh")
    tried = subprocess.run([*through, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise Skipped(f"a mount namespace is not permitted here: {tried.stderr.strip()}")
    model = in_service(place.root)
    words = ("run", "--from", "Transform")
    done = place.command(*words, through=through)
    spoke(done, 0, 1, 2)
    require(newest_record(place.root).get("status") != "running", "the end of the run was not recorded")
    if done.code:
        require(
            "/dev/shm" in done.text, f"not said that /dev/shm is meant: {newest_record(place.root)['reason']}"
        )
        spoke(place.command(*words), 0)
    in_service(place.root, also={model})
    return f"ended with {done.code}; then completed" if done.code else "completed all the same"
