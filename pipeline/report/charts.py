"""Small SVG charts with the width of a phone; the style sheet sets colors and strokes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 340, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 40
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A named line; points that are not finite are gaps."""

    name: str
    points: Sequence[tuple[float | None, float | None]]


class Frame:
    """The axes of a chart, the positions of values, and the shapes drawn so far."""

    def __init__(self, x: Point, y: Point, x_label: str, counts: bool = False, log: bool = False):
        """Draws the axes.

        Args:
            x: lowest and highest value of the x axis.
            y: lowest and highest value of the y axis.
            x_label: label under the x axis.
            counts: whether the values of y are integers.
            log: whether x is on a logarithmic scale; its values must be above 0 then.
        """
        self._log = log
        self._x, self._y = x, y
        self._parts: list[Markup] = []
        bottom = _HEIGHT - _BOTTOM
        for value, text in _ticks(*y, 4, least=1 if counts else 0):
            at = self.y(value)
            self.add(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            self.add(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
        for value, text in _decades(*x) if log else _ticks(*x, 5):
            self.add(f'<text x="{self.x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
        self.add(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>')
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        self._parts.append(
            Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                middle, _HEIGHT - 6, x_label
            )
        )

    def x(self, value: float) -> float:
        """Returns the distance of a value from the left edge."""
        low, high = self._x
        if self._log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Returns the distance of a value from the top edge."""
        low, high = self._y
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def add(self, shape: str, title: str = "") -> None:
        """Adds an SVG shape, with a text that appears when the mouse points at it."""
        if title:
            name = shape[1 : shape.index(" ")]
            shape = f"{shape.removesuffix('/>')}><title>{escape(title)}</title></{name}>"
        self._parts.append(Markup(shape))

    def svg(self, title: str) -> Markup:
        """Returns the chart; `title` describes it for screen readers."""
        head = '<svg class="chart" role="img" viewBox="0 0 {} {}" aria-label="{}">'
        return Markup(head).format(_WIDTH, _HEIGHT, title) + Markup("").join(self._parts) + Markup("</svg>")


def lines(
    title: str,
    series: Sequence[Series],
    x_label: str,
) -> Markup:
    """Draws lines over a common x axis.

    Args:
        title: description of the chart for screen readers.
        series: one to three lines, with at least one point in all.
        x_label: label under the x axis.

    Raises:
        ValueError: no point is finite.
    """
    kept = [[p for point in s.points if (p := _finite(point))] for s in series]
    points = [point for line in kept for point in line]
    if not points:
        raise ValueError(f"{title}: no value is a number")
    y = _padded([p[1] for p in points])
    frame = Frame((0, max(1.0, *(p[0] for p in points))), y, x_label)
    for i, (line, s) in enumerate(zip(kept, series, strict=True), 1):
        path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in line)
        frame.add(f'<polyline class="line s{i}" points="{path}"/>')
        few = line if len(line) <= 60 else line[:: math.ceil(len(line) / 60)]
        for a, b in few:
            frame.add(
                f'<circle class="dot s{i}" cx="{frame.x(a):.1f}" cy="{frame.y(b):.1f}" r="3"/>',
                f"{s.name}, {x_label} {a:.6g}: {b:.4g}",
            )
    return frame.svg(title)


def histogram(
    title: str,
    values: Iterable[float | None],
    x_label: str,
    marks: Mapping[str, float | None],
    bins: int = 20,
) -> Markup:
    """Draws the histogram of values from 0 to 1, with vertical marks.

    Raises:
        ValueError: no value is finite.
    """
    known = [v for v in values if v is not None and math.isfinite(v)]
    if not known:
        raise ValueError(f"{title}: no value is a number")
    low = math.floor(10 * min(0.9, *known)) / 10 if min(known) >= 0 else min(known)
    high = max(1.0, *known)
    counts = [0] * bins
    for value in known:
        counts[min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    frame = Frame((low, high), (0, max(counts) * 1.08), x_label, counts=True)
    step = (high - low) / bins
    for i, n in enumerate(counts):
        if n:
            left, right = frame.x(low + i * step), frame.x(low + (i + 1) * step)
            top, bottom = frame.y(n), frame.y(0)
            frame.add(
                f'<rect class="bar" x="{left + 0.75:.1f}" width="{right - left - 1.5:.1f}" y="{top:.1f}"'
                f' height="{bottom - top:.1f}"/>',
                f"{low + i * step:.2f} to {low + (i + 1) * step:.2f}: {n}",
            )
    for i, (name, mark) in enumerate(marks.items(), 1):
        if mark is not None and low <= mark <= high:
            at = frame.x(mark)
            frame.add(
                f'<line class="mark m{i}" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 6}"'
                f' y2="{_HEIGHT - _BOTTOM}"/>',
                f"{name}: {mark:.3f}",
            )
    return frame.svg(title)


def reliability_diagram(title: str, bins: Sequence[tuple[float, float, float]]) -> Markup:
    """Draws a calibration curve: (confidence, accuracy, share of pixels), all 0 to 1, and the diagonal."""
    frame = Frame((0, 1), (0, 1), "probability that the model gave")
    frame.add(_diagonal(frame))
    path = " ".join(f"{frame.x(c):.1f},{frame.y(a):.1f}" for c, a, _ in bins)
    frame.add(f'<polyline class="line s1" points="{path}"/>')
    for confidence, accuracy, share in bins:
        frame.add(
            f'<circle class="dot s1" cx="{frame.x(confidence):.1f}" cy="{frame.y(accuracy):.1f}"'
            f' r="{2.5 + 5 * math.sqrt(share):.1f}"/>',
            f"probability {confidence:.2f}: {accuracy:.1%} right, {share:.1%} of the pixels",
        )
    return frame.svg(title)


def scatter(title: str, points: Sequence[tuple[float, float, str]], x_label: str) -> Markup:
    """Draws a dot for each named point (x, y), beside the diagonal on which both values are equal."""
    values = [value for a, b, _ in points for value in (a, b)]
    low, high = min(0.9, *values), max(1.0, *values)
    low = math.floor(low * 10) / 10
    frame = Frame((low, high), (low, high), x_label)
    frame.add(_diagonal(frame))
    for a, b, name in points:
        frame.add(
            f'<circle class="dot s1 open" cx="{frame.x(a):.1f}" cy="{frame.y(b):.1f}" r="3.5"/>',
            f"{name}: {a:.3f}, {b:.3f}",
        )
    return frame.svg(title)


def trials(title: str, points: Sequence[tuple[float, float | None, str]], x_label: str) -> Markup:
    """Draws a dot for each trial of a search, the best one filled.

    Args:
        title: description of the chart for screen readers.
        points: searched value (above 0, on a logarithmic scale), score from 0 to 1 (None: no score), and the
            text of the dot; at least one point.
        x_label: label under the x axis.
    """
    values = [value for value, _, _ in points]
    scores = [score for _, score, _ in points if score is not None]
    frame = Frame((min(values) / 1.2, max(values) * 1.2), (0, max([0.1, *scores]) * 1.05), x_label, log=True)
    for value, score, text in points:
        x, y = frame.x(value), frame.y(score or 0)
        if score is None:
            frame.add(f'<path class="line s1" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"/>', text)
        else:
            kind = "" if score == max(scores) else " open"
            frame.add(f'<circle class="dot s1{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>', text)
    return frame.svg(title)


def spark(title: str, bars: Sequence[tuple[float, float, float]], low: float, high: float) -> Markup:
    """Draws a histogram without axes: bars of (from, to, count) between `low` and `high`."""
    width, height = 120, 26
    most = max((n for _, _, n in bars), default=0) or 1
    scale = (width - 2) / (high - low) if high > low else 0
    shapes = []
    for left, right, n in bars:
        if n > 0:
            x = (left - low) * scale if scale else width / 2
            shapes.append(
                f'<rect class="bar" x="{x:.1f}" y="{height - n / most * height:.1f}"'
                f' width="{max((right - left) * scale, 2):.1f}" height="{n / most * height:.1f}"/>'
            )
    head = '<svg class="spark" role="img" viewBox="0 0 {} {}" width="{}" height="{}" aria-label="{}">'
    return (
        Markup(head).format(width, height, width, height, title) + Markup("".join(shapes)) + Markup("</svg>")
    )


def _diagonal(frame: Frame) -> str:
    (left, right), (low, high) = frame._x, frame._y
    a, b = (frame.x(left), frame.y(low)), (frame.x(right), frame.y(high))
    return f'<line class="even" x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"/>'


def _finite(point: tuple[float | None, float | None]) -> Point | None:
    a, b = point
    return (a, b) if a is not None and b is not None and math.isfinite(a) and math.isfinite(b) else None


def _padded(values: Sequence[float]) -> Point:
    """Returns the ends of an axis for values, with a margin."""
    low, high = min(values), max(values)
    if high == low:
        return (min(0.0, 2 * low), max(0.0, 2 * high) or 1.0)
    margin = 0.06 * (high - low)
    return (max(0.0, low - margin) if low >= 0 else low - margin, high + margin)


def _ticks(low: float, high: float, about: int, least: float = 0) -> list[tuple[float, str]]:
    """Returns round values from `low` to `high`, at least `least` apart, and their text."""
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= min((1, 2, 5, 10), key=lambda factor: abs((high - low) / (factor * step) - about))
    step = max(step, least)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, _text(i * step, digits)) for i in range(first, last + 1)]


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    """Returns the ticks of a logarithmic axis, 1, 2 and 5 of each power of ten, and their text."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (digit * 10.0**power for power in powers for digit in (1, 2, 5))
    return [(value, f"{value:.0e}".replace("e-0", "e−")) for value in values if low <= value <= high]


def _text(value: float, digits: int) -> str:
    """Formats a round value; small ones as 5e−4."""
    if value and digits > 3:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", "−")
    return f"{value:,.{0 if not value else digits}f}".replace("-", "−")
