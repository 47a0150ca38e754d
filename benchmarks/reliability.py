"""Measures what reliability costs: the share of hashes, manifests, flushing and locks in the time of a run.

    python benchmarks/reliability.py
    python benchmarks/reliability.py --tiny
    python benchmarks/reliability.py --tiny --files 1000 --megabytes 1000

The first one measures the default run; the target is at most 3 % of it. `--tiny` measures a run of a minute
on synthetic cells, of which the share is larger. Each is repeated at once, when all results are reused. The
functions are timed within the real run, in every thread: of a call within another one only the outer one
counts. As threads work at the same time, the share is an upper bound. The last lines measure the manifest of
one synthetic output of `--files` files that take `--megabytes` together.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from benchmarks import results  # noqa: E402

FUNCTIONS = {  # what is timed -> module and function
    "manifests written": ("pipeline.history.manifest", "write_manifest"),
    "manifests compared": ("pipeline.history.manifest", "damage"),
    "files hashed": ("unet.files", "hash_of"),
    "files flushed": ("unet.files", "fsync"),
    "code fingerprinted": ("unet.fingerprint", "parts"),
    "locks taken": ("pipeline.process.lock", "_try_for"),
}
TINY = (
    "base_filters=4", "depth=2", "patch_size=76", "steps=40", "validate_every=20", "tune=never",
    "thresholds={ pixel_error = 0.99 }",
)  # fmt: skip
_inside = threading.local()


def timed(function: Callable[..., Any], told: list[float]) -> Callable[..., Any]:
    """Wraps a function: adds the seconds of each call that is not within another timed one.

    Args:
        function: the function.
        told: the seconds of each call are appended to it.
    """

    @functools.wraps(function)
    def wrapper(*arguments: Any, **more: Any) -> Any:
        if getattr(_inside, "one", False):
            return function(*arguments, **more)
        _inside.one = True
        start = time.perf_counter()
        try:
            return function(*arguments, **more)
        finally:
            told.append(time.perf_counter() - start)
            _inside.one = False

    return wrapper


def run(words: list[str], out: Path) -> int:
    """Runs the command in this process with its functions timed, and writes what they took."""
    start = time.perf_counter()
    told: dict[str, list[float]] = {}
    for what, (module, name) in FUNCTIONS.items():
        original = getattr(importlib.import_module(module), name)
        wrapper = timed(original, told.setdefault(what, []))
        for loaded in list(sys.modules.values()):  # who imported the function by its name has it, too
            if getattr(loaded, "__dict__", {}).get(name) is original:
                setattr(loaded, name, wrapper)
    from pipeline.cli import main as command

    sys.argv = ["run_pipeline.py", *words]
    code = command(words)
    seconds = time.perf_counter() - start
    out.write_text(json.dumps({"seconds": seconds, "told": told}))
    return code


def measure(folder: Path, words: list[str]) -> dict[str, Any]:
    """Returns what a run took, in a process of its own."""
    out, log = folder / "told.json", folder / "log.txt"
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, __file__, "--out", str(out), "--", *words], stdout=output, stderr=output,
            env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}, check=False,
        )  # fmt: skip
    if done.returncode:
        sys.exit(log.read_text())
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def print_share(title: str, found: dict[str, Any], file: Path | None) -> None:
    """Prints a table of what was timed in a run, and keeps it in a file if there is one."""
    print(f"{title}: {found['seconds']:.1f} s")
    print(f"  {'':<20} {'calls':>7} {'seconds':>9} {'share':>7}")
    for what, calls in found["told"].items():
        print(f"  {what:<20} {len(calls):>7} {sum(calls):>9.3f} {sum(calls) / found['seconds']:>7.2%}")
    total = sum(map(sum, found["told"].values()))
    share = {what: sum(calls) / found["seconds"] for what, calls in found["told"].items()}
    results.keep(file, "reliability", {"run": title}, {"seconds": found["seconds"], **share})
    print(f"  {'all of it':<20} {'':>7} {total:>9.3f} {total / found['seconds']:>7.2%}", flush=True)


def print_manifest(folder: Path, files: int, size: int) -> None:
    """Measures the manifest of an output of some files that take `size` bytes together, and prints it."""
    from pipeline.history.manifest import damage, write_manifest
    from unet import files as hashes

    output = folder / "artifacts" / "Component" / "key" / "1"
    output.mkdir(parents=True)
    for number in range(files):
        (output / f"{number:06d}").write_bytes(os.urandom(size // files))
    manifest = ""

    def write() -> None:
        nonlocal manifest
        manifest = write_manifest(output)

    def compare(contents: bool) -> None:
        hashes._hashes.clear()  # as a new process begins
        assert not damage(output, manifest, contents)

    print(f"an output of {files} files, {size / 1e6:.0f} MB")
    steps = {
        "manifest written, with flushing": write,
        "sizes compared": lambda: compare(False),
        "contents compared": lambda: compare(True),
    }
    for what, step in steps.items():
        start = time.perf_counter()
        step()
        seconds = time.perf_counter() - start
        print(f"  {what:<32} {seconds:>8.3f} s {seconds / size * 1e9:>8.2f} s/GB", flush=True)


def main() -> int:
    """Measures a run, its repetition, and one large output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a run of a minute instead of the default one")
    parser.add_argument("--set", action="append", default=[], help="a setting of the pipeline, KEY=VALUE")
    parser.add_argument("--files", type=int, default=200, help="files of the synthetic output")
    parser.add_argument("--megabytes", type=int, default=200, help="size of the synthetic output")
    results.add_argument(parser)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out:
        return run(options.words, options.out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ["run", "--root", str(folder / "root")]
        if options.tiny:
            from data.synthetic import write_cells

            write_cells(folder / "data", 10, (96, 96), seed=1)
            words += ["--data", str(folder / "data")]
        for setting in (*(TINY if options.tiny else ()), *options.set):
            words += ["--set", setting]
        print_share("a run", measure(folder, words), options.json)
        # With an id, as a run to which nothing is new asks no component.
        print_share("the same run again", measure(folder, [*words, "--run-id", "again"]), options.json)
        print_manifest(folder, options.files, options.megabytes * 10**6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
