"""The plot of a search, score against learning rate, as SVG: text, so that no library has to draw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from unet.training.search import Row

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 420, 60, 20, 40, 50
# Of Okabe and Ito 2008, without the ones that are hard to see on white or on black.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
_STYLE = """<style>
rect { fill: white } text { fill: #333 } .ring { stroke: black } line { stroke: #ddd }
@media (prefers-color-scheme: dark) {
  rect { fill: #13171c } text { fill: #c5ccd5 } .ring { stroke: white } line { stroke: #343c46 }
}
</style>"""


def plot(rows: Sequence[Row], choice: dict[str, Any], title: str) -> str:
    """A dot a trial, larger the longer it was; a cross where it has no score; a ring around the choice.

    Args:
        rows: at least one trial.
        choice: the values chosen.
        title: above the plot.

    Returns:
        An SVG document. The colour tells the values besides the learning rate; a trial under the mouse says
        all about itself.
    """
    logs = [math.log10(row.choice["learning_rate"]) for row in rows]
    margin = 0.05 * (max(logs) - min(logs)) or 0.1
    low, high = min(logs) - margin, max(logs) + margin
    top = max([0.1, *(math.ceil(10 * row.score) / 10 for row in rows if row.score is not None)])

    def x(log: float) -> float:
        return _LEFT + (log - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(score: float) -> float:
        return _HEIGHT - _BOTTOM - score / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_text(_LEFT, 22, title, "start", 15)]
    for tick in (i * top / 5 for i in range(6)):
        parts.append(_line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick)))
        parts.append(_text(_LEFT - 8, y(tick) + 4, f"{tick:.2g}", "end"))
    decades = range(math.floor(low), math.ceil(high) + 1)
    digits = (1, 2, 5) if high - low > 1.5 else (1, 2, 3, 4, 5, 7)
    for value in (digit * 10.0**decade for decade in decades for digit in digits):
        if low <= (log := math.log10(value)) <= high:
            parts.append(_line(x(log), _TOP, x(log), y(0)))
            parts.append(_text(x(log), y(0) + 18, f"{value:.0e}"))
    parts.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 10, "learning rate"))

    kinds = list(dict.fromkeys(_kind(row) for row in rows))
    longest = max(row.steps for row in rows)
    # Hyperband tries the same values more than once: the longest counts.
    tried = [row for row in rows if row.choice == choice and row.score is not None]
    chosen = max(tried, key=lambda row: row.steps, default=None)
    for row, log in zip(rows, logs, strict=True):
        colour = _COLOURS[kinds.index(_kind(row)) % len(_COLOURS)]
        values = ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                           for name, value in row.choice.items())  # fmt: skip
        score = "no score" if row.score is None else f"IoU {row.score:.3f}"
        said = f"trial {int(row.trial) + 1}: {values}; {row.steps} steps, {row.status}, {score}. {row.reason}"
        size = 3 + 3 * math.sqrt(row.steps / longest)
        if row.score is None:
            mark = f'<path d="M{x(log) - 5:.1f} {y(0) - 5:.1f}l10 10m0 -10l-10 10" stroke="{colour}"'
        else:
            mark = f'<circle cx="{x(log):.1f}" cy="{y(row.score):.1f}" r="{size:.1f}" fill="{colour}"'
            if row is chosen:
                ring = f'<circle cx="{x(log):.1f}" cy="{y(row.score):.1f}" r="{size + 4:.1f}" fill="none"'
                parts.append(f'{ring} class="ring"/>')
        parts.append(f'{mark} stroke-width="2"><title>{escape(said)}</title></{mark[1:].split()[0]}>')
    for i, kind in enumerate(kinds if len(kinds) > 1 else []):
        colour = _COLOURS[i % len(_COLOURS)]
        parts.append(f'<circle cx="{_LEFT + 12}" cy="{_TOP + 12 + 18 * i}" r="5" fill="{colour}"/>')
        parts.append(_text(_LEFT + 24, _TOP + 16 + 18 * i, kind, "start"))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">'
    )
    return "\n".join([head, _STYLE, '<rect width="100%" height="100%"/>', *parts, "</svg>\n"])


def _kind(row: Row) -> str:
    """The values besides the learning rate."""
    return ", ".join(f"{name} {value}" for name, value in row.choice.items() if name != "learning_rate")


def _text(x: float, y: float, words: str, anchor: str = "middle", size: int = 12) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f"<text {where}>{escape(words)}</text>"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
