"""Keeps what benchmarks measured in a JSON file: a row for each measurement, with the processor's name."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from pathlib import Path
from typing import Any


def processor() -> str:
    """Returns the processor's name as Linux tells it, and the number of cores."""
    names = re.findall(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.M)
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument `--json`, the file for `keep`."""
    parser.add_argument(
        "--json", type=Path, help="file to add the results to; equal measurements are replaced"
    )


def keep(file: Path | None, benchmark: str, what: dict[str, Any], found: dict[str, Any]) -> None:
    """Adds a row to a file, in place of one of the same measurement and processor, if there is a file.

    Args:
        file: a JSON file with a list; it is made if it does not exist.
        benchmark: name of the benchmark.
        what: what was measured: sizes, filters, the way.
        found: what was found.
    """
    if file is None:
        return
    key = {"benchmark": benchmark, "processor": processor(), **what}
    rows = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    rows = [row for row in rows if not key.items() <= row.items()]
    rows.append({**key, **found})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
