"""The plan of ImageMaskExampleGen: the samples, their splits, and a fingerprint of their content."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from unet.dataset import layouts, spans, split_memory, splits
from unet.dataset.cache import InspectionCache
from unet.dataset.inspection import classes_in, content_of
from unet.dataset.sample import SERVING, SPLITS, Problem, Sample, is_ignored
from unet.dataset.settings import BUNDLED, ReadSettings
from unet.dataset.split_memory import Memory
from unet.errors import BadInput
from unet.files import files_in, hash_of
from unet.images import raster
from unet.images.capacity import cores
from unet.images.formats import read_file

Answer = TypeVar("Answer")


def find(folder: Path, settings: ReadSettings) -> tuple[list[Sample], list[Problem]]:
    """Samples and problems of a data folder, see `layouts.find_samples`; keeps the declared columns only."""
    if folder == BUNDLED and not folder.exists():
        found = "the bundled images are part of a checkout, and of no installed package"
        return [], [Problem(str(folder), found, "give a folder of images with --data")]
    samples, problems = layouts.find_samples(
        folder,
        slices_per_group=settings.slices_per_group,
        mask_suffix=settings.mask_suffix,
        pairs=settings.pairs,
        group_pattern=settings.group_pattern,
        span_window=settings.span_window,
    )
    there = {name for sample in samples for name, _ in sample.columns}
    for name in settings.columns if samples else ():
        if name not in there:
            known = ", ".join(sorted(there)) or "none, which a manifest.csv could have"
            found = f"no column {name!r}, which slices declares"
            advice = f"correct the setting, or add it; further columns there are: {known}"
            problems.append(Problem(str(folder), found, advice, of_the_set=True))
    return [replace(sample, columns=_only(sample, settings.columns)) for sample in samples], problems


def assign_splits(
    samples: Sequence[Sample], contents: dict[str, str], settings: ReadSettings, held: splits.Held
) -> tuple[dict[str, str | None], list[tuple[str, str]], Memory]:
    """Assigns splits, first the declared, then the remembered and new ones; then leaves out duplicates.

    Args:
        samples: all usable samples.
        contents: `Image.content` of each sample, or another string that is equal for duplicates alone.
        settings: settings of the splits: shares, folds, seed and the file of remembered splits.
        held: returns the classes in the mask of each sample, which the check and the plan count alike.

    Returns:
        Split of each sample, None for a sample that is left out; the names of duplicates that are left out,
        each with the name of the sample that stays; and the splits that a later run has to remember.

    Raises:
        BadInput: the splits are impossible, or contradict those of earlier runs; see `splits`.
    """
    remembered = split_memory.load(Path(settings.splits_file))
    assignment = splits.assign(
        samples,
        contents,
        settings.shares,
        remembered=remembered,
        seed=settings.seed,
        fold=settings.fold,
        folds=settings.folds,
        held=held,
    )
    kept, copies = splits.leave_out_duplicates(samples, assignment, contents, remembered=remembered)
    return kept, copies, remembered.extended(samples, contents, assignment, kept)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The samples of each split, in a fixed order, and a fingerprint of samples, splits and settings.

    `serving` lists the images of `serving_data`; `span` is the newest span of the data, or 0.
    """

    samples: dict[str, list[Sample]]
    serving: list[Path]
    fingerprint: str
    span: int


def make_plan(folder: Path, settings: ReadSettings) -> Plan:
    """Finds, groups and splits the samples of a folder, and remembers the splits of new groups.

    Every file is read once to hash its content: swapping two masks of equal sizes and times changes the
    fingerprint, touching or copying the folder does not. Images that were not checked before are decoded, to
    find equal images in different files, and so are masks if new images are dealt to splits by their classes.

    Raises:
        BadInput: the data have problems; the message has a line for each problem.
    """
    samples, problems = find(folder, settings)
    if settings.skip is not None and samples:
        problems = [problem for problem in problems if problem.of_the_set]
    if problems:
        raise BadInput("\n".join(f"{p.path}: {p.found}; {p.advice}" for p in problems))
    left_out = set(settings.skip or ())
    samples = [sample for sample in samples if sample.name not in left_out]
    serving = images_in_service(settings.serving_data)
    paths = sorted({path for s in samples for path in (s.image, s.mask)} | set(serving))
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:  # hashing releases the interpreter's lock
        hashes = dict(zip(paths, pool.map(_hash_of, paths), strict=True))

    def content(path: Path, sample: Sample) -> str:
        return hashes[path] if sample.page is None else f"{hashes[path]}:{sample.page}"

    def pixels(sample: Sample) -> str:
        sha256 = content(sample.image, sample)
        limits: Any = {key: getattr(settings, key) for key in ("max_pixels", "value_range", "use_channels")}
        try:
            return content_of(sample, sha256, **limits, checked=checked)
        except raster.ImageError as error:
            raise BadInput(f"{sample.image}: {error}") from error

    def classes(sample: Sample) -> frozenset[str]:
        sha256 = content(sample.mask, sample)
        limits: Any = {"max_pixels": settings.max_pixels, "checked": checked}
        try:
            return classes_in(sample, sha256, settings.label_map, **limits)
        except raster.ImageError as error:
            raise BadInput(f"{sample.mask}: {error}") from error

    def by_name(function: Callable[[Sample], Answer]) -> dict[str, Answer]:
        return {s.name: answer for s, answer in zip(samples, pool.map(function, samples), strict=True)}

    with InspectionCache() as checked, concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        assignment, _, now = assign_splits(samples, by_name(pixels), settings, lambda: by_name(classes))
    splits_file = Path(settings.splits_file)
    if now != split_memory.load(splits_file):
        split_memory.save(splits_file, now)
    by_split: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    rows: list[tuple[Any, ...]] = []
    for sample in samples:
        if split := assignment[sample.name]:
            by_split[split].append(sample)
            rows.append(
                (
                    sample.name,
                    sample.group,
                    split,
                    content(sample.image, sample),
                    content(sample.mask, sample),
                    *sample.columns,
                )
            )
    rows += [(path.name, "", SERVING, hashes[path], "") for path in serving]
    digest = hashlib.sha256(_meaning(settings).encode())
    for row in sorted(rows):
        digest.update(json.dumps(row).encode())
    return Plan(by_split, serving, digest.hexdigest(), spans.newest_span(folder))


def images_in_service(folder: Path | None) -> list[Path]:
    """The image files in the folder `serving_data`; empty without a folder.

    Raises:
        BadInput: the folder does not exist, or holds no file.
    """
    if folder is None:
        return []
    files = [p for p in files_in(folder) if not is_ignored(p)]
    if not files:
        raise BadInput(f"{folder}: no images in the folder of serving_data; correct the path, or unset it")
    return files


def _meaning(settings: ReadSettings) -> str:
    """Text of the settings that change how files are read; other settings show in the assigned splits."""
    classes = list(settings.classes.items())  # a list: the order of the classes is their index
    read = [settings.ignore, settings.mask_values, settings.value_range, settings.use_channels]
    return json.dumps([classes, *read, settings.sigma])


def _hash_of(path: Path) -> str:
    sha256 = hash_of(path)
    if not sha256:
        read_file(path)  # raises the error that prevented the hash
    return sha256


def _only(sample: Sample, declared: Sequence[str]) -> tuple[tuple[str, str], ...]:
    values = dict(sample.columns)
    return tuple((name, values.get(name, "")) for name in declared)
