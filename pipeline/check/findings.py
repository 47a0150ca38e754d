"""The findings of `check` in a data folder: an object for `run`, JSON for programs, tables for users."""

from __future__ import annotations

import dataclasses
import io
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
from pipeline.config import profile
from pipeline.terminal.command import command, without_settings
from pipeline.terminal.console import make_console
from unet.dataset.inspection import SampleStats
from unet.dataset.sample import SERVING, SPLITS, Problem
from unet.masks.background import question
from unet.masks.values import MaskStats

_LISTED = 6  # sizes or names that the summary lists; it counts the others
_FILES_A_ROW = 8  # files in a row of the table of problems
_SETTING = "--set ('[^']*'|[a-z_]+=[a-z0-9_]+)"  # with a value; neither N nor ...
_COMMAND = re.compile(rf"{_SETTING}( {_SETTING})*(?=[\s,;)]|$)")  # settings side by side belong together


@dataclasses.dataclass(frozen=True)
class DataSummary:
    """Counts over the usable images; `sizes` by "width x height", shares between 0 and 1.

    `class_shares` are shares of the pixels that are not ignored, `ignored_share` of all pixels. `splits`
    counts images, too, with copies and images of no fold under "left out"; it is empty if the images cannot
    be split. `class_images` counts, for each class and split, the images that show the class.
    `odd_channels` names the images of the rarer kind (of color, if equal) if gray and color images are mixed.
    `white_is_zero` counts the 1-bit masks that show 0 as white. `blank` names the images of one value,
    `turned` those that their orientation (EXIF) turns or mirrors.
    """

    images: int
    sizes: dict[str, int]
    bit_depths: dict[int, int]
    channels: dict[int, int]
    class_shares: dict[str, float]
    ignored_share: float
    splits: dict[str, int]
    class_images: dict[str, dict[str, int]]
    odd_channels: list[str]
    white_is_zero: int
    blank: list[str]
    turned: list[str]

    @classmethod
    def of(
        cls,
        facts: Sequence[SampleStats],
        split_of: Mapping[str, str | None],
        all_mask_stats: Sequence[MaskStats],
    ) -> DataSummary:
        """Counts samples by their statistics and split (by name); `all_mask_stats` are those of the masks."""
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
            class_images={
                name: {
                    split: sum(split_of.get(f.name) == split and f.class_pixels[name] > 0 for f in facts)
                    for split in SPLITS
                }
                for name in (pixels if split_of else ())
            },
            odd_channels=min(by_channels[3], by_channels[1], key=len) if set(by_channels) == {1, 3} else [],
            white_is_zero=sum(mask_stats.white_is_zero for mask_stats in all_mask_stats),
            blank=[fact.name for fact in facts if not fact.stddev],
            turned=[fact.name for fact in facts if fact.turned],
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """The findings of `check` in a data folder.

    Attributes:
        data: the data folder.
        problems: the problems that stop a run.
        skipped: the problems that `--skip-bad` ignores.
        skip: names of the skipped samples; None without `--skip-bad`.
        copies: samples left out because an image of another split has the same content, with that image.
        summary: counts over the usable images.
        proposals: settings that may fit these images better than the current ones.
        training_time: duration of a training with the proposals, as a multiple of the current one.
        estimate: the needs of a run on the images; None if they cannot be used.
        not_read: files beside the images that list splits and are not read.
        lists: the lists that declare the splits, in words; empty if none do.
        like_isbi: whether the images look like those of the profile isbi2012; see `sequences.membranes`.
        moved: test images that were in the train or eval split of an earlier run.
        near_duplicates: images that nearly are one of another split, with that image.
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
    not_read: list[str] = dataclasses.field(default_factory=list)
    lists: str = ""
    like_isbi: bool = False
    moved: list[str] = dataclasses.field(default_factory=list)
    near_duplicates: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the pipeline can train on this folder."""
        return not self.problems

    @property
    def channels(self) -> int:
        """The number of channels that the network needs: that of the images, 3 if any is in color."""
        return max(self.summary.channels, default=1)

    @property
    def proposed(self) -> dict[str, Any]:
        """The proposed settings that differ from those in use, by name."""
        return profile.parse_overrides([f"{p.key}={p.value}" for p in self.proposals if p.changes])

    def __str__(self) -> str:
        """What `check` prints."""
        output = io.StringIO()
        print_report(self, make_console(output))
        return output.getvalue().rstrip("\n")

    def to_json(self) -> str:
        """Returns the report as a JSON object with the fields as keys, and `ok`."""
        content: dict[str, Any] = {"ok": self.ok, **dataclasses.asdict(self), "data": str(self.data)}
        return json.dumps(content, indent=2)


