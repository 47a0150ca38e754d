"""Stored tiles, from Transform's real preprocessing function, and the parts of images that they are."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests.unet.training.tiny import GEOMETRY, SIZES
from unet.errors import BadInput, ImagesLost
from unet.images.reader import encode_png
from unet.tiling import Geometry
from unet.training.tiles import Tiles, count_images, decode_tile, read_tiles, validation_tiles


def test_parts_cover_every_image_exactly_once_with_its_context(images, patterns):
    tiles = read_tiles(patterns)
    seen = {name: np.zeros(size, int) for name, size in SIZES.items()}
    halo = GEOMETRY.halo
    for i, (x, ground_truth, rows, columns) in enumerate(validation_tiles(tiles, GEOMETRY)):
        name = tiles.features["name"][i].decode()
        top, left = tiles.features["top"][i], tiles.features["left"][i]
        patch = np.s_[top : top + rows, left : left + columns]
        image, mask = images[name]
        pixels = x[0, halo : halo + rows, halo : halo + columns, 0] * tiles.stddev[i] + tiles.mean[i]
        np.testing.assert_allclose(pixels, image[patch], atol=1e-3)
        np.testing.assert_array_equal(ground_truth, mask[patch])
        seen[name][patch] += 1
    assert all((counts == 1).all() for counts in seen.values())


def test_a_missing_tile_is_an_error(patterns, tmp_path):
    records = list(tf.data.TFRecordDataset(tf.io.gfile.glob(patterns), "GZIP").as_numpy_iterator())
    with tf.io.TFRecordWriter(str(tmp_path / "torn.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
        for record in records[:-1]:
            writer.write(record)
    with pytest.raises(BadInput, match=r"^\w+: \d+ of \d+ tiles arrived; delete the run's root$"):
        read_tiles([str(tmp_path / "*.gz")])


def test_no_tiles_are_an_error(tmp_path):
    patterns = [str(tmp_path / "*.gz"), str(tmp_path / "*.other")]
    with pytest.raises(BadInput, match=rf"^no tiles in {re.escape(', '.join(patterns))}$"):
        read_tiles(patterns)


def test_images_are_counted(images, patterns):
    assert count_images(patterns) == len(images)
    assert len(read_tiles(patterns, len(images))) == len(read_tiles(patterns))
    for expected in (len(images) - 1, len(images) + 1):
        words = f"tiles of {len(images)} images, {expected} were read: run again"
        with pytest.raises(ImagesLost, match=words):
            read_tiles(patterns, expected)


def test_tiles_come_in_the_order_of_their_images_and_places(patterns, tmp_path):
    records = list(tf.data.TFRecordDataset(tf.io.gfile.glob(patterns), "GZIP").as_numpy_iterator())
    for i, several in enumerate((records[1::2], records[::2])):
        path = str(tmp_path / f"{i}.gz")
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
            for record in reversed(several):
                writer.write(record)
    features = read_tiles([str(tmp_path / "*.gz")]).features
    places = list(zip(features["name"], features["top"], features["left"], strict=True))
    assert places == sorted(places)
    assert len({tuple(place) for place in places}) == len(records)
    for key, values in read_tiles(patterns).features.items():
        np.testing.assert_array_equal(features[key], values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_both_depths_are_decoded_to_one_scale(dtype):
    most = np.iinfo(dtype).max
    stored = encode_png(np.array([[0, 51 * (most // 255), most]], dtype))
    assert decode_tile(tf.constant(stored), 1).numpy()[..., 0].tolist() == [[0.0, 51.0, 255.0]]
    assert decode_tile(tf.constant(stored), 3).shape == (1, 3, 3)


def test_tiles_of_several_images_are_told_apart():
    halo, image = 20, np.zeros((60, 60), np.uint8)
    mask = np.arange(3600, dtype=np.uint8).reshape(60, 60)
    rows = [(b"a", 0, 0), (b"a", 0, 16), (b"a", 8, 0), (b"a", 8, 16), (b"b", 0, 0)]
    columns = dict(zip(("name", "top", "left"), map(np.array, zip(*rows, strict=True)), strict=True))
    columns |= {"height": np.array([13] * 4 + [5]), "width": np.array([20] * 4 + [7])}
    columns["tile"] = np.array([encode_png(image)] * 5, object)
    columns["tile_mask"] = np.array([encode_png(mask)] * 5, object)
    tiles = Tiles(columns, np.full((5, 1), -6, np.float32), np.full((5, 1), 2, np.float32))
    assert (len(tiles), tiles.channels) == (5, 1)
    found = list(validation_tiles(tiles, Geometry(2)))
    assert [(height, width) for _, _, height, width in found] == [(8, 16), (8, 4), (5, 16), (5, 4), (5, 7)]
    for x, part, height, width in found:
        assert (x == 3).all()
        np.testing.assert_array_equal(part, mask[halo : halo + height, halo : halo + width])
