"""Pairs images with masks by their names, and finds the setting that would pair names of another form."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from unet.dataset.sample import (
    IMAGE_SUFFIXES,
    NOT_READ,
    Problem,
    Sample,
    companions,
    is_ignored,
    natural_key,
)
from unet.files import files_in

_TOKENS = re.compile(r"[^\W\d_]+|\d+|[\W_]+")
_START = re.compile(r"[^\W_]+[\W_]+")  # up to a first separator
_LETTERS = re.compile(r"[^\W\d_]+")
_CANDIDATES = 8  # constant starts, and ends, that are tried
_TRIED = 300  # images for which they are tried
_FOLDERS = 8  # folders that are tried with each other
# Words in the name of a folder or file, from the likeliest masks to what no masks are.
_RANKS = (
    (3, ("manual", "truth", "gt", "label", "annot", "lbl")),
    (2, ("mask", "seg")),
    (-1, ("fov", "roi", "flow", "outline", "overlay", "thumb", "visual", "instance", "object")),
    (-2, ("image", "img", "photo", "picture", "raw", "training")),
)


def key_of(text: str) -> str:
    """Key of a file name, equal for names that differ only by case or by the Unicode form of an accent."""
    return unicodedata.normalize("NFC", text).casefold()


def files_of(
    folder: Path, problems: list[Problem], *, folders: bool = True, mask_suffix: str = ""
) -> dict[str, Path]:
    """Lists the images of a folder, without what other tools left beside them.

    Args:
        folder: the folder to list.
        problems: list that gets the problems of names.
        folders: whether any folder inside is a problem.
        mask_suffix: ending of masks, which is no ending of companion files.

    Returns:
        The path of each file by the key of its name.
    """
    files: dict[str, Path] = {}
    others: list[Path] = []  # of no kind that is read, hence companions of an image of the same name
    for path in sorted(folder.iterdir(), key=lambda p: natural_key(p.name)):
        if is_ignored(path):
            continue
        is_image = path.suffix.lower() in IMAGE_SUFFIXES
        if path.is_dir():
            if folders or is_image:
                advice = f"move its files into {folder.name}/, or list them in manifest.csv"
                problems.append(Problem(str(path), "a folder inside a folder, which is not read", advice))
            continue
        if (printable := str(path).encode(errors="backslashreplace").decode()) != str(path):
            problems.append(Problem(printable, "a file name that is not valid UTF-8", "rename the file"))
            continue
        key = key_of(path.stem)
        if not is_image:
            others.append(path)
        elif key in files:
            advice = "keep one of them: names must differ in more than extension or case"
            problems.append(Problem(str(path), f"second file of that name beside {files[key].name}", advice))
        else:
            files[key] = path
    for path in others:
        if not {key_of(path.stem), key_of(Path(path.stem).stem)} & files.keys():
            files[key_of(path.stem)] = path
    for key in companions(files, key_of(mask_suffix)):
        del files[key]
    return files


def pair(
    image_of: Mapping[str, Path],
    mask_of: Mapping[str, Path],
    mask_suffix: str,
    names: Mapping[str, str] | None = None,
) -> tuple[list[Sample], list[Problem]]:
    """Pairs images and masks of equal keys, or whose masks have a suffix more.

    Args:
        image_of: path of each image by its key.
        mask_of: path of each mask by its key.
        mask_suffix: what a mask's name may have after that of its image.
        names: name of the sample of each key; without them, that of the image file.
    """
    suffix = key_of(mask_suffix)
    samples, problems, used = [], [], set()
    for key in sorted(image_of, key=natural_key):
        image = image_of[key]
        found = key if key in mask_of else key + suffix
        if found in used:
            advice = "remove it, or give it a mask of its own"
            other = f"no mask but that of another image, {mask_of[found].name}"
            problems.append(Problem(str(image), other, advice))
        elif found in mask_of:
            used.add(found)
            samples.append(Sample((names or {}).get(key, image.stem), image, mask_of[found], group=""))
        else:
            advice = "add a mask of the same name to masks/, or remove the image"
            problems.append(Problem(str(image), "image without mask", advice))
    for key in sorted(mask_of.keys() - used, key=natural_key):
        advice = "add an image of the same name to images/, or remove the mask"
        problems.append(Problem(str(mask_of[key]), "mask without image", advice))
    return samples, problems


def read_pairs(folder: Path, patterns: Sequence[str]) -> tuple[list[Sample], list[Problem]]:
    """Pairs the files of two patterns below a folder, in which * stands for the same text."""
    problems: list[Problem] = []
    found: list[dict[str, Path]] = []
    names: dict[str, str] = {}
    for pattern in patterns:
        path = PurePosixPath(pattern)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            path = path.with_suffix("")
        parents = [folder / path.parent]
        if "*" in str(path.parent):
            fixed = PurePosixPath(str(path.parent).partition("*")[0] + "x").parent
            parents = sorted((folder / fixed).glob(str(path.parent.relative_to(fixed))))
        expression = re.compile("([^/]+)".join(map(re.escape, key_of(str(path)).split("*"))))
        files: dict[str, Path] = {}
        for parent in parents:
            if not parent.is_dir():
                advice = f"correct the path in pairs = {list(patterns)}"
                problems.append(Problem(str(parent), "no such folder", advice, of_the_set=True))
                continue
            for key, file in files_of(parent, problems, folders=False).items():
                at = (parent / key).relative_to(folder).as_posix()
                if match := expression.fullmatch(key_of(at)):
                    files[match[1]] = file
                    start_of = key_of(file.stem).find(match[1])
                    shown = file.stem[start_of : start_of + len(match[1])] if start_of >= 0 else match[1]
                    names.setdefault(match[1], shown)
        if not files and not problems:
            advice = "correct the patterns: * stands for what is equal in the names of an image and its mask"
            problems.append(Problem(str(folder), f"no file matches {pattern!r}", advice, of_the_set=True))
        found.append(files)
    if problems and not all(found):
        return [], problems
    samples, more = pair(found[0], found[1], "", names)
    return samples, problems + more


@dataclass(frozen=True)
class _Form:
    """The form of names of one kind of file: a folder, a constant start and a constant end."""

    folder: str
    head: str
    tail: str

    @property
    def pattern(self) -> str:
        return f"{self.folder}{self.head}*{self.tail}"

    @property
    def rank(self) -> int:
        text = key_of(self.pattern)
        return next((rank for rank, words in _RANKS if any(word in text for word in words)), 0)


@dataclass(frozen=True)
class Finding:
    """Names that pair up but for constant parts: how many, one pair of them, and the option that says so."""

    count: int
    example: str
    option: str

    def problem(self, folder: Path) -> Problem:
        """The one problem that stands for those of all files."""
        found = (
            f"{self.count} images and masks pair up but for a constant part of their names: {self.example}"
        )
        advice = f"name that part (* is what the two have in common): {self.option}"
        if self.option.count('/*"') == 2:  # the names are equal as they are
            found = f"{self.count} images and masks in folders of other names: {self.example}"
            advice = f"name the folders (* is the name that the two have in common): {self.option}"
        if "mask_suffix" in self.option:
            advice = f"name what the masks have after the names of their images: {self.option}"
        return Problem(str(folder), found, advice, of_the_set=True)


def find_forms(
    images: Mapping[str, Path], masks: Mapping[str, Path], folders: tuple[str, str] | None = None
) -> Finding | None:
    """Finds the constant parts without which the names of images and masks would be equal.

    Args:
        images: images by their keys.
        masks: masks by their keys; the same mapping if nobody knows which files are masks.
        folders: folders of images and masks as patterns begin, "images/"; None for one folder of both.
    """
    one_folder = folders is None
    image_folder, mask_folder = folders or ("", "")
    # Those of equal names first: of PASCAL VOC's images only one in six has a mask.
    tried = {key: images[key] for key in sorted(images, key=lambda key: key not in masks)[:_TRIED]}
    left = _cores(tried, image_folder, max(2, len(tried) // 4))
    right = left if one_folder and len(tried) == len(masks) else _cores(masks, mask_folder, 2)
    best: tuple[tuple[float, ...], _Form, _Form, set[str]] | None = None
    for image, image_cores in left.items():
        for mask, mask_cores in right.items():
            if one_folder and (mask == image or mask.rank < image.rank):
                continue
            both = image_cores & mask_cores
            if len(both) < 2:
                continue
            clean = all(core[0].isalnum() and core[-1].isalnum() for core in islice(both, 20))
            length = sum(len(part) for form in (image, mask) for part in (form.head, form.tail))
            score = (len(both), mask.rank - image.rank, clean, -length, -len(image.tail + image.head))
            if best is None or score > best[0]:
                best = score, image, mask, both
    if best is None or best[0][0] < max(2, min(len(tried), len(masks)) / (4 if one_folder else 2)):
        return None
    _, image, mask, both = best
    if _is_channel(mask.tail) and not image.tail and one_folder:  # nnU-Net numbers the channels of images
        image, mask = mask, image
    core = min(both, key=natural_key)
    paths = [
        f"{form.folder}{files[form.head + core + form.tail].name}"
        for form, files in ((image, images), (mask, masks))
        if form.head + core + form.tail in files
    ]
    count = len(both)
    if len(images) > len(tried):
        count = sum(
            key.removeprefix(image.head).removesuffix(image.tail) in right[mask]
            for key in images
            if key.startswith(image.head) and key.endswith(image.tail)
        )
    if not (image.head or image.tail or mask.head) and (folders in (None, ("images/", "masks/"))):
        option = f"mask_suffix={mask.tail}"
    else:
        option = f'pairs=["{image.pattern}", "{mask.pattern}"]'
    if (
        "'" in option
        or '"' in image.pattern + mask.pattern
        or "*" in (image.pattern + mask.pattern).replace("*", "", 2)
    ):
        return None
    return Finding(count, ", ".join(paths), f"--set '{option}'")


def find_folders(folder: Path, parts: Iterable[Path]) -> Finding | None:
    """Finds two folders of other names than images/ and masks/ that hold images and their masks."""
    inside: dict[str, dict[str, Path]] = {}
    for part in parts:
        if is_ignored(part):
            continue
        files = files_of(part, [], folders=False)
        if sum(path.suffix.lower() in IMAGE_SUFFIXES for path in files.values()) > 1:
            inside[f"{part.relative_to(folder).as_posix()}/"] = files
    ranks = {name: _Form(name, "", "").rank for name in inside}
    ordered = sorted(islice(inside, _FOLDERS), key=lambda name: (-ranks[name], name))
    for mask in ordered:
        for image in reversed(ordered):
            if ranks[mask] > ranks[image] and (
                finding := find_forms(inside[image], inside[mask], (image, mask))
            ):
                return finding
    return None


def _is_channel(tail: str) -> bool:
    return bool(re.fullmatch(r"_\d{4}", tail))


def _cores(files: Mapping[str, Path], folder: str, least: int) -> dict[_Form, set[str]]:
    """What remains of the names without each constant start and end, where at least `least` have both."""
    heads = _starts(files)
    tails = [end[::-1] for end in _starts([key[::-1] for key in files])]
    found = {}
    for head in heads:
        for tail in tails:
            cores = {
                key[len(head) : len(key) - len(tail)]
                for key in files
                if len(key) > len(head) + len(tail) and key.startswith(head) and key.endswith(tail)
            }
            if len(cores) >= least:
                found[_Form(folder, head, tail)] = cores
    return found


def _starts(keys: Iterable[str]) -> list[str]:
    """Constant starts of names: none, those of all names, and the most frequent ones of several."""
    keys = list(keys)
    common = os.path.commonprefix(keys)  # noqa: RUF071 - of names, not of paths
    found = ["", *(common[: match.end()] for match in _TOKENS.finditer(common))]
    counts: Counter[str] = Counter()
    for key in keys:
        end, length = 0, len(key)
        if match := _LETTERS.match(key):
            counts[match[0]] += 1
        for _ in range(3):
            if not (match := _START.match(key, end)) or match.end() == length:
                break
            end = match.end()
            counts[key[:end]] += 1
    found += [start for start, count in counts.most_common(_CANDIDATES) if count > 1]
    return list(dict.fromkeys(found))


def lists_beside(folder: Path) -> list[Path]:
    """Files beside images that list splits or folds, which are not read."""
    inside = [folder, folder / "images", folder / "masks", folder / "ImageSets" / "Segmentation"]
    return [path for part in inside for path in files_in(part) if NOT_READ.fullmatch(path.name.lower())]
