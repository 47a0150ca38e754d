"""Polygons that are filled again, by other means, are the mask they were traced from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unet.inference.polygons import CocoWriter, object_regions, regions, write_geojson

CLASSES = ["background", "cell", "wall"]


def masks() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    ring = np.zeros((9, 7), np.uint8)
    ring[1:8, 1:6] = 1
    ring[3:6, 3] = 0  # a hole
    ring[4, 3] = 2  # with another class in it
    corners = np.indices((6, 6)).sum(0) % 2  # touch at corners alone
    pinched = np.ones((5, 5), np.uint8)
    pinched[1, 1] = pinched[2, 2] = pinched[0, 4] = 0
    return {
        "ring": ring,
        "corners": corners.astype(np.uint8),
        "pinched": pinched,
        "noise": generator.integers(0, 3, (40, 31)).astype(np.uint8),
        "full": np.full((4, 3), 2, np.uint8),
        "empty": np.zeros((4, 3), np.uint8),
        "pixel": np.ones((1, 1), np.uint8),
        "column": np.array([[0, 1], [0, 1], [0, 1]], np.uint8),
    }


def filled(rings: list[list[list[float]]], height: int, width: int) -> np.ndarray:
    """Pixels whose centres lie inside by the even-odd rule."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = np.zeros((height, width), bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
            if y0 != y1:  # edges run along the axes
                assert x0 == x1
                inside ^= (x < x0) & (y > min(y0, y1)) & (y < max(y0, y1))
    return inside


@pytest.mark.parametrize("name", masks())
def test_geojson_filled_again_is_the_mask(name: str, tmp_path: Path) -> None:
    mask = masks()[name]
    write_geojson(tmp_path / "a.geojson", regions(mask), CLASSES)
    collection = json.loads((tmp_path / "a.geojson").read_text())
    assert collection["type"] == "FeatureCollection"
    again = np.zeros_like(mask)
    for feature in collection["features"]:
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "Polygon"
        rings = feature["geometry"]["coordinates"]
        assert all(ring[0] == ring[-1] for ring in rings)
        here = filled([ring[:-1] for ring in rings], *mask.shape)
        assert here.sum() == feature["properties"]["area"]
        assert not again[here].any()
        again[here] = CLASSES.index(feature["properties"]["class"])
    np.testing.assert_array_equal(again, mask)


def decoded(segmentation: Any, height: int, width: int) -> np.ndarray:
    """As the COCO API reads it."""
    if isinstance(segmentation, list):
        rings = [np.reshape(ring, (-1, 2)).tolist() for ring in segmentation]
        return filled(rings, height, width)
    assert segmentation["size"] == [height, width]
    counts = segmentation["counts"]
    assert sum(counts) == height * width
    runs = [np.full(length, number % 2) for number, length in enumerate(counts)]
    return np.concatenate(runs).reshape(width, height).T.astype(bool)


def test_coco_decoded_again_is_the_masks(tmp_path: Path) -> None:
    with CocoWriter(tmp_path / "coco.json", CLASSES) as writer:
        for page, (name, mask) in enumerate(masks().items()):
            height, width = mask.shape
            writer.add(f"{name}.png", height, width, regions(mask), page=page or None)
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "cell"}, {"id": 2, "name": "wall"}]
    assert [image["file_name"] for image in coco["images"]] == [f"{name}.png" for name in masks()]
    assert "page" not in coco["images"][0]
    assert len({a["id"] for a in coco["annotations"]}) == len(coco["annotations"])
    kinds = set()
    for image, mask in zip(coco["images"], masks().values(), strict=True):
        assert (image["height"], image["width"]) == mask.shape
        again = np.zeros_like(mask)
        for annotation in coco["annotations"]:
            if annotation["image_id"] == image["id"]:
                here = decoded(annotation["segmentation"], *mask.shape)
                kinds.add(type(annotation["segmentation"]))
                ys, xs = np.nonzero(here)
                box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
                assert annotation["bbox"] == box
                assert annotation["area"] == here.sum()
                again[here] = annotation["category_id"]
        np.testing.assert_array_equal(again, mask)
    assert kinds == {list, dict}


def test_without_a_background_each_class_has_regions(tmp_path: Path) -> None:
    mask = np.array([[0, 0, 1], [0, 2, 2]], np.uint8)
    assert sorted((r.index, r.area) for r in regions(mask, first=0)) == [(0, 3), (1, 1), (2, 2)]
    with CocoWriter(tmp_path / "coco.json", ["road", "sky", "car"], first=0) as writer:
        writer.add("a.png", 2, 3, regions(mask, first=0))
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [category["name"] for category in coco["categories"]] == ["road", "sky", "car"]
    assert {a["category_id"] for a in coco["annotations"]} == {0, 1, 2}


def test_an_object_whose_parts_meet_at_corners_is_one_region(tmp_path: Path) -> None:
    numbers = np.zeros((6, 7), np.int32)
    numbers[0, :3] = 3
    numbers[1:4, 3:6] = 3
    numbers[2, 4] = 0  # a hole
    numbers[5, 5:] = 1
    classes_of = np.array([0, 2, 1, 1], np.uint8)
    found = list(object_regions(numbers, classes_of))
    assert [(r.object, r.index, r.area, r.box) for r in found] == [
        (1, 2, 2, (5, 5, 2, 1)),
        (3, 1, 11, (0, 0, 6, 4)),
    ]
    write_geojson(tmp_path / "a.geojson", iter(found), CLASSES)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [(f["properties"]["object"], f["geometry"]["type"]) for f in features] == [
        (1, "Polygon"),
        (3, "MultiPolygon"),
    ]
    rings = [ring[:-1] for polygon in features[1]["geometry"]["coordinates"] for ring in polygon]
    np.testing.assert_array_equal(filled(rings, 6, 7), numbers == 3)
    with CocoWriter(tmp_path / "coco.json", CLASSES) as writer:
        writer.add("a.png", 6, 7, iter(found))
    for annotation in json.loads((tmp_path / "coco.json").read_text())["annotations"]:
        here = decoded(annotation["segmentation"], 6, 7)
        np.testing.assert_array_equal(here, numbers == annotation["object"])
