"""Shows the main results beside peers in one Markdown table, from what `make bench` left."""

from __future__ import annotations

import json
import statistics
from typing import Any

from docs.generators import quality, speed

_NAMES = {
    "monai": "MONAI's residual U-Net",
    "dynunet": "DynUNet",
    "smp": "segmentation-models-pytorch",
}
_SETS = {"isbi": "membranes of ISBI 2012", "nuclei": "the bundled nuclei"}
_SIZE, _FILTERS = 2048, 8  # of the whole image that is shown


def markdown() -> str:
    """Returns a table with a row for each comparison: what was measured, ours, and the peers."""
    lines = ["| | this pipeline | others |", "|---|---|---|"]
    results: list[dict[str, Any]] = json.loads(quality.FILE.read_text(encoding="utf-8"))
    for name in _SETS:
        for minutes in sorted({row["minutes"] for row in results if row["set"] == name}):
            rows = [row for row in results if (row["set"], row["minutes"]) == (name, minutes)]
            lines.append(_scores(name, minutes, rows))
    return "\n".join([*lines, *_speeds()])


def _scores(name: str, minutes: float, rows: list[dict[str, Any]]) -> str:
    """The row of a set: mean scores of those who were measured with all held-out images of ours."""
    trainings = {(row["fold"], row["seed"]) for row in rows if row["method"] == "ours"}
    keys = [key for key in quality.SCORES if key in rows[0]["scores"][0]]
    told = {}
    for method in ("ours", *_NAMES):
        found = [row for row in rows if row["method"] == method and (row["fold"], row["seed"]) in trainings]
        if len(found) == len(trainings):
            means = [statistics.mean(row["scores"][0][key] for row in found) for key in keys]
            told[method] = ", ".join(f"{mean:.4f}" for mean in means)
    shown = ", ".join(quality.SCORES[key] for key in keys)
    what = f"{_SETS[name]} after {minutes:g} minutes, {quality.held_out(name, trainings)} held out: {shown}"
    others = "; ".join(f"{label} {told[method]}" for method, label in _NAMES.items() if method in told)
    return f"| {what} | {told['ours']} | {others} |"


def _speeds() -> list[str]:
    """The rows of a training step and of a whole image."""
    steps = speed.rows_of("step")
    filters = ", ".join(str(row["base_filters"]) for row in steps)
    ours, others = (
        ", ".join(f"{statistics.median(row[way]):.0f}" for row in steps)
        for way in ("the pipeline", "PyTorch")
    )
    shares = ", ".join(f"{speed.ratio(row, 'PyTorch'):.2f}" for row in steps)
    images = [row for row in speed.rows_of("image") if (row["size"], row["filters"]) == (_SIZE, _FILTERS)]
    rates = {row["way"]: f"{speed.rate(row):.3g}" for row in images}
    return [
        f"| a training step with {filters} filters, milliseconds | {ours} | the same network in PyTorch, "
        f"eager, channels_last: {others}; the pipeline takes {shares} of it |",
        f"| an image of {_SIZE} x {_SIZE}, {_FILTERS} filters, megapixels a second | {rates['aligned']} | "
        f"PyTorch, the whole image at once: {rates['whole']}; MONAI's sliding window: {rates['sliding']} |",
    ]
