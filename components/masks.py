"""What the values in masks mean: the classes, and the pixels that count nowhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from components.image_formats import read_raster
from components.images import MAX_PIXELS
from components.raster import ImageError, Raster

# Index in stored masks of pixels that neither the loss, nor a metric, nor a statistic may count.
IGNORE = 255
# As the value of a class: any value that no other class and not `ignore` has, each an object of its own.
INSTANCES = "instances"
_TABLE = 1 << 24  # values up to which a table looks up the class: all colours are below it
_BLOCK = 1 << 20
_COLOURS = 1 << 16  # colours that a blurred mask may hold
_CLASSES = 20  # values that are still proposed as classes
_COLOUR = re.compile("#[0-9a-fA-F]{6}")

Value = int | str


@dataclass(frozen=True)
class Legend:
    """What values in the masks mean.

    Attributes:
        classes: value of each class: a number from 0 to 65535, a colour "#rrggbb", or "instances"; the
            position of a class is its index.
        ignore: value of pixels that count nowhere, or None.
        mask_values: "exact", or "nearest": each pixel is of the class whose value or colour is nearest, for
            masks that JPEG or anti-aliasing blurred.
    """

    classes: Mapping[str, Value]
    ignore: Value | None = None
    mask_values: str = "exact"

    @property
    def in_colour(self) -> bool:
        """Whether the classes are colours; numbers and colours do not mix."""
        return any(is_colour(value) for value in self.classes.values())


def is_colour(value: object) -> bool:
    """Whether a value is written as a colour, #rrggbb."""
    return isinstance(value, str) and bool(_COLOUR.fullmatch(value))


def served_values(classes: Mapping[str, Value]) -> list[int] | list[list[int]]:
    """What an answered mask holds for each class: a grey value, or red, green and blue.

    A class of "instances" gets 255, or the highest value below that no other class has: the network tells
    classes apart, not objects.
    """
    values = list(classes.values())
    if any(is_colour(value) for value in values):
        return [list(bytes.fromhex(str(value)[1:])) for value in values]
    free = next(value for value in range(255, -1, -1) if value not in values)
    return [free if value == INSTANCES else int(value) for value in values]


@dataclass(frozen=True)
class Survey:
    """What a mask file holds, whatever its values mean.

    Attributes:
        kind: grey, palette or colour; a file of three equal channels is grey.
        height, width: in pixels.
        depth: bits of a value.
        format: of the file, as in `Raster`.
        counts: pixels of each value: a grey value or an index as stored, or 0xRRGGBB.
        palette: 0xRRGGBB of each index, or empty.
    """

    kind: str
    height: int
    width: int
    depth: int
    format: str
    counts: dict[int, int]
    palette: list[int]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Survey:
        """What `dataclasses.asdict` made, also after a journey through JSON, whose keys are strings."""
        return cls(**{**fields, "counts": {int(value): n for value, n in fields["counts"].items()}})


@dataclass(frozen=True)
class Mask:
    """A mask by classes.

    Attributes:
        indices: uint8 [H, W], index of the class of each pixel, or `IGNORE`.
        instances: uint16 [H, W], id of the object of each pixel of a class of instances, else 0; None where
            no class is one of instances.
    """

    indices: NDArray[np.uint8]
    instances: NDArray[np.uint16] | None


def survey_mask(source: str | Path | bytes, *, page: int = 0, max_pixels: int = MAX_PIXELS) -> Survey:
    """Reads a mask completely and counts its values; arguments and errors as for `images.read_image`."""
    return _survey(read_raster(source, page, max_pixels))[1]


def count_classes(survey: Survey, legend: Legend) -> tuple[dict[str, int], int]:
    """Pixels of each class by its name, and ignored pixels.

    Raises:
        ImageError: the mask holds values of no class.
    """
    pixels = Counter[int]()
    for value, index in _indices_of(survey, legend).items():
        pixels[index] += survey.counts[value]
    return {name: pixels[index] for index, name in enumerate(legend.classes)}, pixels[IGNORE]


