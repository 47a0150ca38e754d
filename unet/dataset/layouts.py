"""Finds the samples of a data folder in any of these layouts, and lists all problems.

| layout | how it is recognised |
|---|---|
| spans | the path holds {SPAN}, or a date: each matching folder has one of the layouts below |
| manifest | the path is, or the folder holds, manifest.csv or manifest.jsonl |
| splits | train/, val/ and test/, each with one of the layouts below |
| two folders | images/ and masks/, each perhaps with train/, val/ and test/ |
| patterns | the setting `pairs`: two patterns with one * each |
| pairs | NAME.png beside NAME_mask.png; two multi-page TIFFs are a pair, too |

Where neither folders nor a manifest tell the splits, lists such as train.txt and val.txt may.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unet.dataset.manifest import NAMES, read_manifest
from unet.dataset.pairing import files_of, find_folders, find_forms, key_of, pair, read_pairs
from unet.dataset.sample import (
    BLOCK_PREFIX,
    SPLITS,
    Problem,
    Sample,
    natural_key,
    split_named,
    unreadable,
)
from unet.dataset.spans import TwoFolders, find_spans, is_pattern
from unet.dataset.split_lists import with_listed_splits
from unet.files import raise_passing
from unet.images import raster
from unet.images.formats import count_pages, pages_per_image

_PARTS = ("images", "masks")
_TIFF = {".tif", ".tiff"}
_MASK_WORDS = ("mask", "label", "annotation", "segmentation")
_LAYOUTS = "put images into images/ and masks of the same names into masks/"
Found = tuple[list[Sample], list[Problem]]


def find_samples(
    folder: Path,
    *,
    slices_per_group: int = 0,
    mask_suffix: str = "_mask",
    pairs: tuple[str, str] | None = None,
    group_pattern: str | None = None,
    span_window: int = 0,
) -> Found:
    """Lists the samples of a folder in natural order, without decoding an image.

    Args:
        folder: path of the data, in one of the layouts of the table above.
        slices_per_group: number of consecutive samples, or pages of a stack, that form one group (a block).
        mask_suffix: suffix of a mask's name after the name of its image, if the names are not equal.
        pairs: patterns of images and masks below the folder, in which * stands for the same text.
        group_pattern: regular expression; samples form one group if their names (without span) have the same
            match. The groups of a manifest take precedence over the pattern, the pattern over blocks; without
            all of these a stack is one group and any other sample a group of its own.
        span_window: number of the newest spans to use; 0: all.

    Returns:
        The samples without problems, and all problems.
    """
    if not is_pattern(folder):
        samples, problems = _find(folder, mask_suffix, pairs)
        samples = _grouped(samples, slices_per_group, group_pattern)
        samples, problems = _listed(folder, samples, problems)
    else:
        samples, problems, spans = [], [], {}
        try:
            spans = find_spans(folder, span_window)
        except OSError as error:
            problems.append(unreadable(folder, error))
        except TwoFolders as error:
            advice = "keep one of them: the spans of all folders must differ"
            problems.append(Problem(str(error.path), str(error), advice, of_the_set=True))
        for span, path in spans.items():
            found, more = _find(path, mask_suffix, pairs)
            found, more = _listed(path, _grouped(found, slices_per_group, group_pattern), more)
            problems += more
            for sample in found:
                is_block = sample.group.startswith(BLOCK_PREFIX)
                group = sample.group.removeprefix(BLOCK_PREFIX)
                # A group named by the user may continue in the next span; a group made of a sample may not.
                named = sample.group not in (sample.name, sample.stack) and not is_block
                group = group if named else f"{BLOCK_PREFIX if is_block else ''}{span}-{group}"
                samples.append(replace(sample, name=f"{span}-{sample.name}", group=group))
        if not samples and not problems:
            advice = "write {SPAN} where the folders differ by a number, or {YYYY}, {MM} and {DD} for a date"
            problems = [Problem(str(folder), "no folder matches this pattern", advice)]
    samples.sort(key=lambda sample: natural_key(sample.name))
    return samples, problems + _torn_groups(folder, samples)


def _listed(folder: Path, samples: list[Sample], problems: list[Problem]) -> Found:
    """Samples with the splits of lists; a manifest is the list of what it names."""
    if not samples or folder.is_file() or any((folder / name).is_file() for name in NAMES):
        return samples, problems
    return with_listed_splits(folder, samples, problems)


def _find(folder: Path, mask_suffix: str, pairs: tuple[str, str] | None) -> Found:
    """Samples and problems of one folder; the groups of samples are empty unless a manifest names them."""
    try:
        return _find_readable(folder, mask_suffix, pairs)
    except OSError as error:
        return [], [unreadable(folder, error)]


def _find_readable(folder: Path, mask_suffix: str, pairs: tuple[str, str] | None) -> Found:
    if folder.suffix in (".csv", ".jsonl") and folder.is_file():
        return _with_pages(*read_manifest(folder))
    if not folder.is_dir():
        found = "not a folder" if folder.exists() else "no such folder"
        return [], [Problem(str(folder), found, "give the folder that holds images/ and masks/ with --data")]
    inside = sorted(folder.iterdir())
    for name in NAMES:
        if folder / name in inside and (folder / name).is_file():
            return _with_pages(*read_manifest(folder / name))
    parts = {path.name.casefold(): path for path in inside if path.is_dir()}
    if pairs and not (_split_of(parts) and pairs[0].partition("/")[0].casefold() not in parts):
        return _with_pages(*read_pairs(folder, pairs))
    if "images" in parts and "masks" in parts and _has_splits(parts["images"]):
        inner = [{path.name.casefold(): path for path in parts[p].iterdir() if path.is_dir()} for p in _PARTS]
        both = {name: [where[name] for where in inner if name in where] for name in {**inner[0], **inner[1]}}

        def find(name: str) -> Found:
            if len(both[name]) == 2:
                images, masks = both[name]
                return _two_folders(folder, {"images": images, "masks": masks}, mask_suffix)
            found = f"no folder {name} in both {' and '.join(f'{part}/' for part in _PARTS)}"
            return [], [Problem(str(both[name][0]), found, "add the other one", of_the_set=True)]

        return _split_folders(folder, sorted(both), parts["images"], find)
    if "images" in parts or "masks" in parts:
        return _two_folders(folder, parts, mask_suffix)
    if _split_of(parts):
        return _split_folders(folder, parts, folder, lambda name: _find(parts[name], mask_suffix, pairs))
    samples, problems = _pairs(folder, parts, mask_suffix)
    return _with_pages(samples, problems)


def _has_splits(folder: Path) -> bool:
    return _split_of([path.name.casefold() for path in folder.iterdir() if path.is_dir()])


def _split_of(names: Collection[str]) -> bool:
    """Whether folders of these names are splits: one of them is for training."""
    return any(split_named(name) == "train" for name in names)


def _split_folders(folder: Path, names: Iterable[str], where: Path, find: Callable[[str], Found]) -> Found:
    """Samples of the folders of splits, of which `names` are in the folder `where`, each read by `find`."""
    by_folder: dict[str, list[Sample]] = {}
    problems: list[Problem] = []
    for split in SPLITS:
        mine = [name for name in names if split_named(name) == split]
        if not mine:
            advice = "add it, or put all images into images/ and masks/ to have them split"
            name = "val" if split == "eval" else split
            found_none = "no such folder beside train/"
            problems.append(Problem(str(where / name), found_none, advice, of_the_set=True))
        for name in mine:
            found, more = find(name)
            problems += more
            by_folder[name] = [replace(sample, split=split) for sample in found]
    samples = _told_apart(by_folder)
    seen: dict[str, Sample] = {}
    for sample in samples:
        if twin := seen.get(sample.name):
            found_twice = f"the same name as {twin.image.relative_to(folder)}"
            problems.append(Problem(str(sample.image), found_twice, "rename one of them"))
        seen.setdefault(sample.name, sample)
    return [sample for sample in samples if seen[sample.name] is sample], problems


def _told_apart(by_folder: Mapping[str, Sequence[Sample]]) -> list[Sample]:
    """Puts its folder before the name of a sample, as `val-a`, where another folder has that name, too."""

    def key(sample: Sample) -> str:
        return (sample.stack or sample.name).casefold()

    folders = Counter(name for samples in by_folder.values() for name in {key(s) for s in samples})
    found = []
    for folder, samples in by_folder.items():
        prefix = f"{folder}-"
        for sample in samples:
            if folders[key(sample)] > 1:
                stack = sample.stack and prefix + sample.stack
                sample = replace(sample, name=prefix + sample.name, stack=stack, prefix=prefix)
            found.append(sample)
    return found


def _two_folders(folder: Path, parts: Mapping[str, Path], mask_suffix: str) -> Found:
    problems: list[Problem] = []
    found = {}
    # One of the two may have another name, as images/ and labels/.
    if not parts.keys() >= set(_PARTS) and (form := find_folders(folder, parts.values())):
        return [], [form.problem(folder)]
    for part in _PARTS:
        if part in parts:
            found[part] = files_of(parts[part], problems, mask_suffix=mask_suffix)
        else:
            advice = f"create it and put the {part} there, or list the files in {NAMES[0]}"
            problems.append(Problem(str(folder / part), "no such folder", advice))
    if len(found) < 2 or (problems and not any(found.values())):
        return [], problems
    if not any(found.values()):
        return [], [Problem(str(folder), "no images", _LAYOUTS)]
    samples, more = pair(found["images"], found["masks"], mask_suffix)
    where = (f"{_below(folder, parts['images'])}/", f"{_below(folder, parts['masks'])}/")
    return _with_pages(*_or_form(folder, samples, problems, more, found["images"], found["masks"], where))


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _or_form(
    folder: Path,
    samples: list[Sample],
    problems: list[Problem],
    unpaired: list[Problem],
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    where: tuple[str, str] | None,
) -> Found:
    """Says once that all names differ by the same parts, instead of once for each file."""
    if unpaired and (form := find_forms(images, masks, where)) and form.count > 2 * len(samples):
        return [], [*problems, form.problem(folder)]
    return samples, problems + unpaired


def _pairs(folder: Path, parts: Mapping[str, Path], mask_suffix: str) -> Found:
    """Images beside their masks, recognised by a suffix; or two TIFFs, whose mask is recognised by a word."""
    problems: list[Problem] = []
    files = files_of(folder, problems, folders=False, mask_suffix=mask_suffix)
    suffix = key_of(mask_suffix)
    masks = {key: path for key, path in files.items() if key.endswith(suffix) and key != suffix}
    rest = {key: path for key, path in files.items() if key not in masks}
    if not masks and len(files) == 2 and all(path.suffix.lower() in _TIFF for path in files.values()):
        spoken = [key for key in files if any(word in key for word in _MASK_WORDS)]
        if len(spoken) == 1:
            [image] = [path for key, path in files.items() if key not in spoken]
            return [Sample(image.stem, image, files[spoken[0]], group="")], problems
    if masks:
        samples, more = pair(rest, masks, mask_suffix)
        return _or_form(folder, samples, problems, more, files, files, None)
    if form := find_forms(files, files) or find_folders(folder, parts.values()):
        return [], [*problems, form.problem(folder)]
    return [], problems or [_nothing(folder, parts, rest, mask_suffix)]


def _nothing(folder: Path, parts: Mapping[str, Path], files: Mapping[str, Path], mask_suffix: str) -> Problem:
    """The problem of a folder without any pair, with advice for the most common causes."""
    deeper = [p for p in parts.values() if (p / "images").is_dir() or (p / "train").is_dir()]
    if len(deeper) == 1:
        return Problem(str(folder), "no images", f"did you mean --data {shlex.quote(str(deeper[0]))}?")
    if len(deeper) > 1:
        advice = f"merge its masks into one, and list all pairs in {NAMES[0]}"
        return Problem(str(folder), "a folder for each image", advice)
    if files:
        found = f"{len(files)} files, none of which ends in {mask_suffix}"
        advice = f"{_LAYOUTS}, or name the suffix of the masks: --set mask_suffix=..."
        return Problem(str(folder), found, advice)
    if not parts and (kinds := Counter(path.suffix for path in folder.iterdir() if path.suffix)):
        [(kind, count)] = kinds.most_common(1)
        advice = f"save them as PNG or TIFF; {_LAYOUTS}"
        return Problem(str(folder), f"no images, but {count} files of {kind}, which are not read", advice)
    if parts:
        found = f"no images, but the folders {', '.join(path.name for path in list(parts.values())[:5])}"
        return Problem(str(folder), found, _LAYOUTS)
    return Problem(str(folder), "no images", _LAYOUTS)


def _with_pages(samples: Sequence[Sample], problems: list[Problem]) -> Found:
    """Replaces each sample of multi-page TIFFs by a sample for each page."""
    pages: list[Sample] = []
    for sample in samples:
        if sample.page is not None or not {sample.image.suffix.lower(), sample.mask.suffix.lower()} & _TIFF:
            pages.append(sample)
            continue
        try:
            in_image, in_mask = count_pages(sample.image), count_pages(sample.mask)
        except raster.ImageError as error:
            raise_passing(error)
            in_image = in_mask = 1  # reading the file completely will raise the error
        if in_image != in_mask:
            found = f"{in_mask} pages of masks for {in_image} pages of images"
            advice = "export as many masks as images, in their order"
            if (channels := pages_per_image(sample.image)) > 1:
                found += f", each of {channels} channels"
                if in_mask == in_image * channels:
                    advice = "save the images as slices, if their channels are slices (Fiji: Properties)"
            problems.append(Problem(str(sample.mask), found, advice))
        elif in_image == 1:
            pages.append(sample)
        else:
            names = ((page, f"{sample.name}-{page:04d}") for page in range(in_image))
            pages += [replace(sample, name=name, page=p, stack=sample.name) for p, name in names]
    return pages, problems


def _grouped(samples: Sequence[Sample], slices_per_group: int, pattern: str | None) -> list[Sample]:
    """Assigns a group to each sample that has none, by the rules of `find_samples`."""
    declared: dict[str, set[object]] = {}  # splits and folds of the pages of each stack
    for sample in samples:
        if sample.split is not None or sample.fold is not None:
            declared.setdefault(sample.stack, set()).add((sample.split, sample.fold))
    pattern = pattern and unicodedata.normalize("NFC", pattern)  # as the names are
    # Number of the next sample, for each stack and for all other samples (of a folder in their names).
    position: dict[str, int] = {}
    grouped = []
    for sample in sorted(samples, key=lambda s: natural_key(s.name)):
        stack = sample.stack or sample.prefix.rstrip("-")
        number = position.get(stack, 0)
        position[stack] = number + 1
        match = re.search(pattern, sample.name.removeprefix(sample.prefix)) if pattern else None
        if slices_per_group and not sample.group and not match:
            group = f"{BLOCK_PREFIX}{f'{stack}-' if stack else ''}{number // slices_per_group:03d}"
        else:
            matched = match and ("-".join(part or "" for part in match.groups()) or match[0])
            # A manifest may spread the pages of a stack over splits; nobody but the file made them a group.
            spread = len(declared.get(sample.stack, ())) > 1
            by_itself = spread and (sample.split is not None or sample.fold is not None)
            group = sample.group or matched or (sample.stack if not by_itself else "") or sample.name
            if group != sample.name and group.startswith(BLOCK_PREFIX):
                group = f"group-{group}"  # no block of ours, whose slices are remembered one by one
        grouped.append(replace(sample, group=group))
    return grouped


def _torn_groups(folder: Path, samples: Sequence[Sample]) -> list[Problem]:
    """Reports groups in two splits or folds: a model would be tested on images related to its training."""
    path = next((folder / name for name in NAMES if os.path.isfile(folder / name)), folder)
    problems = []
    for column in ("split", "fold"):
        first: dict[str, dict[str, str]] = {}  # group -> each of its splits, with the first image there
        for sample in samples:
            value = getattr(sample, column)
            if value is not None:
                first.setdefault(sample.group, {}).setdefault(str(value), sample.name)
        for group, where in first.items():
            if len(where) > 1:
                there = ", ".join(f"{value} ({name})" for value, name in sorted(where.items()))
                found = f"group {group!r} is in {column}s {there}"
                advice = (
                    f"give all its images the same {column}, or group them otherwise (group_pattern,"
                    " slices_per_group)"
                )
                problems.append(Problem(str(path), found, advice, of_the_set=True))
    return problems
