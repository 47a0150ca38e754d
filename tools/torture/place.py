"""A folder with data and a root, and the command that works on it, in a process group of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.synthetic import write_cells

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 600  # bound of one command
PATIENCE = 300  # seconds for which a component is waited for
IMAGES = 10
SETTINGS = {
    "base_filters": 4,
    "depth": 2,
    "patch_size": 76,
    "steps": 40,
    "validate_every": 5,
    "batch_size": 2,
    "tune_trials": 2,
    "tune_steps": 10,
    "deterministic": "true",  # equal weights are a promise only then
    "max_drop": 1,
    "thresholds": "{ pixel_error = 0.99 }",
}
# Those that work for long enough to be met at work: 0.1 s and more.
COMPONENTS = (
    "ImageMaskExampleGen", "StatisticsGen", "Transform", "Tuner", "Trainer", "InfraValidator", "Evaluator",
    "Pusher",
)  # fmt: skip


class TooLate(Exception):
    """A busy machine passed the instant that a case waited for; the message says which."""


@dataclasses.dataclass(frozen=True)
class Done:
    """The end of a command: exit code, standard output and error; the code is None past its bound."""

    code: int | None
    out: str
    err: str

    @property
    def text(self) -> str:
        """Output and errors together."""
        return self.out + self.err

    @property
    def last(self) -> str:
        """The last line that says something."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else "nothing was printed"


class Started:
    """A command at work."""

    def __init__(
        self,
        words: list[str],
        log: Path,
        cwd: Path,
        checkout: Path = CHECKOUT,
        through: Sequence[str] = (),
        python_path: Path | None = None,
    ):
        """Starts the command.

        Args:
            words: the arguments of `run_pipeline.py`.
            log: path of the files of its output, to which `.out` and `.err` are added.
            cwd: working directory.
            checkout: the checkout whose command it is.
            through: the words of another command that replaces itself by this one, such as `env`.
            python_path: folder in which Python looks for modules first.
        """
        self._files = [Path(f"{log}.{kind}") for kind in ("out", "err")]
        environment = {**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), "COLUMNS": "400"}
        if python_path:
            environment["PYTHONPATH"] = str(python_path)
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self.process = subprocess.Popen(
                [*through, sys.executable, str(checkout / "run_pipeline.py"), *words],
                stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                cwd=cwd, env=environment, start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether the command is still at work."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Kills the process group as the kernel would, without a last word."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, seconds: float = SECONDS) -> Done:
        """Waits for the end; kills the process group past the bound."""
        try:
            code: int | None = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        except BaseException:  # Ctrl-C does not reach a session of its own
            self.kill()
            raise
        return Done(code, *(file.read_text("utf-8", errors="replace") for file in self._files))


class Place:
    """A folder with `data`, ten images, and `root`, as a first run left them; each case begins with those."""

    def __init__(self, folder: Path):
        """Args: folder: an empty folder, or one that does not exist."""
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.root = self.folder / "root"
        self._kept = self.folder / "kept"
        self._count = 0
        write_cells(self.data, IMAGES, (96, 96), seed=1)
        write_cells(self.folder / "new", 1, (96, 96), seed=7)

    def keep(self) -> None:
        """Keeps data and root as they are now for `restore`."""
        for name in ("root", "data"):
            shutil.copytree(self.folder / name, self._kept / name, symlinks=True)

    def restore(self) -> None:
        """Puts data and root back at the same paths: a root holds paths."""
        for name in ("root", "data"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            shutil.copytree(self._kept / name, self.folder / name, symlinks=True)

    def start(
        self,
        *words: str,
        root: Path | None = None,
        checkout: Path = CHECKOUT,
        settings: Mapping[str, object] | None = None,
        through: Sequence[str] = (),
        python_path: Path | None = None,
    ) -> Started:
        """Starts a command.

        Args:
            words: the command and its arguments; `run` and `check` get data and settings, too.
            root: another root than that of the place.
            checkout: the checkout whose command it is.
            settings: settings of the run that differ from `SETTINGS`.
            through: the words of another command that replaces itself by this one.
            python_path: folder in which Python looks for modules first.
        """
        self._count += 1
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        arguments = [*words, "--root", str(root or self.root)]
        if words[0] in ("run", "check"):
            arguments += [] if "--data" in words else ["--data", str(self.data)]
            values = {**SETTINGS, **(settings or {})}
            arguments += [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        log = logs / f"{self._count:04d}-{words[0]}"
        return Started(arguments, log, self.folder, checkout, through, python_path)

    def command(
        self,
        *words: str,
        root: Path | None = None,
        checkout: Path = CHECKOUT,
        seconds: float = SECONDS,
        settings: Mapping[str, object] | None = None,
        through: Sequence[str] = (),
        python_path: Path | None = None,
    ) -> Done:
        """Runs a command to its end; arguments as for `start`, and the bound in seconds."""
        started = self.start(
            *words, root=root, checkout=checkout, settings=settings, through=through, python_path=python_path
        )
        return started.wait(seconds)


@contextlib.contextmanager
def first_run(folder: Path) -> Iterator[Place]:
    """Makes a place whose first run is finished; removes it at the end.

    Raises:
        RuntimeError: the first run, to which nothing was done, did not push.
    """
    place = Place(folder)
    try:
        done = place.command("run")
        if done.code != 0:
            raise RuntimeError(f"the run to which nothing was done ended with {done.code}:\n{done.text}")
        place.keep()
        yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def newest_record(root: Path) -> dict[str, Any]:
    """Returns `run.json` of the newest run; empty while there is none."""
    found = sorted(root.glob("runs/*/run.json"))
    try:
        return dict(json.loads(found[-1].read_text("utf-8"))) if found else {}
    except (OSError, ValueError):
        return {}


def at_work(root: Path, before: set[Path]) -> str | None:
    """Returns the component at work in a run that was not there before.

    Returns:
        Its name; "(loading)" before the first; None after the last.
    """
    new = set(root.glob("runs/*")) - before
    # The folder of a run is there before its record, which must not be taken for that of the run before.
    record = newest_record(root) if any((run / "run.json").is_file() for run in new) else {}
    if not record.get("nodes"):
        return "(loading)"
    return next((name for name in record["nodes"] if name not in record["components"]), None)


def until_at_work(run: Started, root: Path, before: set[Path], component: str) -> None:
    """Waits until a run that was not there before is in a component.

    Raises:
        TooLate: it ends first, or takes longer than `PATIENCE`.
    """
    there = wait_until(lambda: not run.alive or at_work(root, before) == component, PATIENCE)
    if not run.alive:
        raise TooLate(f"the run ended before {component} worked: {run.wait().last}")
    if not there:
        raise TooLate(f"{component} was not met at work in {PATIENCE} s")


def wait_until(true: Any, seconds: float) -> bool:
    """Waits until a function returns something true; returns whether it did within the time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.02)
    return False
