"""Thirty nights of continuous training: spans arrive, processes die, a disk fills, a gate refuses.

A server runs all the while, and a client asks it without a pause. What happens in which night is drawn.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.metadata.settings import PASSWORD
from pipeline.process.exit_codes import BAD_INPUT, FAILED, INTERRUPTED, NOT_BLESSED, OK
from tools import database_servers
from tools.database_servers import POSTGRESQL, PostgreSQL
from tools.torture.arrivals import BAD, Arrivals
from tools.torture.cases import Case, NotHeld, Skipped
from tools.torture.full_disk import RESERVE, ROOM, disk_of, mounted
from tools.torture.kept_promises import in_service, require, spoke
from tools.torture.mornings import KILLED, UNCHANGED, Size, Splits, Told, Versions, bounded, size, tidy
from tools.torture.place import Done, Place, wait_until
from tools.torture.served import Client, require_server, served

KEEP_RUNS, KEEP_VERSIONS = 4, 2
SETTINGS = {
    "tune": "never", "learning_rate": 4e-3, "steps": 100, "validate_every": 50, "warm_start": "latest",
    "span_window": 2, "loss": "cross_entropy+dice", "thresholds": "{ foreground_iou = 0.1 }", "max_drop": 0.4,
    "check_resources": "false", "keep_runs": KEEP_RUNS, "keep_versions": KEEP_VERSIONS,
}  # fmt: skip
WORSE = {"learning_rate": 1e-7, "warm_start": "none"}  # a model that learned nothing
SOON = 3.0  # seconds after which a command heeds signals
SETTLED = 10  # nights after which the root may not grow but by what the retention policy keeps

NEW, NOTHING, MENDED = "a new span", "nothing new", "the bad span is mended"
INTERRUPT = "interrupted"
WORSE_MODEL, ROLLBACK, FULL = "a worse model", "a rollback by a person", "a full disk"
RESTART = "the database restarts"
# Nights that belong together, in their order.
WEEKS = (
    [NEW], [NEW], [NEW, NOTHING], [NEW, NOTHING], [NEW, NOTHING, NOTHING],
    [BAD[0], MENDED], [BAD[1], MENDED, NOTHING],
    [KILLED], [KILLED], [KILLED, NOTHING], [INTERRUPT], [RESTART],
    [WORSE_MODEL], [WORSE_MODEL, NEW], [FULL], [NEW, ROLLBACK], [NEW, ROLLBACK, NEW],
)  # fmt: skip
QUICK = ([KILLED], [BAD[0], MENDED, NOTHING], [WORSE_MODEL], [NEW, ROLLBACK], [FULL])


def cases(quick: bool) -> Iterator[Case]:
    """Yields the case of this chapter."""

    def attempt(place: Place, draw: random.Random) -> str:
        return _nights(place, draw, quick)

    count = len(plan(random.Random(0), quick))
    yield Case(
        "nights",
        "continuous training",
        f"{count} nights on one root, in an order that was drawn: spans that arrive, bad ones, kills, a "
        "worse model, rollbacks, a full disk, a database that restarts; a client asked a server all the "
        "while",
        attempt,
    )


def plan(draw: random.Random, quick: bool) -> list[str]:
    """Draws what happens in each night; the first one is that of the first span."""
    weeks = list(QUICK if quick else WEEKS)
    draw.shuffle(weeks)
    return [NEW, *(night for week in weeks for night in week)]


@dataclasses.dataclass
class Story:
    """The root, the spans, and what the nights came to.

    Attributes:
        place: folder of all, and the command.
        root: the root folder of the nights.
        draw: draws the instants.
        disk: folder of the small disk on which the root is; None if none may be mounted.
        database: the server of ML Metadata; None where none is installed.
    """

    place: Place
    root: Path
    draw: random.Random
    disk: Path | None
    database: PostgreSQL | None

    def __post_init__(self) -> None:
        self.arrivals = Arrivals(self.place.folder / "spans")
        self.splits, self.versions, self.told = Splits(), Versions(), Told()
        self.sizes: list[Size] = []
        self.came_to: Counter[str] = Counter()
        self.kills = 0
        self._settings = SETTINGS | ({"metadata": self.database.table()} if self.database else {})
        self._seconds = math.inf  # of the fastest night in which everything ran
        self._ends: list[str | int] = []

    def night(self, event: str, client: Client | None) -> None:
        """Plays one night and the morning after it.

        Args:
            event: what happens.
            client: the client of the server; None as long as there is none.
        """
        self._ends = []
        began = time.monotonic()
        if event == ROLLBACK:
            self._rolls_back()
            if client:
                client.expect(self.versions.newest)
                client.take()
        elif event == MENDED:
            self.arrivals.mend()
        elif event in BAD:
            self.arrivals.next(event)
        elif event != NOTHING:
            self.arrivals.next()
        in_service_before = self.versions.newest if self.versions.pushed else 0
        done = self._plays(event)
        if event in (NEW, MENDED):
            self._seconds = min(self._seconds, time.monotonic() - began)
        self._morning(event, done)
        if client:
            self._was_served(client, {in_service_before, self.versions.newest})

    def _plays(self, event: str) -> Done:
        """Runs the command, as often as a scheduler does, and requires the end that the event should have."""
        if event in (KILLED, INTERRUPT):
            self._dies(INTERRUPT if event == INTERRUPT else KILLED)
        if event == FULL and self.disk:
            self._fills(self.disk)
        if event == RESTART and self.database:
            self._restarts(self.database)
        done = self._run(**(WORSE if event == WORSE_MODEL else {}))
        if event in BAD:
            self._ended(done, BAD_INPUT)
            require("drifted" in done.text, f"stopped, but not for its drift: {done.last}")
        elif event == WORSE_MODEL:
            self._ended(done, NOT_BLESSED)
        elif event == ROLLBACK:
            self._ended(done, OK, NOT_BLESSED)
        else:
            self._ended(done, OK)
        require((event != NOTHING) or "Unchanged since" in done.text, f"not unchanged: {done.last}")
        return done

    def _run(self, **settings: object) -> Done:
        words = ("run", "--data", self.arrivals.pattern)
        return self.place.command(*words, root=self.root, settings={**self._settings, **settings})

    def _ended(self, done: Done, *codes: int) -> None:
        spoke(done, *codes)
        self._ends.append(UNCHANGED if "Unchanged since" in done.text else done.code or 0)

    def _dies(self, how: str) -> None:
        """Kills or interrupts the process group once or twice, each time at a random instant."""
        words = ("run", "--data", self.arrivals.pattern)
        for _ in range(self.draw.choice((1, 2))):
            instant = max(SOON, self._seconds * self.draw.random())
            started = self.place.start(*words, root=self.root, settings=self._settings)
            try:
                if not wait_until(lambda started=started: not started.alive, instant):
                    if how == KILLED:
                        started.kill()
                        self._ends.append(KILLED)
                        self.kills += 1
                        continue
                    os.killpg(started.process.pid, signal.SIGTERM)
                self._ended(started.wait(), OK, INTERRUPTED)
                self.kills += self._ends[-1] == INTERRUPTED
            finally:
                started.kill()

    def _fills(self, disk: Path) -> None:
        """Runs on a disk that has too little room for a night, and makes room."""
        of_one_run = self.sizes[-1].bytes // self.sizes[-1].runs
        used = shutil.disk_usage(disk).used
        disk_of(disk, used + RESERVE + int(of_one_run * (0.1 + 0.4 * self.draw.random())))
        try:
            self._ended(self._run(), FAILED, BAD_INPUT)
        finally:
            disk_of(disk, ROOM)

    def _restarts(self, database: PostgreSQL) -> None:
        """Kills the database at a random instant of a run, and starts it again soon or later."""
        words = ("run", "--data", self.arrivals.pattern)
        started = self.place.start(*words, root=self.root, settings=self._settings)
        try:
            wait_until(lambda: not started.alive, max(SOON, self._seconds * self.draw.random()))
            database.kill()
            try:
                time.sleep(self.draw.uniform(1, 10))
            finally:
                database.start()
            done = started.wait()
            self._ended(done, OK, INTERRUPTED)
            if done.code == INTERRUPTED and "Interrupted: " not in done.text:
                self._ends.pop()  # it met no database when it began: there is no run to tell of
        finally:
            started.kill()

    def _rolls_back(self) -> None:
        bad = self.versions.newest
        done = self.place.command("rollback", root=self.root)
        spoke(done, OK)
        self.versions.withdrawn |= {bad}
        [copy] = self.versions.found(self.root, copy=True)
        require(f"{copy}" in done.text, f"rollback does not name {copy}: {done.last}")

    def _morning(self, event: str, done: Done) -> None:
        new = self.versions.found(self.root)
        unchanged = "Unchanged since" in done.text
        if event in BAD or event in (NOTHING, WORSE_MODEL, ROLLBACK):
            require(not new, f"{new} was pushed")
        else:
            require(len(new) == 1, f"pushed: {new or 'nothing'}")
        in_service(self.root, also=self.versions.pushed.values())
        newest = max(int(path.name) for path in (self.root / "serving/unet").glob("[0-9]*"))
        require(newest == self.versions.newest, f"{self.versions.newest} went, {newest} is the newest")
        self.splits.unmoved(self.root)
        told = self.place.command("runs", "--all", "--json", root=self.root)
        spoke(told, OK)
        rows = json.loads(told.out)
        self.told.nights(rows, self._ends)
        if new:
            made = [row for row in rows if row["version"] == str(new[0])]
            require(any(row["verdict"] == "blessed" for row in made), f"no run tells that it blessed {new}")
        if done.code in (OK, NOT_BLESSED):
            tidy(self.root)
        self.sizes.append(size(self.root))
        self.came_to["unchanged" if unchanged else rows[-1]["status"]] += 1

    def _was_served(self, client: Client, may: set[int]) -> None:
        """Requires that each request since the last morning had the mask of a version that may answer."""
        client.expect(self.versions.newest)
        answers, seen = client.take()
        require(not client.failures, f"no mask: {client.failures[:1]}")
        require(answers > 0, "nobody asked the server in this night")
        strangers = [v for v in seen if v not in may - self.versions.withdrawn]
        require(not strangers, f"versions {strangers} answered, which were withdrawn or never pushed")
        moody = [version for version, masks in client.masks.items() if len(masks) > 1]
        require(not moody, f"versions {moody} gave different masks of the same image")


def _nights(place: Place, draw: random.Random, quick: bool) -> str:
    require_server()
    events = plan(draw, quick)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, place.folder / "spans", ignore_errors=True)
        disk: Path | None = place.folder / "disk-of-nights"
        why_not = ""
        try:
            stack.enter_context(mounted(place.folder / "disk-of-nights", ROOM))
        except Skipped as reason:
            disk, why_not = None, f"; no disk was filled: {reason}"
            stack.callback(shutil.rmtree, place.folder / "disk-of-nights", ignore_errors=True)
        root = place.folder / "disk-of-nights" / "root"
        root.mkdir(parents=True)
        database: PostgreSQL | None = None
        if RESTART in events and POSTGRESQL:
            database = PostgreSQL()
            stack.enter_context(database)
            os.environ[PASSWORD] = database_servers.PASSWORD  # for good: other nights may be at work
        elif RESTART in events:
            why_not += "; no database restarted: PostgreSQL is not installed"
        story = Story(place, root, draw, disk, database)
        client: Client | None = None
        for number, event in enumerate(events, 1):
            try:
                story.night(event, client)
                if client is None:
                    log = place.folder / "logs" / "server.log"
                    image = story.arrivals.image.read_bytes()
                    client = stack.enter_context(served(root / "serving" / "unet", log, image))
            except NotHeld as error:
                raise NotHeld(f"night {number}, {event}: {error}") from None
        grown = ""
        if len(events) > SETTLED:
            # Those of versions and of blessed models may be older; one that failed stays until one has not.
            runs = KEEP_RUNS + 2 * KEEP_VERSIONS + 1
            grown = f"; {bounded(story.sizes, SETTLED, runs)}"
        ends = ", ".join(f"{count} {end.replace('_', ' ')}" for end, count in sorted(story.came_to.items()))
    return f"{ends}; {story.kills} kills and interruptions; every request had its mask{grown}{why_not}"
