"""Converts masks to polygons: one GeoJSON file per image, or one COCO file for all images.

A region is a 4-connected part of one class, or an object that has a number; the background has no regions.
Corners are exact: whole numbers in pixels, x to the right and y down from the top left corner of the image:
filling the polygons gives the mask again.
"""

from __future__ import annotations

import collections
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import features
from rasterio.transform import Affine

Ring = list[list[int]]  # corners [x, y] of a closed polygon; the first corner is repeated at the end


@dataclass(frozen=True)
class Region:
    """Pixels of one class that belong together.

    Attributes:
        index: index of the class.
        polygons: its 4-connected parts: of each the outer border, followed by the borders of the holes.
        object: number of the object, or None.
    """

    index: int
    polygons: list[list[Ring]]
    object: int | None = None

    @property
    def area(self) -> int:
        """Number of pixels of the region."""
        return sum(_area(border) - sum(map(_area, holes)) for border, *holes in self.polygons)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Bounding box of the region: left, top, width and height in pixels."""
        xs, ys = zip(*(corner for border, *_ in self.polygons for corner in border), strict=True)
        return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)

    @property
    def geometry(self) -> dict[str, Any]:
        """The region as a geometry of GeoJSON: a polygon, or a multipolygon if it has several parts."""
        if len(self.polygons) == 1:
            return {"type": "Polygon", "coordinates": self.polygons[0]}
        return {"type": "MultiPolygon", "coordinates": self.polygons}


def regions(indices: NDArray[np.uint8], first: int = 1) -> Iterator[Region]:
    """The 4-connected regions of a mask of class indices, [H, W], of all classes from the `first` on."""
    for index, rings in _polygons(indices, first):
        yield Region(index, [rings])


def object_regions(numbers: NDArray[np.int32], classes_of: NDArray[np.uint8]) -> Iterator[Region]:
    """The regions of objects, in the order of their numbers.

    The parts of an object that was split may meet at corners alone: such a region has several polygons.

    Args:
        numbers: number of each pixel's object, [H, W], 0 for none, see `unet.inference.objects`.
        classes_of: class of each object, [objects + 1].
    """
    found = collections.defaultdict(list)
    for number, rings in _polygons(numbers, 1):
        found[number].append(rings)
    for number in sorted(found):
        yield Region(int(classes_of[number]), found[number], number)


def _polygons(values: NDArray[Any], first: int) -> Iterator[tuple[int, list[Ring]]]:
    values = np.ascontiguousarray(values)
    for polygon, value in features.shapes(values, mask=values >= first, connectivity=4):
        yield int(value), [[[int(x), int(y)] for x, y in ring] for ring in polygon["coordinates"]]


def write_geojson(path: Path, found: Iterator[Region], classes: Sequence[str]) -> None:
    """Writes regions as a FeatureCollection.

    Each feature has the properties `class` and `area` (pixels), and `object`, its number, if it has one.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, region in enumerate(found):
            properties = {"class": classes[region.index], "area": region.area, **_numbered(region)}
            feature = {"type": "Feature", "properties": properties, "geometry": region.geometry}
            file.write((",\n" if number else "\n") + json.dumps(feature))
        file.write("\n]}\n")


class CocoWriter:
    """Writes a COCO file of many images; annotations are written at once and not kept in memory.

    A region without holes is written as a polygon. COCO's polygons have no holes: a region with holes is
    written as run lengths, column by column, uncompressed.
    """

    def __init__(self, path: Path, classes: Sequence[str], first: int = 1):
        """Opens the file.

        Args:
            path: the file, complete when the context ends.
            classes: class names.
            first: index of the first class that counts and becomes a category.
        """
        self._file = path.open("w", encoding="utf-8")
        self._images: list[dict[str, Any]] = []
        self._classes, self._first, self._ids = classes, first, itertools.count(1)

    def __enter__(self) -> CocoWriter:
        self._file.write('{"annotations": [')
        return self

    def add(
        self, name: str, height: int, width: int, found: Iterator[Region], page: int | None = None
    ) -> None:
        """Adds an image with its `file_name` and regions; `page` is its page in a multi-page file."""
        image = len(self._images) + 1
        entry = {"id": image, "file_name": name, "height": height, "width": width}
        self._images.append(entry if page is None else entry | {"page": page})
        for region in found:
            number = next(self._ids)
            annotation = {
                "id": number,
                "image_id": image,
                "category_id": region.index,
                "iscrowd": 0,
                "bbox": region.box,
                "area": region.area,
                "segmentation": _segmentation(region, height, width),
                **_numbered(region),
            }
            self._file.write((",\n" if number > 1 else "\n") + json.dumps(annotation))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            names = enumerate(self._classes)
            categories = [{"id": index, "name": name} for index, name in names if index >= self._first]
            rest = json.dumps({"images": self._images, "categories": categories})
            self._file.write("\n],\n" + rest[1:] + "\n")
        self._file.close()


def _area(ring: Ring) -> int:
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring))) // 2


def _numbered(region: Region) -> dict[str, int]:
    return {} if region.object is None else {"object": region.object}


def _segmentation(region: Region, height: int, width: int) -> list[list[int]] | dict[str, Any]:
    if all(len(rings) == 1 for rings in region.polygons):
        return [[number for corner in border[:-1] for number in corner] for (border,) in region.polygons]
    left, top, box_width, box_height = region.box
    filled = features.rasterize(
        [region.geometry], (box_height, box_width), transform=Affine.translation(left, top), dtype="uint8"
    )
    return {"size": [height, width], "counts": _run_lengths(filled, top, left, height, width)}


def _run_lengths(filled: NDArray[np.uint8], top: int, left: int, height: int, width: int) -> list[int]:
    """Run lengths of zeros and ones in turn, zeros first, of an image that holds `filled` at (top, left)."""
    columns = np.zeros((filled.shape[1], height), np.uint8)
    columns[:, top : top + filled.shape[0]] = filled.T
    changes = np.flatnonzero(np.diff(columns.reshape(-1), prepend=0, append=0)) + left * height
    ends = [0, *changes.tolist()]
    if ends[-1] < height * width:
        ends.append(height * width)
    return [after - before for before, after in itertools.pairwise(ends)]
