"""What a peer learns from and is scored on: images of a folder, patches of them, their flips and turns."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Named = tuple[str, NDArray[np.float32], NDArray[np.int64]]


def read(folder: Path, values: list[int], splits: set[str]) -> list[Named]:
    """Reads names, images [channels, H, W] of mean 0 and standard deviation 1, and class indices [H, W].

    Args:
        folder: holds `manifest.csv`, as of the pipeline.
        values: value in the masks of each class.
        splits: splits to read.
    """
    found = []
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] in splits:
                pixels = np.asarray(Image.open(folder / row["image"]), np.float32)
                pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
                mask = np.asarray(Image.open(folder / row["mask"]))
                classes = np.zeros(mask.shape, np.int64)
                for index, value in enumerate(values):
                    classes[mask == value] = index
                image = (pixels - pixels.mean()) / max(float(pixels.std()), 1e-6)
                found.append((Path(row["image"]).stem, image, classes))
    return found


def batch_of(
    images: list[Named], count: int, side: int, generator: random.Random
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draws patches [B, channels, side, side] and classes [B, side, side], flipped and turned at random.

    Images that are smaller are reflected at their right and lower rims.
    """
    xs: list[NDArray[Any]] = []
    ys: list[NDArray[Any]] = []
    for _ in range(count):
        _, x, y = generator.choice(images)
        rim = [(0, max(0, side - size)) for size in y.shape]
        if any(after for _, after in rim):
            x, y = np.pad(x, [(0, 0), *rim], "reflect"), np.pad(y, rim, "reflect")
        top, left = (generator.randint(0, size - side) for size in y.shape)
        turns, flip = generator.randrange(4), generator.randrange(2)
        for patches, array in ((xs, x), (ys, y)):
            patch = np.rot90(array[..., top : top + side, left : left + side], turns, (-2, -1))
            patches.append(patch[..., ::-1] if flip else patch)
    return np.stack(xs), np.stack(ys)


def averaged(
    probabilities: Callable[[NDArray[np.float32]], NDArray[np.float32]], image: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean of the predictions [H, W, classes] of the eight flips and quarter turns of an image."""
    total = []
    for flip in (False, True):
        for turns in range(4):
            x = np.rot90(image[..., ::-1] if flip else image, turns, (-2, -1))
            y = np.rot90(probabilities(np.ascontiguousarray(x)), -turns, (0, 1))
            total.append(y[:, ::-1] if flip else y)
    return np.mean(total, 0)
