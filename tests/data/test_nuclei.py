from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NUCLEI = Path(__file__).parents[2] / "data" / "nuclei"
ROWS = list(csv.DictReader((NUCLEI / "manifest.csv").read_text(encoding="utf-8").splitlines()))


def size(row: dict[str, str]) -> tuple[int, int]:
    with Image.open(NUCLEI / row["image"]) as image:
        return image.size


def values(path: str) -> np.ndarray:
    with Image.open(NUCLEI / path) as image:
        return np.array(image)


def test_manifest_lists_each_file_once() -> None:
    for column, folder in (("image", "images"), ("mask", "masks")):
        listed = [row[column] for row in ROWS]
        assert sorted(listed) == sorted(f"{folder}/{path.name}" for path in (NUCLEI / folder).iterdir())
    assert all(row["group"] == Path(row["image"]).stem == Path(row["mask"]).stem for row in ROWS)


def test_files_are_gray_8_bit_images_and_binary_masks() -> None:
    for row in ROWS:
        with Image.open(NUCLEI / row["image"]) as image, Image.open(NUCLEI / row["mask"]) as mask:
            assert (image.format, image.mode, mask.format, mask.mode) == ("PNG", "L", "PNG", "L")
            assert image.size == mask.size
        assert set(np.unique(values(row["mask"]))) == {0, 255}


def test_splits_and_folds_are_complete() -> None:
    assert Counter(row["split"] for row in ROWS) == {"train": 36, "eval": 9, "test": 12}
    assert Counter(row["fold"] for row in ROWS) == {"": 12, **{str(fold): 9 for fold in range(5)}}
    for row in ROWS:
        assert row["split"] == {"": "test", "0": "eval"}.get(row["fold"], "train")


@pytest.mark.parametrize("part", ["", "0", "1", "2", "3", "4"])
def test_each_part_is_a_fair_mix(part: str) -> None:
    rows = [row for row in ROWS if row["fold"] == part]
    assert {(256, 256), (360, 360), (640, 512), (696, 520)} <= {size(row) for row in rows}
    nuclei = np.mean([values(row["mask"]).mean() / 255 for row in rows])
    assert 0.08 < nuclei < 0.16


def test_sizes_of_a_single_image_train() -> None:
    counts = Counter(size(row) for row in ROWS)
    single = [row["split"] for row in ROWS if counts[size(row)] == 1]
    assert single == ["train", "train"]
