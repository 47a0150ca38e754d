"""Data that several tests of this folder train on."""

import numpy as np
import pytest

from unet.images.reader import encode_png


@pytest.fixture(scope="session")
def tiles():
    """Two images of bright squares, one tile each."""
    from unet.training.tiles import Tiles  # here, for most tests of this folder need no TensorFlow

    rng = np.random.default_rng(1)
    rows = []
    for i in range(2):
        mask = np.kron(rng.integers(0, 2, (6, 6)), np.ones((12, 12))).astype(np.uint8)
        image = (mask * 120 + rng.integers(0, 60, mask.shape)).astype(np.uint8)
        inner = mask[20:52, 20:52]
        pixels = np.bincount(inner.ravel(), minlength=2)
        rows.append((encode_png(image), encode_png(mask), f"{i}".encode(), 0, 0, 32, 32, 1, pixels))
    keys = ("tile", "tile_mask", "name", "top", "left", "height", "width", "tiles", "class_pixels")
    columns = {key: np.array(values, dtype=object if key in keys[:3] else None)
               for key, values in zip(keys, zip(*rows, strict=True), strict=True)}  # fmt: skip
    return Tiles(columns, np.full((2, 1), 90, np.float32), np.full((2, 1), 60, np.float32))
