"""Lists the images that `predict` reads, and the files that it writes for each."""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unet.dataset.sample import is_ignored, natural_key
from unet.images.formats import count_pages
from unet.images.raster import ImageError
from unet.inference.inputs import large_pages
from unet.masks.object_rule import ObjectRule

COCO = "coco.json"
OBJECTS = "objects.csv"  # a table of the objects of all images
_LONGEST = 255  # bytes of the name of a file
RECORD = ".predict.jsonl"  # in the folder of the outputs, see `pipeline.prediction.record`


@dataclass(frozen=True)
class Outputs:
    """The outputs to write besides the masks.

    Attributes:
        probabilities: names of the classes with probability maps; empty for no maps.
        overlay: whether to write overlays.
        polygons: "geojson", "coco" or None: those of the objects, if there are any, else of the classes.
        objects: what counts as an object; None for no objects.
    """

    probabilities: tuple[str, ...] = ()
    overlay: bool = False
    polygons: str | None = None
    objects: ObjectRule | None = None

    @property
    def of_masks(self) -> bool:
        """Whether polygons or objects are requested: made of the finished masks, anew each time."""
        return bool(self.polygons) or self.objects is not None

    @property
    def of_the_model(self) -> Outputs:
        """The others, which need the image and the model."""
        return dataclasses.replace(self, polygons=None, objects=None)


@dataclass(frozen=True)
class Task:
    """One image to predict.

    Attributes:
        image: path of the file; `page` is the index of the page in it, or None if the file is one image.
        folder: folder of the outputs, relative to that of all outputs; "." unless a glob found the image.
        large: whether the image is a TIFF that is read in strips, with TIFFs as outputs.
    """

    image: Path
    page: int | None = None
    folder: Path = Path()
    large: bool = False

    @property
    def stem(self) -> str:
        """The name of the outputs without folder and ending."""
        return self.image.stem if self.page is None else f"{self.image.stem}-{self.page:04d}"

    @property
    def title(self) -> str:
        """The name of the image for messages."""
        return str(self.image) if self.page is None else f"{self.image}, page {self.page}"

    def name(self, ending: str) -> str:
        """Returns the name of an output, relative to the folder of all outputs."""
        return (self.folder / f"{self.stem}{ending}").as_posix()

    @property
    def mask(self) -> str:
        """The name of the mask file."""
        return self.name(".tif" if self.large else ".png")

    def maps(self, outputs: Outputs) -> list[str]:
        """Returns the names of the probability maps."""
        return [self.name(f".{kind}.{'tif' if self.large else 'png'}") for kind in outputs.probabilities]

    @property
    def polygons(self) -> str:
        """The name of the GeoJSON file."""
        return self.name(".geojson")

    @property
    def objects(self) -> str:
        """The name of the image of the objects' numbers."""
        return self.name(".objects.tif")

    def names(self, outputs: Outputs) -> list[str]:
        """Returns the names of all files that are written for this image alone."""
        overlay = [self.name(".overlay.png")] if outputs.overlay else []
        polygons = [self.polygons] if outputs.polygons == "geojson" else []
        objects = [self.objects] if outputs.objects is not None else []
        return [self.mask, *self.maps(outputs), *overlay, *polygons, *objects]


