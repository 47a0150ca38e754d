"""Measures what a run in parts costs more than a whole run, and what a night of nothing new costs each way.

    python benchmarks/parts.py
    python benchmarks/parts.py --repeats 3

Tiny synthetic cells, so that little else is measured: five processes import TensorFlow and TFX where one
does. What a process takes that does nothing else is measured, too. Whole runs and runs in parts take turns,
each from an empty root, then again on the same data.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from benchmarks import results  # noqa: E402
from data.synthetic import write_cells  # noqa: E402
from pipeline import stages  # noqa: E402

SETTINGS = (
    "base_filters=4", "depth=2", "patch_size=76", "steps=40", "validate_every=20", "tune=never",
    "thresholds={ pixel_error = 0.99 }",
)  # fmt: skip


IMPORTS = """
import gc
from pipeline.process import environment, memory
environment.prepare()
from pipeline.commands import run
with memory.uncollected():
    from pipeline import graph
    from pipeline.engine import runner
gc.freeze()
"""


def spent(words: Sequence[object]) -> tuple[float, float]:
    """Runs Python; returns its seconds, and the processor seconds of it and what it started."""
    start, before = time.monotonic(), os.times()
    done = subprocess.run([sys.executable, *map(str, words)], text=True, capture_output=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - start, used


def night(data: Path, root: Path, run_id: str, in_parts: bool) -> tuple[float, float]:
    """Runs the pipeline once; returns seconds and processor seconds of all processes."""
    words = ["run", "--data", data, "--root", root, *(w for one in SETTINGS for w in ("--set", one))]
    parts = [["--only", stage, "--run-id", run_id] for stage in stages.NAMES] if in_parts else [[]]
    both = [spent(["run_pipeline.py", *words, *part]) for part in parts]
    return sum(wall for wall, _ in both), sum(used for _, used in both)


def main() -> None:
    """Prints medians over the repeats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    results.add_argument(parser)
    options = parser.parse_args()
    repeats = options.repeats
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_cells(Path(folder, "data"), 8, (96, 96), seed=1)
        for repeat in range(repeats):
            found.setdefault("the imports alone", []).append(spent(["-c", IMPORTS]))
            for in_parts in (False, True):
                root = Path(folder, f"root-{repeat}-{in_parts}")
                for what in ("everything new", "nothing new"):
                    told = night(Path(folder, "data"), root, what.replace(" ", "-"), in_parts)
                    name = f"{what}, {'five parts' if in_parts else 'one run'}"
                    found.setdefault(name, []).append(told)
    print(f"{'':24}{'seconds':>10}{'processor s':>14}")
    for name, rows in found.items():
        wall, used = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:28}{wall:6.1f}{used:14.1f}", flush=True)
        results.keep(options.json, "parts", {"night": name}, {"seconds": wall, "processor seconds": used})


if __name__ == "__main__":
    main()