def print_report(report: Report, console: Console, arguments: Sequence[str] | None = None) -> None:
    """Prints a table of all problems, if there are any, and a summary.

    Args:
        report: the report of `check`.
        console: the console to print to.
        arguments: words of the command line that `check` and `run` share, which the printed commands repeat;
            None for the data alone.
    """
    given = ["--data", str(report.data)] if arguments is None else list(arguments)
    if report.problems:
        _print_problems(report.problems, report, console)
        _print_commands(report, given, console)
    if report.skipped:
        console.print(Text(f"Skipped, {_count(len(report.skipped), 'problem')}:"))
        _print_problems(report.skipped, report, console)
    for line in _summary_lines(report):
        console.print(Text(_printable(line)))
    _print_classes(report.summary, console)
    if report.proposals:
        console.print()
        table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
        table.add_column("Proposed", overflow="fold")
        table.add_column("In use", overflow="fold")
        table.add_column("Why", ratio=1, overflow="fold")
        for proposal in report.proposals:
            table.add_row(Text(f"{proposal.key} = {proposal.value}"), Text(proposal.current), proposal.reason)
        console.print(table)
        changes = [word for p in report.proposals if p.changes for word in ("--set", f"{p.key}={p.value}")]
        if changes and report.ok:
            factor = report.training_time
            shown = f"{factor:.1f}" if factor >= 1 else f"{factor:.2g}"
            times = "" if shown in ("1.0", "1") else f", for a training about {shown} times as long"
            console.print(f"To take them{times}:", markup=False)
            taken = [*without_settings(given, report.proposed), *changes]
            console.print(f"  {command('run', *taken)}", markup=False, soft_wrap=True)


def _print_problems(problems: Sequence[Problem], report: Report, console: Console) -> None:
    """Prints a row for each cause: its files, one of the values found, and the remedy."""
    causes: dict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        # What is found in brackets, as the values of a mask and their pixels, differs from file to file.
        causes[_kind(problem.found.partition("(")[0]), _kind(problem.advice)].append(problem)
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
    # Names fold instead of being cut: the log of a build server cannot be widened.
    table.add_column("File", ratio=3, overflow="fold")
    table.add_column("Found", ratio=3, overflow="fold")
    table.add_column("What to do", ratio=4, overflow="fold")
    for alike in causes.values():
        # A problem of each page of a file names the file once.
        every = list(dict.fromkeys(_shorten(problem.path, report.data) for problem in alike))
        files = every[:_FILES_A_ROW]
        if len(every) > _FILES_A_ROW:
            files.append(f"and {len(every) - _FILES_A_ROW} more (check --json)")
        different = len({problem.found for problem in alike}) > 1
        found = alike[0].found + (" (the first of them)" if different else "")
        cells = ("\n".join(map(_printable, files)), _printable(found), _printable(alike[0].advice))
        table.add_row(*map(Text, cells))
    console.print(table)


def _kind(text: str) -> str:
    return re.sub(r"\d+", "0", text)


def _print_classes(summary: DataSummary, console: Console) -> None:
    """Prints how many images of each split show each class, unless all images show all classes."""
    if all(counts[s] == summary.splits.get(s, 0) for counts in summary.class_images.values() for s in SPLITS):
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("Images that show", overflow="fold")
    for split in SPLITS:
        table.add_column(split, justify="right")
    for name, counts in summary.class_images.items():
        table.add_row(Text(_printable(name)), *(str(counts[split]) for split in SPLITS))
    console.print(table)