def read_mask(
    source: str | Path | bytes, legend: Legend, *, page: int = 0, max_pixels: int = MAX_PIXELS
) -> Mask:
    """Reads a mask as class indices.

    Grey values are taken as stored, palette images by index, or by colour for a legend in colour. Values of
    fewer than 8 bits count as stored if all class values fit into them, else scaled to 0..255: a 1-bit mask
    serves {0, 1} and {0, 255}. An indexed mask whose indices are not declared, but whose grey colours are,
    counts by those: PNG optimisers turn a few grey values into a palette.

    Args:
        source: path or content of a file as in `images.read_image`.
        legend: what its values mean.
        page: of a multi-page TIFF.
        max_pixels: larger masks are refused before they are decoded.

    Raises:
        ImageError: as in `images.read_image`, or the mask holds values of no class.
    """
    values, survey = _survey(read_raster(source, page, max_pixels))
    index_of = _indices_of(survey, legend)
    top = max(index_of)
    if top < _TABLE:
        table = np.zeros(top + 1, np.uint8)
        table[list(index_of)] = list(index_of.values())
        indices = np.empty(values.shape, np.uint8)
        rows = max(1, _BLOCK // values.shape[1])
        for start in range(0, len(values), rows):  # looking up makes 64 bits of each value: a part at a time
            indices[start : start + rows] = table[values[start : start + rows]]
    else:  # ids of more bits
        found, inverse = np.unique(values, return_inverse=True)
        indices = np.array([index_of[int(v)] for v in found], np.uint8)[inverse].reshape(values.shape)
    instances = None
    if INSTANCES in legend.classes.values():
        objects = indices == list(legend.classes.values()).index(INSTANCES)
        if top > 65535 and int(values[objects].max(initial=0)) > 65535:
            raise ImageError(
                f"objects numbered up to {top}", "number them from 1 in each mask, to 65535 at most"
            )
        instances = np.where(objects, values, 0).astype(np.uint16)
    return Mask(indices, instances)


def propose_classes(surveys: Iterable[Survey]) -> dict[str, Value] | None:
    """Classes for all values that some masks hold; None if there are too many to be classes, or objects."""
    totals: Counter[int] = Counter()
    surveys = list(surveys)
    in_colour = any(s.kind == "colour" for s in surveys)
    for survey in surveys:
        for value, count in survey.counts.items():
            totals[_colour_of(survey, value) if in_colour else _number_of(survey, value, 256)] += count
    if len(totals) > _CLASSES:
        numbered = sum(_numbers_objects(survey) for survey in surveys)
        if not in_colour and numbered > len(surveys) / 2:
            return {"background": 0, "object": INSTANCES}
        return None
    values = sorted(totals)
    if in_colour and 0 not in totals:
        values.sort(key=lambda value: -totals[value])
    if len(values) == 2:
        names = ["background", "foreground"]
    else:
        names = ["background", *(f"class_{i if in_colour else v}" for i, v in enumerate(values) if i)]
    return {n: f"#{v:06x}" if in_colour else v for n, v in zip(names, values, strict=True)} or None


def as_setting(classes: Mapping[str, Value]) -> str:
    """Classes as the value of --set classes=..., inside single quotes of a shell."""
    pairs = (f"{name}={v}" if isinstance(v, int) else f'{name}="{v}"' for name, v in classes.items())
    return "{" + ", ".join(pairs) + "}"


def _numbers_objects(survey: Survey) -> bool:
    """Whether a mask seems to number its objects: few gaps, much background, no object of half the rest."""
    objects = [count for value, count in survey.counts.items() if value]
    background = survey.counts.get(0, 0)
    return (
        len(objects) > 1
        and survey.format != "JPEG"
        and max(survey.counts) <= 4 * len(survey.counts)
        and background > max(objects)
        and max(objects) < 0.5 * sum(objects)
    )


def _survey(raster: Raster) -> tuple[np.ndarray, Survey]:
    """The values of a mask, [H, W] of integers, and how many there are of each."""
    pixels, kind = raster.pixels, "grey" if raster.palette is None else "palette"
    if pixels.dtype.kind == "f":
        if not (np.isfinite(pixels).all() and (pixels == np.rint(pixels)).all()):
            raise ImageError(
                "a mask of fractions", "save the value of a class in each pixel, as a whole number"
            )
        pixels = pixels.astype(np.int64)
    if pixels.dtype.kind == "i" and pixels.min() < 0:
        raise ImageError(f"a mask of negative values, down to {pixels.min()}", "use values from 0")
    height, width = pixels.shape[:2]
    if pixels.shape[-1] == 3 and not (pixels == pixels[..., :1]).all():
        if pixels.dtype != np.uint8:
            raise ImageError("a mask in colours of 16 bits", "save it with 8 bits a channel")
        kind = "colour"
        found = PILImage.fromarray(pixels).getcolors(_COLOURS)
        if found is None:
            raise ImageError(
                f"a mask of more than {_COLOURS} colours", "it may be an image: save the mask as PNG"
            )
        counts = {r << 16 | g << 8 | b: n for n, (r, g, b) in found}  # type: ignore[misc]
        red, green, blue = (pixels[..., i].astype(np.uint32) for i in range(3))
        values = red << 16 | green << 8 | blue
    else:
        values = np.ascontiguousarray(pixels[..., 0])
        counts = count_values(values)
    palette = [] if raster.palette is None else [r << 16 | g << 8 | b for r, g, b in raster.palette.tolist()]
    return values, Survey(kind, height, width, raster.depth, raster.format, counts, palette)


def count_values(values: np.ndarray) -> dict[int, int]:
    """Pixels of each value that occurs in [H, W] of integers."""
    # Most masks hold two values, and comparing is many times as fast as any histogram of long runs.
    extremes = {int(v): int(np.count_nonzero(values == v)) for v in (values.min(), values.max())}
    if sum(extremes.values()) == values.size:
        return extremes
    if values.dtype == np.uint8:
        counts = np.array(PILImage.fromarray(values).histogram())
    elif values.dtype == np.uint16:
        counts = np.bincount(values.reshape(-1))
    else:
        found, counts = np.unique(values, return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))
    present = np.flatnonzero(counts)
    return dict(zip(present.tolist(), counts[present].tolist(), strict=True))


