"""The verdict of the gate as one block of plain text: what was demanded, what was found, what was decided."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.terminal.console import make_table
from unet.evaluation.results import Check, Number, Verdict, decisive_p
from unet.metrics.names import CLASS_KINDS, LOWER_IS_BETTER, OBJECT_SCORES

_HEAD = ("metric", "model", "95 %\nfrom", "95 %\nto", "demanded", "before", "")
_STATES = {
    "compared": "compared with",
    "none": "not compared:",
    "incomparable": "not comparable:",
    "rebaselined": "not compared:",
}
_KINDS = CLASS_KINDS[:6]  # the table of the classes has room for these; the report has all
_OVER_ALL = {  # what metrics of the foreground are where every class counts, the longest name first
    "foreground_iou_p10": "mean_iou (p10)",
    "foreground_iou": "mean_iou",
    "foreground_dice": "mean_dice",
}
_NAME = 20  # columns; longer names are broken
CHANCE = "pass: may be chance"
_STYLES = {"FAIL": "red", "pass": "green", CHANCE: "yellow"}


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Prints the block; ASCII alone, so that any terminal shows it."""
    verdict = in_its_words(verdict)
    good, count, baseline = verdict["blessed"], verdict["images"], verdict["baseline"]
    console.print(Text(f"Gate: {'blessed' if good else 'not blessed'}", "bold green" if good else "bold red"))
    images = f"{count} test image{'' if count == 1 else 's'}"
    console.print(Text(f"{images}; {_STATES[baseline['state']]} {baseline['why']}"))
    console.print()
    console.print(_table(verdict))
    console.print()
    if _by_class(verdict):
        console.print(_class_table(verdict))
        console.print()
    for line in objects_in_words(verdict):
        console.print(Text(line))
    console.print(Text(("Because " if not good else "") + verdict["reason"]))


def in_its_words(verdict: Verdict) -> Verdict:
    """The verdict itself, or, without a background, one that has each mean once and names no foreground."""
    if _has_background(verdict):
        return verdict
    reason = verdict["reason"]
    for name, over_all in _OVER_ALL.items():
        reason = reason.replace(name, over_all)
    checks: Any = [
        {**check, "metric": _OVER_ALL.get(check["metric"], check["metric"])} for check in verdict["checks"]
    ]
    metrics = {_OVER_ALL.get(name, name): metric for name, metric in verdict["metrics"].items()}
    return {**verdict, "reason": reason, "checks": checks, "metrics": metrics}


def objects_in_words(verdict: Verdict) -> list[str]:
    """A line for each class that counts: how many of its objects are found."""
    lines = []
    for name, counts in verdict.get("objects", {}).items():
        true, matched = counts["ground_truth"], counts["matched"][0]
        more = counts["predicted"] - matched
        lines.append(f"{name}: {matched:,} of {true:,} objects found, {more:,} predicted that match none")
    return lines


def _has_background(verdict: Verdict) -> bool:
    return f"boundary_f1_{verdict['classes'][0]}" not in verdict["metrics"]  # whose outlines nobody measures


def _table(verdict: Verdict) -> Table:
    """A row for each demand, then one for each metric of which nothing was demanded.

    What several classes have one each of is left to `_class_table`.
    """
    first, *middle, last = _HEAD
    table = make_table()
    table.add_column(first, max_width=_NAME, overflow="fold")
    for name in middle:
        table.add_column(name, justify="right", overflow="fold")
    table.add_column(last, overflow="fold")
    demanded = {check["metric"] for check in verdict["checks"] if not check["slice"]}
    rows = [_check_row(check) for check in verdict["checks"]]
    hidden = demanded | _doubles(verdict) | _by_class(verdict)
    rows += [_metric_row(verdict, name) for name in verdict["metrics"] if name not in hidden]
    for row in rows:
        table.add_row(*map(Text, row), style=_STYLES.get(row[-1].partition(",")[0], ""))
    return table


def _class_table(verdict: Verdict) -> Table:
    """A row for each class, a column for each kind of metric."""
    metrics = verdict["metrics"]
    kinds = [kind for kind in _KINDS if any(f"{kind}_{name}" in metrics for name in verdict["classes"])]
    compared = any(metric["baseline"] is not None for metric in metrics.values())
    table = make_table()
    table.add_column("class", max_width=_NAME, overflow="fold")
    for kind in kinds:
        table.add_column(kind.replace("_", "\n"), justify="right", overflow="fold")
    if compared:
        table.add_column("iou\nbefore", justify="right", overflow="fold")
    for name in verdict["classes"]:
        found = [metrics.get(f"{kind}_{name}") for kind in kinds]
        cells = [_number(metric["value"] if metric else None, ".4f") for metric in found]
        if compared:
            iou = metrics.get(f"iou_{name}")
            cells.append(_number(iou["baseline"] if iou else None, ".4f"))
        table.add_row(*map(Text, (name, *cells)))
    return table


def _by_class(verdict: Verdict) -> set[str]:
    """Metrics that a table of the classes shows, where there are more than two."""
    classes = verdict["classes"]
    if len(classes) <= 2:
        return set()
    return {f"{kind}_{name}" for kind in CLASS_KINDS for name in classes} & verdict["metrics"].keys()


def _doubles(verdict: Verdict) -> set[str]:
    """Metrics of one class beside a background, which say what those over all classes have said."""
    if len(classes := verdict["classes"]) != 2 or not _has_background(verdict):
        return set()
    return {f"{kind}_{classes[1]}" for kind in ("iou", "dice", "boundary_f1", *OBJECT_SCORES)}


def _check_row(check: Check) -> tuple[str, ...]:
    """Cells under `_HEAD`; the change since the last blessed model stands below its threshold."""
    lower_is_better = check["metric"] in LOWER_IS_BETTER
    value, before, bound = check["value"], check["baseline"], check["bound"]
    result = "pass" if check["passed"] else "FAIL"
    if check["kind"] == "threshold":
        name = check["metric"] + (f" @ {check['slice']}" if check["slice"] else "")
        demand = f"{'<=' if lower_is_better else '>='} {bound:g}"
        low, high = (_number(check[end], ".3f") for end in ("low", "high"))
        return name, _number(value, ".4f"), low, high, demand, _number(before, ".4f"), result
    if check["by_chance"]:
        result = CHANCE
    if (p := decisive_p(check)) is not None:
        result += f", p = {p:.3f}"
    change = None if value is None or before is None else value - before
    demand = f"<= {bound:g}" if lower_is_better else f">= {0 - bound:g}"  # 0 - 0 has no sign
    low, high = (_number(check[end], "+.3f") for end in ("low", "high"))
    better = 0 if change is None else -change if lower_is_better else change
    word = ", better" if better > 0 else ", worse" if better < 0 else ""
    return f"  change{word}", _number(change, "+.4f"), low, high, demand, "", result


def _metric_row(verdict: Verdict, name: str) -> tuple[str, ...]:
    metric = verdict["metrics"][name]
    low, high = (_number(metric[end], ".3f") for end in ("low", "high"))
    return name, _number(metric["value"], ".4f"), low, high, "", _number(metric["baseline"], ".4f"), ""


def _number(value: Number, form: str) -> str:
    return "" if value is None or value != value else format(value, form)
