"""Shapes of the documentation's pictures, as SVG.

The colors are legible on white and on black, so one picture serves the light and the dark page; text outside
of filled shapes is gray.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

GRAY = "#7d7d7d"
BLUE, TEAL, PLUM = "#2f5f96", "#1f7066", "#7a4a8c"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def text(x: float, y: float, words: str, *, size: int = 13, fill: str = "#fff", more: str = "") -> str:
    """Returns one line of text; `more` holds further attributes, such as its anchor."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" {more}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, *, radius: int = 5) -> str:
    """Returns a filled rectangle with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" fill="{fill}"/>'


def line(points: Iterable[tuple[float, float]], color: str, *, arrow: bool = False) -> str:
    """Returns a line through points, with or without an arrow at its end."""
    path = " L".join(f"{x:g} {y:g}" for x, y in points)
    ends = ' marker-end="url(#arrow)"' if arrow else ""
    return f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="1.6"{ends}/>'


def picture(width: float, height: float, title: str, description: str, shapes: Iterable[str]) -> str:
    """Returns a whole SVG file, with a title and description for screen readers."""
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{GRAY}"/></marker></defs>'
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" font-family="{FONT}">'
    )
    words = f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>"
    return "\n".join([head, words, arrow, *shapes, "</svg>"]) + "\n"
