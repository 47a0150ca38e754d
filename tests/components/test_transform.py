"""What a real Beam run of the preprocessing function makes of images of all sizes."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tfx.components.transform import executor as transform_executor
from tfx.types.standard_artifacts import Examples

from components.transform import Executor, cut_tiles
from tests.unet.training.tiny import GEOMETRY, TILES
from unet.errors import ImagesLost
from unet.images.reader import encode_image, encode_png
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


@pytest.mark.parametrize("channels", [2, 4])
def test_tiles_of_other_channels_hold_each_by_itself(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, channels), np.uint8)
    pixels[..., 1] //= 4
    mask = (pixels[..., 0] > 127).astype(np.uint8)
    inputs = {
        "image": tf.constant([encode_image(pixels)]),
        "mask": tf.constant([encode_png(mask)]),
        "border": tf.constant([b""]),
        "name": tf.constant([b"a"]),
        "bit_depth": tf.constant([[8]], tf.int64),
    }
    settings = TILES.model_copy(
        update={"image_channels": channels, "with_border": False, "normalize": "image", "scale": 1.0}
    )
    tiles = cut_tiles(inputs, settings, None)
    np.testing.assert_allclose(tiles["mean"][0], pixels.mean((0, 1)), rtol=1e-5)
    tile = decode_tile(tiles["tile"][0], channels).numpy()
    halo = GEOMETRY.halo
    np.testing.assert_array_equal(tile[halo : halo + 30, halo : halo + 50], pixels)


def test_tiles_of_fewer_images_than_were_read_end_it(images, patterns, tmp_path, monkeypatch):
    def write(self, inputs, outputs, properties):
        for split in ("train", "eval"):
            (tmp_path / f"Split-{split}").mkdir(exist_ok=True)
            for path in tf.io.gfile.glob(patterns):
                shutil.copy(path, tmp_path / f"Split-{split}")

    monkeypatch.setattr(transform_executor.Executor, "Do", write)
    read, written = Examples(), Examples()
    written.uri, written.split_names = str(tmp_path), '["train", "eval"]'
    artifacts = {"examples": [read]}, {"transformed_examples": [written]}
    for more in (0, 1):
        read.set_int_custom_property("train_count", len(images))
        read.set_int_custom_property("eval_count", len(images) + more)
        if more:
            with pytest.raises(ImagesLost, match=f"tiles of {len(images)} images, {len(images) + 1} were"):
                Executor().Do(*artifacts, {})
        else:
            Executor().Do(*artifacts, {})
            assert written.get_int_custom_property("eval_count") == len(images)
