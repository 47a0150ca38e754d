"""Draws docs/explanation/quality.svg: the scores of held-out membranes against the minutes of training.

.venv/bin/python -m docs.generators.curves_picture
"""

from __future__ import annotations

import itertools
import math
import statistics
from pathlib import Path

from benchmarks.quality import SCORES, scores_of
from docs.generators import quality
from docs.generators.svg import BLUE, GRAY, PLUM, TEAL, box, line, picture, text

FILE = Path(__file__).resolve().parents[1] / "explanation" / "quality.svg"
SET, PRECISION = "isbi", "bfloat16"
COLORS = {"ours": BLUE, "monai": TEAL, "smp": PLUM}
WIDTH, HEIGHT, GAP, TOP = 200.0, 150.0, 64.0, 40.0  # of a panel, between two, and above them

Points = list[tuple[float, float]]  # minutes and mean score


def curves() -> dict[str, dict[str, list[Points]]]:
    """Returns the points of each score and method, without and with test-time augmentation.

    A method has a point where all held-out sets of this pipeline were measured with it, with the first seed.
    """
    found: dict[str, dict[str, list[Points]]] = {}
    for (name, minutes, precision), rows in quality.results().items():
        if (name, precision) != (SET, PRECISION):
            continue
        for method, of in quality.measured(rows, quality.of_first_seed(rows)).items():
            for score, augmented in itertools.product(scores_of(of) if method in COLORS else (), (0, 1)):
                mean = statistics.mean(row["scores"][augmented][score] for row in of)
                points = found.setdefault(score, {}).setdefault(method, [[], []])
                points[augmented].append((minutes, mean))
    return found


def draw() -> str:
    """Returns the picture as the text of an SVG file."""
    shapes: list[str] = []
    each = curves()
    for number, (score, methods) in enumerate(each.items()):
        left = GAP + number * (WIDTH + GAP)
        every = [point for both in methods.values() for points in both for point in points]
        minutes = sorted({at for at, _ in every})
        low, high = min(value for _, value in every), max(value for _, value in every)
        span = (high - low) * 1.1 or 1.0

        def place(at: float, value: float) -> tuple[float, float]:
            share = math.log(at / minutes[0]) / math.log(minutes[-1] / minutes[0])  # noqa: B023
            return round(left + WIDTH * share, 1), round(TOP + HEIGHT * (1 - (value - low) / span), 1)  # noqa: B023

        head = quality.SCORES[score] + ("" if SCORES[SET][score] else ", less is better")
        shapes.append(text(left, TOP - 16, head, size=14, fill=GRAY))
        shapes.append(line([(left, TOP), (left, TOP + HEIGHT), (left + WIDTH, TOP + HEIGHT)], GRAY))
        for value in (low, high):
            words = text(left - 6, place(minutes[0], value)[1] + 4, f"{value:.3f}", size=12, fill=GRAY,
                         more='text-anchor="end"')  # fmt: skip
            shapes.append(words)
        for at in minutes:
            x = place(at, low)[0]
            shapes.append(
                text(x, TOP + HEIGHT + 18, f"{at:g}", size=12, fill=GRAY, more='text-anchor="middle"')
            )
        for method, both in methods.items():
            for points, dash in zip(both, ("", ' stroke-dasharray="5 4"'), strict=True):
                drawn = line([place(*point) for point in points], COLORS[method])
                shapes.append(drawn.replace("/>", f"{dash}/>"))
    bottom = TOP + HEIGHT + 44
    shapes.append(
        text(GAP, bottom, "minutes of training; dashed: with test-time augmentation", size=13, fill=GRAY)
    )
    for number, (method, color) in enumerate(COLORS.items()):
        y = bottom + 14 + 22 * number
        shapes += [box(GAP, y, 12, 12, color, radius=3)]
        shapes.append(text(GAP + 20, y + 11, quality.METHODS[method], size=14, fill=GRAY))
    title = "Scores of held-out membranes against the minutes of training"
    description = "the mean over three blocks of slices of ISBI 2012, as in the tables of this page"
    return picture(
        GAP + len(each) * (WIDTH + GAP), bottom + 22 * len(COLORS) + 20, title, description, shapes
    )


def main() -> None:
    """Writes the picture to its file."""
    FILE.write_text(draw(), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