def _number_of(survey: Survey, value: int, highest: int) -> int:
    """A stored grey value as a legend whose highest value is `highest` counts it."""
    if survey.depth < 8 and survey.kind == "grey" and (survey.depth == 1 or highest < 256):
        return value if highest < 1 << survey.depth else value * (255 // ((1 << survey.depth) - 1))
    return value


def _colour_of(survey: Survey, value: int) -> int:
    if survey.kind == "palette":
        return survey.palette[value] if value < len(survey.palette) else 0
    if survey.kind == "colour":
        return value
    return min(_number_of(survey, value, 255), 255) * 0x010101


def _indices_of(survey: Survey, legend: Legend) -> dict[int, int]:
    """Index of the class, or `IGNORE`, of each value in a mask; raises `ImageError` for values of none."""
    declared = dict(zip(legend.classes.values(), range(len(legend.classes)), strict=True))
    if legend.ignore is not None:
        declared[legend.ignore] = IGNORE
    objects = declared.pop(INSTANCES, None)
    numbers = {int(v[1:], 16) if isinstance(v, str) else v: index for v, index in declared.items()}
    if legend.in_colour:
        meaning = {value: _colour_of(survey, value) for value in survey.counts}
    elif survey.kind == "colour":
        classes = propose_classes([survey])
        advice = "save it in grey, each pixel holding the value of its class"
        if classes:
            advice = f"declare its colours, --set 'classes={as_setting(classes)}', or {advice}"
        raise ImageError(f"a mask in colour ({_listed(survey, survey.counts, True)})", advice)
    else:
        meaning = {value: _number_of(survey, value, max(numbers)) for value in survey.counts}
        greys = {value: _colour_of(survey, value) & 255 for value in survey.counts}
        is_grey = all(_colour_of(survey, v) == grey * 0x010101 for v, grey in greys.items())
        undeclared = objects is None and not numbers.keys() >= meaning.keys()
        if survey.kind == "palette" and undeclared and is_grey and numbers.keys() >= set(greys.values()):
            meaning = greys
    if legend.mask_values == "nearest":
        known = np.array(list(numbers))
        return {
            v: numbers[int(known[_distance(known, m, legend.in_colour).argmin()])] for v, m in meaning.items()
        }
    indices = {value: numbers.get(m, objects) for value, m in meaning.items()}
    if wrong := [value for value, index in indices.items() if index is None]:
        raise _undeclared(survey, legend, {meaning[value]: survey.counts[value] for value in wrong})
    return {value: index for value, index in indices.items() if index is not None}


def _distance(known: np.ndarray, value: int, in_colour: bool) -> np.ndarray:
    if not in_colour:
        return abs(known - value)
    shifts = np.array([16, 8, 0])
    return (((known[:, None] >> shifts & 255) - (value >> shifts & 255)) ** 2).sum(-1)


def _listed(survey: Survey, counts: Mapping[int, int], in_colour: bool) -> str:
    most = sorted(counts, key=lambda value: -counts[value])[:5]
    text = ", ".join(f"{f'#{v:06x}' if in_colour else v} ({counts[v]} pixels)" for v in sorted(most))
    return text + (", ..." if len(counts) > 5 else "")


def _undeclared(survey: Survey, legend: Legend, wrong: Mapping[int, int]) -> ImageError:
    declared = ", ".join(f"{name}={value}" for name, value in legend.classes.items())
    found = f"pixel values of no class ({declared}): {_listed(survey, wrong, legend.in_colour)}"
    classes = propose_classes([survey])
    nearest = "--set mask_values=nearest takes the nearest class for each pixel"
    if survey.format == "JPEG":
        return ImageError(found, f"save masks as PNG: JPEG changes values; {nearest}")
    few = sum(wrong.values()) < 0.2 * survey.height * survey.width and len(wrong) > 2
    if few and (classes is None or INSTANCES not in classes.values()):
        return ImageError(found, f"export it without smoothing: its edges look blurred; or {nearest}")
    if classes is None:
        return ImageError(found, f"it may be an image: store the class of each pixel; or {nearest}")
    # A name for every value found or declared, so that whoever types it is not told the same again.
    if not legend.in_colour and len(classes) != 2:
        classes = {**legend.classes, **{n: v for n, v in classes.items() if v not in legend.classes.values()}}
        classes = dict(sorted(classes.items(), key=lambda item: (isinstance(item[1], str), item[1])))
    return ImageError(found, f"declare them, for example --set 'classes={as_setting(classes)}'")
