"""What ImageMaskExampleGen will read: the samples, their splits, and a fingerprint of their content."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import json
from pathlib import Path

from components import images
from components.errors import BadInput
from components.example_gen import source, splits


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a data folder is read; see `pipeline.config.PipelineConfig` for the meaning of each."""

    classes: dict[str, int]
    block: int
    shares: dict[str, float]
    fold: int | None
    seed: int
    max_pixels: int
    splits_file: str

    def to_json(self) -> str:
        """The settings as a JSON object."""
        return json.dumps(dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class Plan:
    """The samples of each split, in a fixed order, and the fingerprint of all of it."""

    samples: dict[str, list[source.Sample]]
    fingerprint: str


def make_plan(folder: Path, settings: Settings) -> Plan:
    """Finds, groups and splits the samples of a folder, and remembers the splits of new groups.

    Costs one read of every file for the hash of its content: two masks swapped with sizes and times
    preserved are another fingerprint, a touched or copied folder is the same one.

    Raises:
        BadInput: with a line for each problem.
    """
    samples, problems = source.find_samples(folder, block=settings.block)
    if problems:
        raise BadInput("\n".join(f"{p.path}: {p.found}; {p.advice}" for p in problems))
    remembered_file = Path(settings.splits_file)
    remembered = splits.load(remembered_file)
    assignment = splits.assign(
        samples, settings.shares, remembered=remembered, seed=settings.seed, fold=settings.fold
    )
    now = splits.to_remember(samples, assignment)
    if now.items() - remembered.items():
        splits.save(remembered_file, {**remembered, **now})
    by_split: dict[str, list[source.Sample]] = {name: [] for name in source.SPLITS}
    for sample in samples:
        if split := assignment[sample.name]:
            by_split[split].append(sample)
    with concurrent.futures.ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        rows = list(
            pool.map(_row, *zip(*((s, n) for n, group in by_split.items() for s in group), strict=True))
        )
    return Plan(by_split, source.fingerprint(rows))


def _row(sample: source.Sample, split: str) -> tuple[str, str, str, str, str]:
    image, mask = (hashlib.sha256(images.read_file(p)).hexdigest() for p in (sample.image, sample.mask))
    return sample.name, sample.group, split, image, mask
