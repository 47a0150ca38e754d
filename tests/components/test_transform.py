"""What a real Beam run of the preprocessing function makes of images of all sizes."""

import numpy as np

from tests.unet.training.tiny import GEOMETRY, TILES
from unet.training.tiles import decode_tile, read_tiles


def test_constants_are_those_of_all_pixels(images, patterns):
    tiles = read_tiles(patterns)
    pixels = np.concatenate([image.ravel() for image, _ in images.values()]).astype(np.float64)
    np.testing.assert_allclose(tiles.mean, [[pixels.mean()]] * len(tiles), rtol=1e-6)
    np.testing.assert_allclose(tiles.stddev, [[pixels.std()]] * len(tiles), rtol=1e-6)


def test_every_tile_has_room_for_a_patch_and_is_a_valid_input(patterns):
    tiles = read_tiles(patterns)
    for tile in tiles.features["tile"]:
        sides = decode_tile(tile, 1).shape[:2]
        assert all(side >= TILES.patch_size and GEOMETRY.is_valid_size(side) for side in sides)


def test_class_pixels_are_those_of_all_images(images, patterns):
    tiles = read_tiles(patterns)
    counts = sum(np.bincount(mask.ravel(), minlength=2) for _, mask in images.values())
    np.testing.assert_array_equal(tiles.features["class_pixels"].sum(0), counts)
