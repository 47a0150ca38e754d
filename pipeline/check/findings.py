"""What `check` found in a data folder: as an object for `run`, as JSON for programs, as tables for people."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.check.estimates import Estimate
from pipeline.check.proposals import Proposal
from unet.dataset.inspection import SampleStats
from unet.dataset.sample import SERVING, SPLITS, Problem
from unet.masks.values import MaskStats

_LISTED = 6  # sizes or names that the summary lists before it only counts them
_FILES_A_ROW = 8  # of one problem
_COMMAND = re.compile(r"--set ('[^']*'|[a-z_]+=[a-z0-9_]+)(?=[\s,;)]|$)")  # with a value, no N and no ...


@dataclasses.dataclass(frozen=True)
class DataSummary:
    """Counts over the images that can be used; `sizes` by "width x height", shares between 0 and 1.

    `class_shares` are of the pixels that count, `ignored_share` is of all. `splits` counts images too, under
    "left out" those of no fold and copies; it is empty if the images cannot be split. `odd_channels` names
    the images of the rarer kind, of colour if equal, where grey and colour are mixed. `white_is_zero` counts
    the masks of one bit that show 0 as white.
    """

    images: int
    sizes: dict[str, int]
    bit_depths: dict[int, int]
    channels: dict[int, int]
    class_shares: dict[str, float]
    ignored_share: float
    splits: dict[str, int]
    odd_channels: list[str]
    white_is_zero: int

    @classmethod
    def of(
        cls,
        facts: Sequence[SampleStats],
        split_of: Mapping[str, str | None],
        all_mask_stats: Sequence[MaskStats],
    ) -> DataSummary:
        """Counts facts; `split_of` is the split of each sample by name, `all_mask_stats` are of the masks."""
        by_channels: dict[int, list[str]] = defaultdict(list)
        pixels: Counter[str] = Counter()
        for fact in facts:
            by_channels[fact.channels].append(fact.name)
            pixels.update(fact.class_pixels)
        sizes = Counter((fact.height * fact.width, f"{fact.width} x {fact.height}") for fact in facts)
        ignored = sum(fact.ignored for fact in facts)
        return cls(
            images=len(facts),
            sizes={size: count for (_, size), count in sorted(sizes.items())},
            bit_depths=dict(sorted(Counter(fact.bit_depth for fact in facts).items())),
            channels={channels: len(names) for channels, names in sorted(by_channels.items())},
            class_shares={name: count / max(pixels.total(), 1) for name, count in pixels.items()},
            ignored_share=ignored / max(ignored + pixels.total(), 1),
            splits=dict(Counter(split or "left out" for split in split_of.values())),
            odd_channels=min(by_channels[3], by_channels[1], key=len) if len(by_channels) > 1 else [],
            white_is_zero=sum(mask_stats.white_is_zero for mask_stats in all_mask_stats),
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found in a data folder.

    Attributes:
        data: the folder.
        problems: what stops a run.
        skipped: what `--skip-bad` lets pass.
        skip: names of the samples that are skipped; None without `--skip-bad`.
        copies: samples left out since an image of another split has the same content; with that image.
        summary: counts.
        proposals: settings that may fit these images better than the ones in use.
        training_time: how many times as long a training by them takes.
        estimate: what a run on them takes; None if they cannot be used.
    """

    data: Path
    problems: list[Problem]
    skipped: list[Problem]
    skip: list[str] | None
    copies: list[tuple[str, str]]
    summary: DataSummary
    proposals: list[Proposal]
    training_time: float
    estimate: Estimate | None

    @property
    def ok(self) -> bool:
        """Whether the pipeline can train on this folder."""
        return not self.problems

    @property
    def channels(self) -> int:
        """Channels a network needs to see all of it: 3 if any image is in colour, else 1."""
        return max(self.summary.channels, default=1)

    def to_json(self) -> str:
        """The report as a JSON object with the fields as keys, and `ok`."""
        content: dict[str, Any] = {"ok": self.ok, **dataclasses.asdict(self), "data": str(self.data)}
        return json.dumps(content, indent=2)


def print_report(report: Report, console: Console, run: str = "") -> None:
    """Prints one table of all problems, if there are any, and a summary.

    Args:
        report: of `check`.
        console: to print to.
        run: the command that trains on these data, to which what is proposed can be added.
    """
    if report.problems:
        _print_problems(report.problems, report, console)
        _print_commands(report, console)
    if report.skipped:
        console.print(Text(f"Skipped, {_count(len(report.skipped), 'problem')}:"))
        _print_problems(report.skipped, report, console)
    for line in _summary_lines(report):
        console.print(Text(_printable(line)))
    if report.proposals:
        console.print()
        table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
        table.add_column("Proposed", overflow="fold")
        table.add_column("In use", overflow="fold")
        table.add_column("Why", ratio=1, overflow="fold")
        for proposal in report.proposals:
            table.add_row(Text(f"{proposal.key} = {proposal.value}"), Text(proposal.current), proposal.reason)
        console.print(table)
        changes = [f"--set {shlex.quote(f'{p.key}={p.value}')}" for p in report.proposals if p.changes]
        if changes and report.ok:
            factor = report.training_time
            shown = f"{factor:.1f}" if factor >= 1 else f"{factor:.2g}"
            times = "" if shown in ("1.0", "1") else f", for a training about {shown} times as long"
            console.print(f"To take them{times}:", markup=False)
            console.print(f"  {' '.join(filter(None, [run, *changes]))}", markup=False, soft_wrap=True)


