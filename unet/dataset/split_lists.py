"""Lists of the names of the images in each split: train.txt beside val.txt or test.txt, as PASCAL VOC has.

They are read as a manifest is: an image that no list names is not used. Where one of val and test has no
list, it gets images of the list before it, chosen by the hash of their group: the same ones in each run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from unet.dataset.pairing import key_of
from unet.dataset.sample import IMAGE_SUFFIXES, SPLITS, Problem, Sample, split_named
from unet.files import files_in, raise_passing

PLACES = ("", "images", "ImageSets/Segmentation")  # below the folder of the data
_SUFFIXES = (".txt", ".lst")
_TAKEN = {"eval": ("train", 5), "test": ("eval", 2)}  # split without a list -> donor, and one of how many
_KNOWN = 0.5  # share of the lines that must name images; in other files they mean something else


@dataclass(frozen=True)
class SplitLists:
    """The lists of a folder.

    Attributes:
        files: the list of each split that has one.
        samples: the samples that the lists name, with their splits.
        keys: keys of all names in the lists, whether there are such images or not.
        unknown: lines that name no image with a mask, with their file.
        twice: names in two lists, with the second one.
    """

    files: dict[str, Path]
    samples: list[Sample]
    keys: set[str]
    unknown: list[tuple[Path, str]]
    twice: list[tuple[Path, str]]

    def __str__(self) -> str:
        """Names the lists, and says which images are of a split that has none."""
        text = ", ".join(self.files[split].name for split in SPLITS if split in self.files)
        for split in SPLITS:
            if split not in self.files:
                donor, each = _TAKEN[split]
                text += f"; {split} gets one in {each} images of {self.files[donor].name}, as it has no list"
        return text


def find_lists(folder: Path, samples: Sequence[Sample]) -> SplitLists | None:
    """Reads the lists of splits of a folder; None if there are none of two splits, or they name no images.

    Args:
        folder: the data folder.
        samples: all samples of the folder, with their groups.
    """
    for place in PLACES:
        files: dict[str, Path] = {}
        for path in files_in(folder / place):
            split = split_named(path.stem)
            if split and path.suffix.lower() in _SUFFIXES:
                files.setdefault(split, path)
        if "train" in files and len(files) > 1:
            return _read(files, samples)
    return None


def _read(files: dict[str, Path], samples: Sequence[Sample]) -> SplitLists | None:
    named: dict[str, list[Sample]] = {}
    for sample in samples:
        for key in {key_of(text) for text in (sample.name, sample.stack, sample.image.stem) if text}:
            named.setdefault(key, []).append(sample)
    split_of: dict[str, str] = {}
    keys: set[str] = set()
    unknown, twice, lines = [], [], 0
    for split, path in files.items():
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise_passing(error)  # else the images would be dealt as if there were no lists
            return None
        for line in filter(None, map(str.strip, text.splitlines())):
            lines += 1
            keys |= set(_keys(line))
            found = next((named[key] for key in _keys(line) if key in named), [])
            if not found:
                unknown.append((path, line))
            elif any(split_of.get(sample.name, split) != split for sample in found):
                twice.append((path, line))
            split_of |= {sample.name: split for sample in found if sample.name not in split_of}
    if not lines or len(unknown) > _KNOWN * lines:
        return None
    listed = [
        replace(sample, split=_dealt(sample, split_of[sample.name], files))
        for sample in samples
        if sample.name in split_of
    ]
    return SplitLists(files, listed, keys, unknown, twice)


def _keys(line: str) -> Iterator[str]:
    """Keys of the image that a line may mean: a name, a path, or a path of an image and one of its mask."""
    for text in dict.fromkeys((line, line.split()[0])):
        path = PurePosixPath(text.replace("\\", "/"))
        yield key_of(path.name)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            yield key_of(path.stem)


def _dealt(sample: Sample, split: str, files: dict[str, Path]) -> str:
    """The split of a sample of a list: its own, or one without a list."""
    for taker, (donor, each) in _TAKEN.items():
        if donor == split and taker not in files:
            number = int.from_bytes(hashlib.sha256(sample.group.encode()).digest()[:8], "big")
            return split if number % each else taker
    return split


def with_listed_splits(
    folder: Path, samples: list[Sample], problems: list[Problem]
) -> tuple[list[Sample], list[Problem]]:
    """Gives samples the splits of lists, unless something else declares them; leaves out what no list names.

    Args:
        folder: the data folder.
        samples: all samples of the folder, with their groups.
        problems: the problems of the folder; those of single files that no list names are no problems.
    """
    if any(sample.split or sample.fold is not None for sample in samples):
        return samples, problems
    if not (lists := find_lists(folder, samples)):
        return samples, problems
    unpaired = ("image without mask", "mask without image")
    problems = [p for p in problems if p.found not in unpaired or key_of(Path(p.path).stem) in lists.keys]
    told = {key_of(Path(problem.path).stem) for problem in problems}
    for path, line in lists.unknown:
        if not told & set(_keys(line)):
            found = f"it names {line}, and there is no such image"
            problems.append(Problem(str(path), found, "correct the line, or remove it"))
    for path, line in lists.twice:
        advice = "leave it in one of them"
        problems.append(Problem(str(path), f"{line} is in another list, too", advice, of_the_set=True))
    return lists.samples, problems
