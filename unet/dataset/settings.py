"""How a data folder is read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unet.dataset import layouts, splits
from unet.dataset.sample import GROUP, Problem, Sample
from unet.masks.labels import Legend, Value


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a data folder is read; see `pipeline.config.settings.PipelineConfig` for the meaning of each.

    `border_sigma` is in pixels of the files, 0 for no border term. `skip` names samples to leave out, and
    lets other problems of single files pass; None: any of them stops.
    """

    classes: dict[str, Value]
    ignore: Value | None
    mask_values: str
    mask_suffix: str
    value_range: tuple[float, float] | None
    group_pattern: str | None
    span_window: int
    block: int
    shares: dict[str, float]
    fold: int | None
    folds: int
    seed: int
    max_pixels: int
    border_sigma: float
    serving_data: str | None
    splits_file: str
    slices: list[str]
    skip: list[str] | None = None

    def to_json(self) -> str:
        """The settings as a JSON object."""
        return json.dumps(dataclasses.asdict(self))

    @property
    def legend(self) -> Legend:
        """What values in the masks mean."""
        return Legend(self.classes, self.ignore, self.mask_values)

    def find(self, folder: Path) -> tuple[list[Sample], list[Problem]]:
        """The samples of a data folder, see `source.find_samples`; their columns are the declared ones."""
        samples, problems = layouts.find_samples(
            folder,
            block=self.block,
            mask_suffix=self.mask_suffix,
            group_pattern=self.group_pattern,
            span_window=self.span_window,
        )
        declared = [name for name in self.slices if name != GROUP]
        there = {name for sample in samples for name, _ in sample.columns}
        for name in declared if samples else ():
            if name not in there:
                known = ", ".join(sorted(there)) or "none, which a manifest.csv could have"
                found = f"no column {name!r}, which slices declares"
                advice = f"correct the setting, or add it; further columns there are: {known}"
                problems.append(Problem(str(folder), found, advice, of_the_set=True))
        return [replace(sample, columns=_only(sample, declared)) for sample in samples], problems

    def split(
        self, samples: Sequence[Sample], hashes: dict[str, str]
    ) -> tuple[dict[str, str | None], list[tuple[str, str]], dict[str, str]]:
        """Decides the splits, in this order: fixed, remembered, new; then copies leave.

        Args:
            samples: all that can be used.
            hashes: `Image.content` of each, or whatever else copies alone have in common.

        Returns:
            Split of each sample, None for one that is left out; the copies that were left out, each with the
            sample it is a copy of; and what a later run has to remember.

        Raises:
            BadInput: see `splits.assign`.
        """
        remembered = splits.load(Path(self.splits_file))
        assignment = splits.assign(
            samples, self.shares, remembered=remembered, seed=self.seed, fold=self.fold, folds=self.folds
        )
        assignment, copies = splits.leave_out_duplicates(samples, assignment, hashes, remembered=remembered)
        return assignment, copies, {**remembered, **splits.to_remember(samples, assignment)}


def _only(sample: Sample, declared: Sequence[str]) -> tuple[tuple[str, str], ...]:
    values = dict(sample.columns)
    return tuple((name, values.get(name, "")) for name in declared)
