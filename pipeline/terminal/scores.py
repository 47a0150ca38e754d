"""The scores of a model on labeled images as tables: over all images, of each class, of the worst images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.terminal.console import make_table
from pipeline.terminal.verdict import in_its_words, objects_in_words
from unet.evaluation.results import Check, ImageRow, Number, Verdict
from unet.metrics.names import CLASS_KINDS, LOWER_IS_BETTER

WORST = 20  # images that are listed
_OF_AN_IMAGE = {
    "foreground_iou": "foreground IoU",
    "mean_iou": "mean IoU",
    "pixel_error": "pixel error",
    "boundary_f1": "boundary F1",
}
_NAME = 40  # columns; longer names are broken
_ENDS = (("value", ".4f"), ("low", ".3f"), ("high", ".3f"))


def print_scores(
    model: Path, data: Path, verdict: Verdict, rows: Sequence[ImageRow], first: int, console: Console
) -> None:
    """Prints three tables and whether the thresholds are met.

    Args:
        model: folder of the model.
        data: folder of the images and masks.
        verdict: metrics with their intervals, and the checks of the thresholds.
        rows: a row for each image.
        first: index of the first class that counts.
        console: the console to print to.
    """
    verdict = in_its_words(verdict)
    count = verdict["images"]
    console.print(Text(f"{model} on {count} image{'' if count == 1 else 's'} of {data}\n"), soft_wrap=True)
    console.print(_overall(verdict))
    console.print()
    console.print(_classes(verdict, first))
    for line in objects_in_words(verdict):
        console.print(Text(line), soft_wrap=True)
    console.print()
    console.print(_images(rows, first))
    if len(rows) > WORST:
        console.print(Text(f"The worst {WORST} of {len(rows)}; all of them: --out", "dim"), soft_wrap=True)
    if verdict["checks"]:
        met = verdict["blessed"]
        text = "All thresholds are met" if met else f"Not met: {verdict['reason']}"
        console.print(Text(f"\n{text}", "bold green" if met else "bold red"), soft_wrap=True)


def _table(*names: str) -> Table:
    table = make_table()
    table.add_column(names[0], max_width=_NAME, overflow="fold")
    for name in names[1:]:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _overall(verdict: Verdict) -> Table:
    """A row for each metric that is not of one class, and for each further threshold."""
    table = _table("metric", "value", "95 % from", "to", "demanded", "")
    of_a_class = {f"{kind}_{name}" for kind in CLASS_KINDS for name in verdict["classes"]}
    checks = {(check["metric"], check["slice"]): check for check in verdict["checks"]}
    for name, metric in verdict["metrics"].items():
        check = checks.pop((name, ""), None)
        if check or name not in of_a_class:
            cells = (_number(metric[end], form) for end, form in _ENDS)  # type: ignore[literal-required]
            _add(table, name, *cells, check=check)
    for check in checks.values():
        cells = (_number(check[end], form) for end, form in _ENDS)  # type: ignore[literal-required]
        _add(table, f"{check['metric']} @ {check['slice']}", *cells, check=check)
    return table


def _add(table: Table, *cells: str, check: Check | None) -> None:
    demand, result = "", ""
    if check:
        demand = f"{'<=' if check['metric'] in LOWER_IS_BETTER else '>='} {check['bound']:g}"
        result = "met" if check["passed"] else "NOT MET"
    style = {"met": "green", "NOT MET": "red"}.get(result, "")
    table.add_row(*map(Text, (*cells, demand, result)), style=style)


def _classes(verdict: Verdict, first: int) -> Table:
    """A row for each class; outlines and objects of a background are not measured."""
    names = ("Dice", "precision", "recall", "boundary F1", "object F1")
    table = _table("class", "IoU", "95 % from", "to", *names)
    for index, name in enumerate(verdict["classes"]):
        found = verdict["metrics"]
        iou = found[f"iou_{name}"]
        kinds = CLASS_KINDS[1 : 1 + len(names)] if index >= first else CLASS_KINDS[1:4]
        cells = [_number(found[f"{kind}_{name}"]["value"], ".4f") for kind in kinds]
        ends = [_number(iou[end], form) for end, form in _ENDS]  # type: ignore[literal-required]
        table.add_row(*map(Text, (name, *ends, *cells)))
    return table


def _images(rows: Sequence[ImageRow], first: int) -> Table:
    """A row for each of the worst images, the worst first; those without a score last."""
    names = list(_OF_AN_IMAGE)[0 if first else 1 :]  # without a background the first two are the same
    table = _table("image", "size", *(_OF_AN_IMAGE[name] for name in names))
    for row in sorted(rows, key=_badness)[:WORST]:
        cells = [_number(row["metrics"][name], ".4f") for name in names]
        table.add_row(*map(Text, (row["name"], f"{row['width']} x {row['height']}", *cells)))
    return table


def _badness(row: ImageRow) -> tuple[bool, float, str]:
    score = row["metrics"]["foreground_iou"]
    return (True, 0.0, row["name"]) if score is None or score != score else (False, score, row["name"])


def _number(value: Number, form: str) -> str:
    return "" if value is None or value != value else format(value, form)