def _print_commands(report: Report, given: Sequence[str], console: Console) -> None:
    """Prints the `--set` options of the advice after what was given, unwrapped to be copied."""
    settings = dict.fromkeys(m[0] for p in report.problems for m in _COMMAND.finditer(p.advice))
    for setting in list(settings)[:3]:
        names = [word.partition("=")[0] for word in shlex.split(setting)[1::2]]
        line = f"  {command('check', *without_settings(given, names))} {setting}"
        for answer in _backgrounds(setting, given):
            console.print(_printable(f"{line}{answer}"), markup=False, soft_wrap=True)


def _backgrounds(setting: str, given: Sequence[str]) -> list[str]:
    """What the line of a setting may end with: the answers about the background, where it would be asked."""
    values = profile.parse_overrides(shlex.split(setting)[1::2])
    answered = "background" in values or any(word.startswith("background=") for word in given)
    if answered or "classes" not in values or not question(values["classes"]):
        return [""]
    return [" --set background=first", " --set background=none"]


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
    names = {1: "grey", 3: "colour"}
    kinds = [f"{count} {names.get(n, f'of {n} channels')}" for n, count in summary.channels.items()]
    depths = [f"{count} of {depth} bits" for depth, count in summary.bit_depths.items()]
    lines += [f"Sizes:   {sizes}", f"Kind:    {', '.join(kinds)}; {', '.join(depths)}"]
    if odd := summary.odd_channels:
        kind = "Colour" if summary.channels[3] <= summary.channels[1] else "Grey"
        lines.append(f"{kind} among the others: {_some(odd)}")
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
    lines += turned_lines(summary.turned)
    if summary.splits:
        order = [split for split in (*SPLITS, SERVING, "left out") if split in summary.splits]
        lines.append("Splits:  " + ", ".join(f"{split} {summary.splits[split]}" for split in order))
    if report.lists:
        lines.append(f"Lists:   {report.lists}; what no list names is not used")
    if report.moved:
        lines.append(
            f"Moved:   {_some(report.moved)}: test images that taught or chose earlier models, which look"
        )
        lines.append("         better than they are on them: use --rebaseline once, and no warm start")
    copies: dict[str, list[str]] = defaultdict(list)
    for copy, kept in report.copies:
        copies[kept].append(copy)
    for kept, others in list(copies.items())[:_LISTED]:
        lines.append(f"Left out: {_some(others)}, the same image as {kept}, which is in another split")
    if len(copies) > _LISTED:
        lines.append(f"          and copies of {len(copies) - _LISTED} more")
    if pairs := report.near_duplicates:
        named = _some([f"{name} and {other}" for name, other in pairs])
        lines.append(f"Near-duplicates in two splits: {named};")
        lines.append("         scores look better than they are: leave one out, or put both into one group")
        lines.append("         (group_pattern, or the column group of a manifest)")
    if summary.blank:
        counted = _count(len(summary.blank), "image")
        lines.append(f"Blank:   {counted} of one value in all pixels: {_some(summary.blank)}")
    if report.not_read:
        lines.append(
            f"Not read: {', '.join(report.not_read[:_LISTED])}; to use such splits, put them into the"
        )
        lines.append(
            "          column split of a manifest.csv (image,mask,split), or into train/, val/, test/"
        )
    if report.like_isbi:
        lines.append("Alike:   grey slices, cells parted by thin lines: --profile isbi2012 is for such, too,")
        lines.append("         another way to train than what is proposed, with settings of its own")
    if report.estimate:
        lines.append(f"A run:   {report.estimate}")
    return lines


def taught_lines(names: Sequence[str], root: Path) -> list[str]:
    """Tells which images taught or chose models of a root, and so flatter them; no line without any."""
    if not names:
        return []
    return [
        f"Taught:  {_some(names)}: of the train or eval split of {root}",
        "         (the same pixels): a model of this root looks better than it is on them",
    ]


def turned_lines(names: Sequence[str]) -> list[str]:
    """Tells which images an orientation turns, as their masks may not be; no line without such an image."""
    if not names:
        return []
    return [
        f"Turned:  {_some(names)}: by the orientation in the file (EXIF);",
        "         masks must be upright, too; if they are not, remove the orientation",
    ]


def _some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shorten(path: str, data: Path) -> str:
    return path.removeprefix(f"{data}/")


def _printable(text: str) -> str:
    """Removes control characters, which a file name must not send to the terminal; keeps line breaks."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