def find_tasks(inputs: Sequence[str | Path], out: Path) -> tuple[list[Task], list[str]]:
    """Returns the images that the arguments name, and a message for each argument that cannot be used.

    Args:
        inputs: files, folders whose files are all images, and globs, where `**` is any depth of folders.
        out: folder of the outputs; files in it are ignored by globs.
    """
    tasks, problems = [], []
    for text in dict.fromkeys(map(str, inputs)):
        path = base = Path(text)
        if path.is_dir():
            found = [p for p in path.iterdir() if _is_file(p) and not is_ignored(p)]
            if not found:
                below = " or ".join(str(p) for p in sorted(path.iterdir()) if p.is_dir())
                problems.append(
                    f"{path}: no files in it: give a folder of images" + (f", {below}?" if below else "")
                )
        elif path.is_file():
            found, base = [path], path.parent
        elif glob.has_magic(text):
            base = _fixed(path)
            if ".." in path.parts[len(base.parts) :]:  # the outputs would lie outside of their folder
                problems.append(f"{text}: .. after the first pattern: name the folders of the images instead")
                continue
            # Skip masks of an earlier run below the folder of the images.
            within = _real(out) if _real(base) in _real(out).parents else None
            found = [p for p in map(Path, glob.glob(text, recursive=True)) if _is_input(p, within)]
            if not found:
                problems.append(f"{text}: no image matches this")
        else:
            problems.append(f"{path}: there is no such file or folder")
            continue
        for file in sorted(found, key=lambda p: natural_key(str(p))):
            tasks += _pages(file, file.parent.relative_to(base))
    return list(dict.fromkeys(tasks)), problems


def collisions(tasks: Sequence[Task], outputs: Outputs, out: Path) -> Iterator[str]:
    """Yields a message for each file that would be written twice, would replace an image, or cannot be."""
    images = {_real(task.image) for task in tasks}
    names = [name for task in tasks for name in task.names(outputs)]
    names += [COCO] if outputs.polygons == "coco" else []
    names += [OBJECTS] if outputs.objects is not None else []
    for name, count in collections.Counter(names).items():
        if _real(out / name) in images:
            yield f"{out / name}: would be written over that image: give another --out"
        elif count > 1:
            yield f"{out / name}: several images would become this file: predict them apart"
        if (size := len(os.fsencode(Path(name).name))) > _LONGEST:
            yield f"{out / name}: a name of {size} bytes, {_LONGEST} are possible: rename the image"


def taken_for_images(
    inputs: Sequence[str | Path], tasks: Sequence[Task], outputs: Outputs, out: Path
) -> Iterator[str]:
    """Yields a message for each folder or glob of which outputs would be images the next time."""
    advice = "the same command would take it for an image the next time: give another --out"
    place = _real(out)
    for text in dict.fromkeys(map(str, inputs)):
        path = Path(text)
        base = path if path.is_dir() else _fixed(path)
        pattern = ("*",) if path.is_dir() else path.parts[len(base.parts) :]
        below = _real(base)
        if path.is_file() or below in place.parents:  # those of a folder below the images' are left out
            continue
        names = (place / name for task in tasks for name in task.names(outputs))
        parts = (name.relative_to(below).parts for name in names if below in name.parents)
        if found := next((part for part in parts if _matches(part, pattern)), None):
            yield f"{base.joinpath(*found)}: {advice}"


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path is one of a glob, part by part."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def not_ours(tasks: Sequence[Task], outputs: Outputs, out: Path) -> str:
    """A message if files would be replaced that `predict` cannot have made; empty if there are none.

    They may be masks that a person drew. In a folder with a record of `predict`, all outputs are its own.
    """
    if (out / RECORD).exists():
        return ""
    there = [name for task in tasks for name in task.names(outputs) if os.path.lexists(out / name)]
    if not there:
        return ""
    more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
    return f"{out / there[0]}{more}: not made by predict: give another --out, or --overwrite to replace it"


def _pages(path: Path, folder: Path) -> list[Task]:
    try:
        count = count_pages(path)
    except ImageError:
        return [Task(path, None, folder)]  # reading the file reports the problem
    pages = range(count) if count > 1 else [None]
    return [
        Task(path, page, folder, large) for page, large in zip(pages, large_pages(path, count), strict=True)
    ]


def _is_input(path: Path, not_within: Path | None) -> bool:
    return _is_file(path) and not is_ignored(path) and not_within not in _real(path).parents


def _real(path: Path) -> Path:
    """Follows links as far as they lead; `Path.resolve` raises where they lead in a circle."""
    return Path(os.path.realpath(path))


def _is_file(path: Path) -> bool:
    return path.is_file() or (path.is_symlink() and not path.exists())  # reading it reports the problem


def _fixed(pattern: Path) -> Path:
    """Returns the folder of a glob before the first pattern."""
    fixed = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed
