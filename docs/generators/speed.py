"""Shows how fast a training step and a whole image are, beside peers, in Markdown tables.

From benchmarks/speed.json, which `python -m benchmarks --json` writes.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "speed.json"
STEPS = {
    "the pipeline": "the pipeline: its data and its compiled step",
    "in memory": "the same step, on a batch that stays in memory",
    "bare Keras": "bare Keras: `train_on_batch`, on that batch",
    "PyTorch": "PyTorch, eager, channels_last, on a batch in memory",
}
WAYS = {
    "aligned": "the exported model",
    "naive": "naive tiles of 572, 388 apart, with seams",
    "half": "patches of 572, half overlapping, averaged",
    "whole": "PyTorch, eager, channels_last, the whole image at once",
    "sliding": "PyTorch, MONAI's sliding window: patches of 576, half overlapping",
}


def steps() -> list[dict[str, Any]]:
    """Returns the results of training steps, those of small networks first."""
    return sorted(_rows_of("step"), key=lambda row: int(row["base_filters"]))


def images() -> list[dict[str, Any]]:
    """Returns the results of whole images."""
    return _rows_of("image")


def _rows_of(benchmark: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return [row for row in rows if row["benchmark"] == benchmark]


def markdown() -> str:
    """Returns a heading, the machine and a table for steps and for whole images."""
    return f"{_steps(steps())}\n\n{_images(images())}"


def ratio(row: dict[str, Any], way: str) -> float:
    """Returns how much of the time of another way a step of the pipeline takes: the median over rounds."""
    return statistics.median(ours / of for ours, of in zip(row["the pipeline"], row[way], strict=True))


def rate(row: dict[str, Any]) -> float:
    """Returns megapixels a second of the fastest pass over a whole image."""
    return float(row["size"] ** 2 / min(row["seconds"]) / 1e6)


def _table(
    title: str, rows: Sequence[dict[str, Any]], head: Sequence[str], lines: Sequence[Sequence[str]]
) -> str:
    machines = ", ".join(sorted({row["processor"] for row in rows}))
    shown = [head, ["---"] * len(head), *lines]
    return f"## {title}\n\n{machines}.\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in shown)


def _steps(rows: Sequence[dict[str, Any]]) -> str:
    head = ["milliseconds a step"]
    for row in rows:
        side = row["patch_size"]
        size = f"batch of {row['batch_size']}, {side} x {side} pixels"
        head.append(f"{row['base_filters']} filters, {size}, {row['precision']}")
    lines = []
    for way, label in STEPS.items():
        cells = [label]
        for row in rows:
            taken = statistics.median(row[way])
            share = 1000 * row["operations"] / taken / row["multiplied"]
            compared = "" if way == "the pipeline" else f"; the pipeline takes {ratio(row, way):.2f} of it"
            cells.append(f"{taken:.0f} ({share:.2f}){compared}")
        lines.append(cells)
    return _table("A training step", rows, head, lines)


def _images(rows: Sequence[dict[str, Any]]) -> str:
    by_key = {(row["size"], row["filters"], row["way"]): row for row in rows}
    lines = []
    for size, filters in sorted({key[:2] for key in by_key}):
        for way, label in WAYS.items():
            if not (row := by_key.get((size, filters, way))):
                continue  # it took more memory than there was
            share = row.get("of the matrix multiplications")
            lines.append(
                [
                    f"{size} x {size}",
                    f"{filters}",
                    label,
                    f"{rate(row):.3g}",
                    f"{rate(by_key[size, filters, 'aligned']) / rate(row):.1f}",
                    f"{row['bytes'] / 1e9:.1f}",
                    "" if share is None else f"{share:.2f}",
                ]
            )
    head = ["pixels", "filters", "way", "megapixels/s", "the exported model is so many times as fast"]
    return _table("A whole image", rows, [*head, "peak GB", "share"], lines)
