"""Measures what a run in parts costs more than a whole run, and what a night of nothing new costs each way.

    python benchmarks/parts.py
    python benchmarks/parts.py --repeats 3

Tiny synthetic cells, so that little else is measured: five processes load Python, TensorFlow and TFX where
one does. Whole runs and runs in parts take turns, each from an empty root, then again on the same data.
"""

from __future__ import annotations

import argparse
import json
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

from data.synthetic import write_cells  # noqa: E402
from pipeline import stages  # noqa: E402

SETTINGS = (
    "base_filters=4", "depth=2", "patch_size=76", "steps=40", "validate_every=20", "tune=never",
    "thresholds={ pixel_error = 0.99 }",
)  # fmt: skip


def spent(words: Sequence[object]) -> tuple[float, float]:
    """Runs a command; returns its seconds, and the processor seconds of it and what it started."""
    start, before = time.monotonic(), os.times()
    done = subprocess.run(
        [sys.executable, CHECKOUT / "run_pipeline.py", *map(str, words)], text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - start, used


def night(data: Path, root: Path, run_id: str, in_parts: bool) -> tuple[float, float, float]:
    """Runs the pipeline once; returns seconds, processor seconds and seconds of loading of all processes."""
    words = ["run", "--data", data, "--root", root, *(w for one in SETTINGS for w in ("--set", one))]
    parts = [["--only", stage, "--run-id", run_id] for stage in stages.NAMES] if in_parts else [[]]
    both = [spent([*words, *part]) for part in parts]
    record = json.loads(max((root / "runs").glob("*/run.json")).read_text())
    loading = record["components"].get("(loading)", {}).get("seconds", 0.0)
    return sum(wall for wall, _ in both), sum(used for _, used in both), loading


def main() -> None:
    """Prints medians over the repeats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    found: dict[tuple[str, bool], list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_cells(Path(folder, "data"), 8, (96, 96), seed=1)
        for repeat in range(repeats):
            for in_parts in (False, True):
                root = Path(folder, f"root-{repeat}-{in_parts}")
                for what in ("everything new", "nothing new"):
                    told = night(Path(folder, "data"), root, what.replace(" ", "-"), in_parts)
                    found.setdefault((what, in_parts), []).append(told)
    print(f"{'':24}{'seconds':>10}{'processor s':>14}{'of it loading, s':>18}")
    for (what, in_parts), rows in found.items():
        wall, used, loading = (statistics.median(column) for column in zip(*rows, strict=True))
        name = f"{what}, {'five parts' if in_parts else 'one run'}"
        print(f"{name:28}{wall:6.1f}{used:14.1f}{loading:18.1f}", flush=True)


if __name__ == "__main__":
    main()
