"""The verdict of the gate as one block of plain text: what was demanded, what was found, what was decided."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.console import Console

from unet.evaluation.results import Check, Number, Verdict
from unet.metrics.names import LOWER_IS_BETTER

_HEAD = ("metric", "model", "95 % interval", "demanded", "before", "margin", "")
_STATES = {
    "compared": "compared with",
    "none": "not compared:",
    "incomparable": "not comparable:",
    "rebaselined": "not compared:",
}
_GAP = "  "
_NAME = 20  # columns; longer names get a line of their own
CHANCE = "pass: may be chance"


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Prints the block: a table, or in a terminal that is too narrow for it a few lines for each check."""
    for line, style in block(verdict, console.width):
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def block(verdict: Verdict, width: int) -> Iterator[tuple[str, str]]:
    """Lines of the block, each with a style of rich's; ASCII alone, so that any terminal shows it.

    Args:
        verdict: of the gate.
        width: columns of the terminal; only single words make a line longer.
    """
    good, count = verdict["blessed"], verdict["images"]
    yield f"Gate: {'blessed' if good else 'not blessed'}", "bold green" if good else "bold red"
    baseline = verdict["baseline"]
    images = f"{count} test image{'' if count == 1 else 's'}"
    yield from _wrapped(f"{images}; {_STATES[baseline['state']]} {baseline['why']}", width)
    yield "", ""
    demanded = {check["metric"] for check in verdict["checks"] if not check["slice"]}
    rows = [_check_row(check) for check in verdict["checks"]]
    hidden = demanded | _doubles(verdict["classes"])
    rows += [_metric_row(verdict, name) for name in verdict["metrics"] if name not in hidden]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    widths[0] = min(widths[0], _NAME)
    if sum(widths) + len(_GAP) * (len(widths) - 1) <= width:
        yield _aligned(_HEAD, widths), "dim"
        for row in rows:
            if len(row[0]) > _NAME:
                yield row[0], _style(row)
            yield _aligned(row if len(row[0]) <= _NAME else ("", *row[1:]), widths), _style(row)
    else:
        for row in rows:
            for line in _stacked(row, width):
                yield line, _style(row)
    yield "", ""
    yield from _wrapped(("Because " if not good else "") + verdict["reason"], width)


def _doubles(classes: Sequence[str]) -> set[str]:
    """Metrics that say of two classes what another one has said."""
    return {f"{kind}_{classes[1]}" for kind in ("iou", "dice", "boundary_f1")} if len(classes) == 2 else set()


def _check_row(check: Check) -> tuple[str, ...]:
    """Cells under `_HEAD`; the change since the last blessed model stands below its threshold."""
    lower_is_better = check["metric"] in LOWER_IS_BETTER
    value, before, bound = check["value"], check["baseline"], check["bound"]
    result = "pass" if check["passed"] else "FAIL"
    margin = _number(check["margin"], "+.4f")
    if check["kind"] == "threshold":
        name = check["metric"] + (f" @ {check['slice']}" if check["slice"] else "")
        demand = f"{'<=' if lower_is_better else '>='} {bound:g}"
        interval = _interval(check["low"], check["high"], ".3f")
        return name, _number(value, ".4f"), interval, demand, _number(before, ".4f"), margin, result
    if check["by_chance"]:
        result = CHANCE
    change = None if value is None or before is None else value - before
    demand = f"<= {bound:g}" if lower_is_better else f">= {0 - bound:g}"  # 0 - 0 has no sign
    interval = _interval(check["low"], check["high"], "+.3f")
    p = f"  change, p = {check['p']:.3f}" if check["p"] is not None else "  change"
    return p, _number(change, "+.4f"), interval, demand, "", margin, result


def _metric_row(verdict: Verdict, name: str) -> tuple[str, ...]:
    metric = verdict["metrics"][name]
    interval = _interval(metric["low"], metric["high"], ".3f")
    return name, _number(metric["value"], ".4f"), interval, "", _number(metric["baseline"], ".4f"), "", ""


def _number(value: Number, form: str) -> str:
    return "" if value is None or value != value else format(value, form)


def _interval(low: Number, high: Number, form: str) -> str:
    ends = [_number(end, form) for end in (low, high)]
    return " to ".join(ends) if all(ends) else ""


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *middle, last = zip(cells, widths, strict=True)
    parts = [first[0].ljust(first[1]), *(cell.rjust(wide) for cell, wide in middle), last[0]]
    return _GAP.join(parts).rstrip()


def _stacked(row: Sequence[str], width: int) -> Iterator[str]:
    name, value, interval, demand, before, margin, result = row
    is_change = name.startswith(" ")
    indent = "    " if is_change else "  "
    text = f"{name}: {value or 'not measured'}"
    yield from _fold(f"{text}  {result}" if result else text, width, indent)
    details = [interval, f"demanded {demand}" if demand else "", f"margin {margin}" if margin else ""]
    details.append(f"before {before}" if before else "")
    if found := ", ".join(filter(None, details)):
        yield from _fold(indent + found, width, indent)


def _fold(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, drop_whitespace=True
    ) or [""]


def _wrapped(text: str, width: int) -> Iterator[tuple[str, str]]:
    for line in _fold(text, width, "  "):
        yield line, ""


def _style(cells: Sequence[str]) -> str:
    return {"FAIL": "red", "pass": "green", CHANCE: "yellow"}.get(cells[-1], "")
