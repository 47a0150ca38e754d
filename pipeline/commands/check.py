"""`run_pipeline.py check`: everything that is wrong with a data folder, at once, before any training."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.errors import BadInput
from components.example_gen import source, splits
from components.example_gen.source import Facts, Problem, Sample
from pipeline.config import PipelineConfig
from pipeline.exit_codes import BAD_INPUT, OK
from pipeline.layout import Root

_LISTED = 6  # sizes or names that the summary lists before it only counts them


@dataclasses.dataclass(frozen=True)
class Summary:
    """Counts over the images that could be read; `sizes` by "width x height", shares between 0 and 1.

    `splits` counts images too, under "left out" those of no fold; it is empty if the images cannot be split.
    `odd_channels` names the images of the rarer kind, of colour if equal, where grey and colour are mixed.
    """

    images: int
    sizes: dict[str, int]
    bit_depths: dict[int, int]
    channels: dict[int, int]
    class_shares: dict[str, float]
    splits: dict[str, int]
    odd_channels: list[str]


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found in a data folder."""

    data: Path
    problems: list[Problem]
    summary: Summary

    @property
    def ok(self) -> bool:
        """Whether the pipeline can train on this folder."""
        return not self.problems

    @property
    def channels(self) -> int:
        """Channels a network needs to see all of it: 3 if any image is in colour, else 1."""
        return max(self.summary.channels, default=1)

    def to_json(self) -> str:
        """The report as a JSON object with the keys ok, data, problems and summary."""
        content: dict[str, Any] = {"ok": self.ok, **dataclasses.asdict(self), "data": str(self.data)}
        return json.dumps(content, indent=2)


def check(
    data: Path,
    classes: Mapping[str, Any],
    *,
    block: int,
    max_pixels: int,
    shares: Mapping[str, float],
    seed: int,
    fold: int | None,
    remembered_path: Path | None,
) -> Report:
    """Reads every file of a data folder and tries to split it; changes nothing.

    Args:
        data: the folder, see `source.find_samples`.
        classes: value in the masks of each class.
        block: see `source.find_samples`.
        max_pixels: larger images are problems.
        shares: see `splits.assign`, as `seed` and `fold`.
        seed: of the order in which groups are split.
        fold: of cross-validation.
        remembered_path: file with the splits of earlier runs, which need not exist.
    """
    samples, problems = source.find_samples(data, block=block)
    facts: list[Facts] = []
    for result in source.inspect_all(samples, classes, max_pixels=max_pixels):
        if isinstance(result, Facts):
            facts.append(result)
        else:
            problems += result
    split_of: dict[str, str | None] = {}
    if samples:
        try:
            remembered = splits.load(remembered_path) if remembered_path else {}
            split_of = splits.assign(samples, shares, remembered=remembered, seed=seed, fold=fold)
        except BadInput as error:
            found, _, advice = str(error).partition("; ")
            problems.append(Problem(str(data), found, advice))
    if split_of:
        problems += _unlearnable(data, facts, split_of) + _leaks(samples, facts, split_of)
    return Report(data, problems, _summarise(facts, split_of))


def check_data(config: PipelineConfig, root: Root) -> Report:
    """`check` with the settings of a configuration and the splits that a root remembers."""
    return check(
        config.data,
        config.classes,
        block=config.block,
        max_pixels=config.max_pixels,
        shares=config.shares,
        seed=config.seed,
        fold=config.fold,
        remembered_path=root.splits,
    )


def check_command(config: PipelineConfig, root: Root, as_json: bool) -> int:
    """Prints the report, as JSON if so wished, and returns the exit code."""
    report = check_data(config, root)
    if as_json:
        print(report.to_json())
    else:
        print_report(report, Console(highlight=False))
    return OK if report.ok else BAD_INPUT


def _unlearnable(data: Path, facts: Sequence[Facts], split_of: Mapping[str, str | None]) -> list[Problem]:
    rows = [(split_of[fact.name], fact.class_pixels) for fact in facts]
    advice = "add training images that show it, or remove it from classes"
    return [
        Problem(str(data), f"class {name!r} occurs in no mask of the train split", advice)
        for name in splits.missing_classes(rows)
    ]


def _leaks(
    samples: Sequence[Sample], facts: Sequence[Facts], split_of: Mapping[str, str | None]
) -> list[Problem]:
    """Copies of one image in two splits, which make a model look better than it is."""
    path_of = {sample.name: sample.image for sample in samples}
    first: dict[str, Facts] = {}
    problems = []
    for fact in facts:
        twin = first.setdefault(fact.image_sha256, fact)
        here, there = split_of[fact.name], split_of[twin.name]
        if here and there and here != there:
            found = f"a copy of {path_of[twin.name].name}, in {here} while that is in {there}"
            advice = "remove one, or give both the same group in manifest.csv"
            problems.append(Problem(str(path_of[fact.name]), found, advice))
    return problems


def _summarise(facts: Sequence[Facts], split_of: Mapping[str, str | None]) -> Summary:
    by_channels: dict[int, list[str]] = defaultdict(list)
    pixels: Counter[str] = Counter()
    for fact in facts:
        by_channels[fact.channels].append(fact.name)
        pixels.update(fact.class_pixels)
    sizes = Counter((fact.height * fact.width, f"{fact.width} x {fact.height}") for fact in facts)
    return Summary(
        images=len(facts),
        sizes={size: count for (_, size), count in sorted(sizes.items())},
        bit_depths=dict(sorted(Counter(fact.bit_depth for fact in facts).items())),
        channels={channels: len(names) for channels, names in sorted(by_channels.items())},
        class_shares={name: count / pixels.total() for name, count in pixels.items()},
        splits=dict(Counter(split or "left out" for split in split_of.values())),
        odd_channels=min(by_channels[3], by_channels[1], key=len) if len(by_channels) > 1 else [],
    )


def print_report(report: Report, console: Console) -> None:
    """Prints one table of all problems, if there are any, and a short summary."""
    if report.problems:
        table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
        # Names fold instead of being cut: in the log of a build server nobody can widen the window.
        table.add_column("File", ratio=3, overflow="fold")
        table.add_column("Found", ratio=3, overflow="fold")
        table.add_column("What to do", ratio=4, overflow="fold")
        for problem in report.problems:
            cells = (_shorten(problem.path, report.data), problem.found, problem.advice)
            table.add_row(*(Text(_printable(cell)) for cell in cells))
        console.print(table)
    for line in _summary_lines(report):
        console.print(Text(_printable(line)))


def _summary_lines(report: Report) -> list[str]:
    summary = report.summary
    counts = _count(summary.images, "readable image"), _count(len(report.problems), "problem")
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
    if summary.odd_channels:
        odd = summary.odd_channels
        more = f" and {len(odd) - _LISTED} more" if len(odd) > _LISTED else ""
        kind = "Colour" if summary.channels[3] <= summary.channels[1] else "Grey"
        lines.append(f"{kind} among the others: {', '.join(odd[:_LISTED])}{more}")
    lines.append(
        "Pixels:  " + ", ".join(f"{name} {share:.1%}" for name, share in summary.class_shares.items())
    )
    if summary.splits:
        order = [split for split in (*source.SPLITS, "left out") if split in summary.splits]
        lines.append("Splits:  " + ", ".join(f"{split} {summary.splits[split]}" for split in order))
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shorten(path: str, data: Path) -> str:
    return path.removeprefix(f"{data}/")


def _printable(text: str) -> str:
    """Control characters in a file name must not reach the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
