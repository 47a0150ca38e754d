"""Reads a whole data folder and lists the problems in it."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.check.estimates import estimate
from pipeline.check.findings import DataSummary, Report
from pipeline.check.near_duplicates import near_duplicates
from pipeline.check.proposals import propose, training_time
from pipeline.check.sequences import membranes
from pipeline.config.settings import PipelineConfig
from pipeline.root import Root
from unet.dataset import split_memory, splits
from unet.dataset.cache import InspectionCache
from unet.dataset.inspection import Inspection, SampleStats, held_by, inspect
from unet.dataset.pairing import lists_beside
from unet.dataset.plan import assign_splits, find, images_in_service
from unet.dataset.sample import SERVING, Problem, Sample
from unet.dataset.settings import ReadSettings
from unet.dataset.split_lists import find_lists
from unet.errors import BadInput
from unet.images import raster
from unet.images.capacity import cores
from unet.images.channels import fits
from unet.images.memory import one_at_a_time
from unet.images.reader import read_image


def check(config: PipelineConfig, root: Root, *, skip_bad: bool = False, proposals: bool = False) -> Report:
    """Reads every file of the data and tries to split the samples; changes no file.

    Args:
        config: the configuration, with the data folder and how to read it.
        root: the root whose remembered splits apply.
        skip_bad: whether to leave out single files with problems instead of stopping at them.
        proposals: whether to look for better settings, too, which reads some masks and images again.
    """
    settings = config.reading(root.splits)
    samples, problems, inspection = inspected(config, settings)
    problems += _among_images(root, samples, config)
    facts = inspection.facts
    skipped: list[Problem] = []
    skip: list[str] | None = None
    if skip_bad and facts:
        samples = [sample for sample in samples if sample.name not in inspection.problems]
        skipped = [problem for problem in problems if not problem.of_the_set]
        problems = [problem for problem in problems if problem.of_the_set]
        skip = sorted(inspection.problems)
    split_of: dict[str, str | None] = {}
    copies: list[tuple[str, str]] = []
    moved: list[str] = []
    if samples:
        hashes = {sample.name: sample.name for sample in samples}
        hashes.update({fact.name: fact.content for fact in facts})
        try:
            split_of, copies, _ = assign_splits(samples, hashes, settings, lambda: held_by(facts))
            before = split_memory.load(root.splits).images
            moved = [
                name
                for name, split in split_of.items()
                if split == "test" and before.get(hashes[name]) in ("train", "eval")
            ]
        except splits.EmptySplit as error:
            if not problems:  # else the unreadable files may be the reason
                problems.append(_problem(config.data, error))
        except BadInput as error:
            problems.append(_problem(config.data, error))
    if split_of and len(facts) == len(samples):  # else the class may be in a file that could not be read
        problems += _unlearnable(config.data, samples, facts, split_of)
    serving: list[Path] = []
    try:
        serving = images_in_service(settings.serving_data)
    except BadInput as error:
        problems.append(_problem(config.data, error))
    problems += _unreadable(serving, config)
    summary = DataSummary.of(facts, split_of, inspection.all_mask_stats)
    if serving:
        summary.splits[SERVING] = len(serving)
    channels = max(summary.channels, default=1) if config.channels == "auto" else config.channels
    if strange := [count for count in summary.channels if not fits(count, channels)]:
        example = next(fact.name for fact in facts if fact.channels == strange[0])
        found = f"{example} has {strange[0]} channels, the network is to see {channels}"
        advice = "choose channels that all images have: --set 'use_channels=[...]'"
        problems.append(Problem(str(config.data), found, advice, of_the_set=True))
    proposed, like_isbi = [], False
    if proposals and split_of and not problems:
        usable = {fact.name for fact in facts}
        used = [s for s in samples if s.name in usable]
        proposed = propose(used, facts, settings, config)
        like_isbi = not config.segment_scores and membranes(used, facts, settings)
    return Report(
        config.data,
        problems,
        skipped,
        skip,
        copies,
        summary,
        proposed,
        training_time(proposed, config),
        None if problems else estimate(facts, split_of, config, channels),
        _not_read(config.data, samples),
        _lists(config.data, samples),
        like_isbi,
        moved,
        near_duplicates(facts, split_of),
    )


def _among_images(root: Root, samples: Sequence[Sample], config: PipelineConfig) -> Iterator[Problem]:
    """The problem of a root in a folder of images, which then would hold what is no image."""
    folders = {path.parent for sample in samples for path in (sample.image, sample.mask)}
    folders |= {config.serving_data} if config.serving_data else set()
    real = {Path(os.path.realpath(folder)) for folder in folders}
    # Beside pairs of images and masks in the data folder itself, other folders may lie.
    if root.path in real or real.intersection(root.path.parents) - {Path(os.path.realpath(config.data))}:
        found = "the root lies in a folder of images"
        yield Problem(str(root.path), found, "give another --root", of_the_set=True)


def _not_read(data: Path, samples: Sequence[Sample]) -> list[str]:
    """The lists of splits in a data folder whose splits nothing else declares."""
    if any(sample.split for sample in samples):
        return []
    return [path.relative_to(data).as_posix() for path in lists_beside(data)]


def _lists(data: Path, samples: Sequence[Sample]) -> str:
    """The lists in a data folder that declare the splits, in words; empty if none do."""
    lists = find_lists(data, samples)
    return str(lists) if lists and lists.samples == samples else ""


def inspected(
    config: PipelineConfig, settings: ReadSettings
) -> tuple[list[Sample], list[Problem], Inspection]:
    """Finds the samples and reads every file; returns all samples, all problems, and what was found.

    Args:
        config: the configuration, with the data folder and how to read it.
        settings: what `config.reading` returned.
    """
    samples, problems = find(config.data, settings)
    with InspectionCache() as checked:
        inspection = inspect(
            samples,
            settings.label_map,
            max_pixels=config.max_pixels,
            value_range=config.value_range,
            use_channels=config.use_channels,
            checked=checked,
        )
    problems += [problem for several in inspection.problems.values() for problem in several]
    return samples, problems, inspection


def _problem(data: Path, error: BadInput) -> Problem:
    found, _, advice = str(error).partition("; ")
    return Problem(str(data), found, advice)


def _unlearnable(
    data: Path, samples: Sequence[Sample], facts: Sequence[SampleStats], split_of: Mapping[str, str | None]
) -> list[Problem]:
    missing: dict[str, list[str]] = {}
    for name, split in splits.missing_classes((split_of[fact.name], fact.class_pixels) for fact in facts):
        missing.setdefault(name, []).append(split)
    held = held_by(facts)
    problems = []
    for name, where in missing.items():
        groups = {sample.group for sample in samples if name in held[sample.name]}
        if not groups:
            advice = "correct its value in classes, add images that show it, or remove it from classes"
        elif len(groups) < len(splits.SPLITS):
            advice = (
                f"images (or groups) that show it: {len(groups)}, and each split needs one; add images that"
                " show it, or remove it from classes"
            )
        else:
            advice = (
                "give one of its images the split in a manifest, or the data a --root of its own: images keep"
                " the split of earlier runs, and that of folders and manifests"
            )
        found = f"class {name!r} occurs in no mask of the {' and '.join(where)} split"
        problems.append(Problem(str(data), found, advice))
    return problems


def _unreadable(paths: Iterable[Path], config: PipelineConfig) -> list[Problem]:
    """Lists the problems of the images of `serving_data`."""

    def read(path: Path) -> Problem | None:
        try:
            with one_at_a_time():
                read_image(
                    path,
                    max_pixels=config.max_pixels,
                    value_range=config.value_range,
                    use_channels=config.use_channels,
                )
        except raster.ImageError as error:
            return Problem(str(path), error.found, error.advice)
        return None

    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        return [problem for problem in pool.map(read, paths) if problem]
