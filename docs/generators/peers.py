"""Shows the main results beside peers in one Markdown table, from what `make bench` left."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.quality import scores_of
from docs.generators import quality, speed

_SIZE, _FILTERS = 2048, 8  # of the whole image that is shown


def markdown() -> str:
    """Returns a table with a row for each comparison: what was measured, ours, and the peers."""
    scores = [_scores(*key, rows) for key, rows in quality.results().items()]
    return "\n".join(["| | this pipeline | others |", "|---|---|---|", *scores, *_speeds()])


def _scores(name: str, minutes: float, precision: str, rows: list[dict[str, Any]]) -> str:
    """The row of a set: mean scores of those who were measured with all held-out images of ours."""
    trainings = quality.of_first_seed(rows)
    measured = quality.measured(rows, trainings)
    keys = list(scores_of([row for found in measured.values() for row in found]))
    means = {
        method: ", ".join(f"{statistics.mean(row['scores'][0][key] for row in found):.4f}" for key in keys)
        for method, found in measured.items()
    }
    ours, shown = means.pop("ours"), ", ".join(quality.SCORES[key] for key in keys)
    what = f"{quality.SETS[name]}, {minutes:g} minutes in {precision}"
    held_out = quality.held_out(name, trainings)
    others = "; ".join(f"{quality.METHODS[method]}: {mean}" for method, mean in means.items())
    return f"| {what}, {held_out} held out: {shown} | {ours} | {others} |"


def _speeds() -> list[str]:
    """The rows of a training step and of a whole image."""
    steps = speed.steps()
    filters = ", ".join(str(row["base_filters"]) for row in steps)
    ours, others = (
        ", ".join(f"{statistics.median(row[way]):.0f}" for row in steps)
        for way in ("the pipeline", "PyTorch")
    )
    shares = ", ".join(f"{speed.ratio(row, 'PyTorch'):.2f}" for row in steps)
    images = [row for row in speed.images() if (row["size"], row["filters"]) == (_SIZE, _FILTERS)]
    rates = {row["way"]: f"{speed.rate(row):.3g}" for row in images}
    return [
        f"| a training step with {filters} filters, milliseconds | {ours} | the same network in PyTorch, "
        f"eager, channels_last: {others}; the pipeline takes {shares} of it |",
        f"| an image of {_SIZE} x {_SIZE}, {_FILTERS} filters, megapixels a second | {rates['aligned']} | "
        f"PyTorch, the whole image at once: {rates['whole']}; MONAI's sliding window: {rates['sliding']} |",
    ]
