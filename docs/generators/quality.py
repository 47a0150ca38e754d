"""Shows the scores of held-out images after equal minutes, beside peers, in Markdown tables.

From benchmarks/quality.json, which `benchmarks/quality.py --out` writes as `results.json`.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "quality.json"
METHODS = {
    "ours": "this pipeline",
    "monai": "MONAI, residual U-Net",
    "dynunet": "MONAI, DynUNet as nnU-Net plans it",
    "smp": "segmentation-models-pytorch, U-Net with ResNet-18",
}
# Score -> its name, and whether more is better.
SCORES = {
    "pixel_error": ("pixel error", False),
    "v_rand": ("V_rand", True),
    "v_info": ("V_info", True),
    "foreground_iou": ("foreground IoU", True),
}
SETS = {"isbi": "Membranes of ISBI 2012", "nuclei": "Nuclei"}


def markdown() -> str:
    """Returns a table for each set and number of minutes; the best mean of a column is bold."""
    results: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    lines: list[str] = []
    for name, minutes in sorted({(row["set"], row["minutes"]) for row in results}):
        rows = [row for row in results if (row["set"], row["minutes"]) == (name, minutes)]
        lines += [f"### {SETS[name]}, {minutes:g} minutes", "", *table(rows), ""]
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Returns the lines of a table: a row for each method, a column for each score, without and with TTA."""
    scores = list(rows[0]["scores"][0])
    columns = [(augmented, score) for augmented in (0, 1) for score in scores]
    by_method = {
        method: [row for row in rows if row["method"] == method]
        for method in METHODS
        if any(row["method"] == method for row in rows)
    }
    values = {
        method: [[row["scores"][augmented][score] for row in found] for augmented, score in columns]
        for method, found in by_method.items()
    }
    means = {method: [statistics.mean(of) for of in columns_] for method, columns_ in values.items()}
    best = [
        (max if SCORES[score][1] else min)(mean[i] for mean in means.values())
        for i, (_, score) in enumerate(columns)
    ]
    heads = [SCORES[score][0] + (", TTA" if augmented else "") for augmented, score in columns]
    lines = [
        "| | trainings | steps | " + " | ".join(heads) + " |",
        "|---|" + "---|" * (len(columns) + 2),
    ]
    for method, found in by_method.items():
        cells = []
        for i, mean in enumerate(means[method]):
            shown = f"**{mean:.4f}**" if mean == best[i] else f"{mean:.4f}"
            cells.append(f"{shown} ± {statistics.pstdev(values[method][i]):.3f}")
        steps = statistics.median(row["steps"] for row in found)
        lines.append(f"| {METHODS[method]} | {len(found)} | {steps:.0f} | " + " | ".join(cells) + " |")
    return lines