def _print_problems(problems: Sequence[Problem], report: Report, console: Console) -> None:
    """A row for each cause: the files that share it, one of what was found in them, and what to do."""
    causes: dict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        causes[re.sub(r"\d+", "0", problem.found), re.sub(r"\d+", "0", problem.advice)].append(problem)
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
    # Names fold instead of being cut: in the log of a build server nobody can widen the window.
    table.add_column("File", ratio=3, overflow="fold")
    table.add_column("Found", ratio=3, overflow="fold")
    table.add_column("What to do", ratio=4, overflow="fold")
    for alike in causes.values():
        files = [_shorten(problem.path, report.data) for problem in alike[:_FILES_A_ROW]]
        if len(alike) > _FILES_A_ROW:
            files.append(f"and {len(alike) - _FILES_A_ROW} more (check --json)")
        different = len({problem.found for problem in alike}) > 1
        found = alike[0].found + (" (the first of them)" if different else "")
        cells = ("\n".join(map(_printable, files)), _printable(found), _printable(alike[0].advice))
        table.add_row(*map(Text, cells))
    console.print(table)


def _print_commands(report: Report, console: Console) -> None:
    """The settings that the advice names, unwrapped: a table breaks them where nobody can paste them."""
    settings = dict.fromkeys(m[0] for p in report.problems for m in _COMMAND.finditer(p.advice))
    for setting in list(settings)[:3]:
        data = shlex.quote(str(report.data))
        command = f"  python run_pipeline.py check --data {data} {setting}"
        console.print(_printable(command), markup=False, soft_wrap=True)


def _summary_lines(report: Report) -> list[str]:
    summary = report.summary
    counts = _count(summary.images, "usable image"), _count(len(report.problems), "problem")
    lines = [f"{', '.join(counts)} in {report.data}"]
    if not summary.images:
        return lines
    if len(summary.sizes) <= _LISTED:
        sizes = ", ".join(f"{size} ({count})" for size, count in summary.sizes.items())
    else:
        smallest, *_, largest = summary.sizes
        sizes = f"{len(summary.sizes)} different ones, {smallest} to {largest}"
    kinds = [f"{count} {'grey' if n == 1 else 'colour'}" for n, count in summary.channels.items()]
    depths = [f"{count} of {depth} bits" for depth, count in summary.bit_depths.items()]
    lines += [f"Sizes:   {sizes}", f"Kind:    {', '.join(kinds)}; {', '.join(depths)}"]
    if odd := summary.odd_channels:
        more = f" and {len(odd) - _LISTED} more" if len(odd) > _LISTED else ""
        kind = "Colour" if summary.channels[3] <= summary.channels[1] else "Grey"
        lines.append(f"{kind} among the others: {', '.join(odd[:_LISTED])}{more}")
        lines.append('         channels = "auto" makes all of them colour; --set channels=1 makes them grey')
    shares = [f"{name} {share:.1%}" for name, share in summary.class_shares.items()]
    if summary.ignored_share:
        shares.append(f"ignored {summary.ignored_share:.1%} of all")
    lines.append("Pixels:  " + ", ".join(shares))
    if summary.white_is_zero:
        lines.append(
            f"Masks:   {summary.white_is_zero} of one bit show 0 as white, and are read as they look:"
        )
        lines.append(
            "         white is background; if it is the other way round, save them as 0 and 255 in PNG"
        )
    if summary.splits:
        order = [split for split in (*SPLITS, SERVING, "left out") if split in summary.splits]
        lines.append("Splits:  " + ", ".join(f"{split} {summary.splits[split]}" for split in order))
    for copy, kept in report.copies[:_LISTED]:
        lines.append(f"Left out: {copy}, the same image as {kept}, which is in another split")
    if len(report.copies) > _LISTED:
        lines.append(f"          and {len(report.copies) - _LISTED} more copies")
    if report.estimate:
        lines.append(f"A run:   {report.estimate}")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shorten(path: str, data: Path) -> str:
    return path.removeprefix(f"{data}/")


def _printable(text: str) -> str:
    """Control characters in a file name must not reach the terminal; the line breaks of a cell may."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
