"""Tiles from Transform's real preprocessing function to batches and validation parts."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from components import transform
from unet.errors import BadInput
from unet.images.reader import encode_png
from unet.masks.labels import IGNORE
from unet.preprocessing.settings import TileSettings
from unet.tiling import Geometry
from unet.training import batches as input_pipeline
from unet.training.batches import names_of_batch, training_batches
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles, decode_tile, read_tiles, validation_tiles

GEOMETRY = Geometry(4)
SIZES = {"tiny": (1, 1), "strip": (3, 150), "small": (60, 17), "large": (90, 171)}
TILES = TileSettings(
    image_channels=1,
    class_count=2,
    with_border=True,
    levels=4,
    normalize="dataset",
    patch_size=204,
    tile_stride=64,
)
STILL = TrainSettings(
    patch_size=204,
    batch_size=4,
    flip=False,
    spatial_augment_prob=0.0,
    brightness_contrast=0.0,
    oversample_rare=0.0,
)
STRONG = {"flip": True, "spatial_augment_prob": 0.5, "brightness_contrast": 0.2}


@pytest.fixture(scope="module")
def images():
    """An image and a mask of each size; the mask tells bright pixels."""
    rng = np.random.default_rng(0)
    made = {name: rng.integers(0, 256, size, np.uint8) for name, size in SIZES.items()}
    return {name: (image, (image > 127).astype(np.uint8)) for name, image in made.items()}


@pytest.fixture(scope="module")
def patterns(images, tmp_path_factory):
    """A file of tiles, cut by a real Beam run of the preprocessing function."""
    folder = tmp_path_factory.mktemp("tiles")
    scalar = tf.io.FixedLenFeature([], tf.string)
    spec = {
        "image": scalar,
        "mask": scalar,
        "border": scalar,
        "name": scalar,
        "bit_depth": tf.io.FixedLenFeature([1], tf.int64),
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [
        {
            "image": encode_png(image),
            "mask": encode_png(mask),
            "border": encode_png(255 - image),
            "name": name.encode(),
            "bit_depth": [8],
        }
        for name, (image, mask) in images.items()
    ]
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        (tiles, _), _ = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: transform.preprocessing_fn(inputs, {"tiles": TILES.model_dump_json()})
        )
    with tf.io.TFRecordWriter(str(folder / "tiles.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
        for tile in tiles:
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=_features(tile))).SerializeToString()
            )
    return [str(folder / "*.gz")]


def _features(tile):
    features = {}
    for key, value in tile.items():
        if isinstance(value, bytes):
            features[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        elif key in ("mean", "stddev"):
            features[key] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        else:
            features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=np.atleast_1d(value)))
    return features


def test_constants_are_those_of_all_pixels(images, patterns):
    tiles = read_tiles(patterns)
    pixels = np.concatenate([image.ravel() for image, _ in images.values()]).astype(np.float64)
    np.testing.assert_allclose(tiles.mean, [[pixels.mean()]] * len(tiles), rtol=1e-6)
    np.testing.assert_allclose(tiles.stddev, [[pixels.std()]] * len(tiles), rtol=1e-6)


def test_every_tile_has_room_for_a_window_and_is_a_legal_input(patterns):
    tiles = read_tiles(patterns)
    for tile in tiles.features["tile"]:
        sides = decode_tile(tile, 1).shape[:2]
        assert all(side >= TILES.patch_size and GEOMETRY.is_valid_size(side) for side in sides)


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


def test_windows_show_image_and_mask_of_the_same_place(patterns):
    tiles = read_tiles(patterns)
    x, y = next(iter(batches(tiles, seed=3)))
    assert x.shape == (4, 204, 204, 1)
    assert y.shape == (4, 20, 20, 2)
    assert (tiles.mask_channels, y.dtype) == (2, tf.uint8)
    center = (x[:, 92:-92, 92:-92, 0] * tiles.stddev[0] + tiles.mean[0]).numpy()
    counted = y[..., 0].numpy() != IGNORE
    assert 0 < counted.sum() < counted.size  # the tiny image is padding, but for a pixel
    np.testing.assert_array_equal(center[counted] > 127.5, y[..., 0].numpy()[counted] == 1)
    np.testing.assert_allclose(255 - center, y[..., 1], atol=1e-3)


def batches(tiles, seed, changes=None, **how):
    settings = STILL.model_copy(update={"seed": seed, **(changes or {})})
    return training_batches(tiles, settings, **how)


def test_class_pixels_are_those_of_all_images(images, patterns):
    tiles = read_tiles(patterns)
    counts = sum(np.bincount(mask.ravel(), minlength=2) for _, mask in images.values())
    np.testing.assert_array_equal(tiles.features["class_pixels"].sum(0), counts)


@pytest.mark.parametrize("rare", [0.0, 1.0])
def test_every_window_holds_pixels_that_count_also_of_tiny_images(patterns, rare):
    tiles = read_tiles(patterns)
    counted = [
        (y[..., 0] != IGNORE).numpy().any((1, 2))
        for _, y in batches(tiles, 0, {"oversample_rare": rare}).take(20)
    ]
    assert np.concatenate(counted).all()


@pytest.mark.parametrize("rare", [0.0, 0.5])
def test_a_stream_goes_on_where_it_was_left_and_names_its_images(patterns, rare):
    tiles = read_tiles(patterns)
    changes = {**STRONG, "oversample_rare": rare}
    whole = list(batches(tiles, 1, changes).take(5))
    for (x, y), (again, y_again) in zip(whole[3:], batches(tiles, 1, changes, first=3), strict=False):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, y_again)
    names = names_of_batch(tiles, STILL.model_copy(update={"seed": 1, **changes}), 3)
    assert set(names) <= set(SIZES)
    assert names


def test_a_split_too_large_to_be_held_decoded_gives_the_same_stream(patterns):
    tiles = read_tiles(patterns)
    changes = {**STRONG, "oversample_rare": 0.5}
    decoded = list(batches(tiles, 1, changes).take(5))
    for (x, y), (again, y_again) in zip(decoded, batches(tiles, 1, changes, cache_bytes=0), strict=False):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, y_again)


def test_every_tile_is_seen_once_an_epoch(patterns):
    tiles = read_tiles(patterns)
    order = input_pipeline._Order(tiles, 7, 0.0)
    for epoch in range(3):
        numbers = range(epoch * len(tiles), (epoch + 1) * len(tiles))
        assert sorted(int(order(tf.constant(n, tf.int64))[0]) for n in numbers) == list(range(len(tiles)))


def test_windows_around_a_rare_class_hold_it(tmp_path):
    # Two tiles of 700 pixels; of class 1 there is one pixel, in the first one.
    mask = np.zeros((700, 700), np.uint8)
    masks = [mask.copy(), mask]
    masks[0][300, 450] = 1
    image = encode_png(mask)
    features = {key: np.array([0, 0]) for key in ("top", "left")}
    features |= {key: np.array([516, 516]) for key in ("height", "width")}
    features["tile"] = np.array([image, image], object)
    features["tile_mask"] = np.array([encode_png(m) for m in masks], object)
    features["class_pixels"] = np.array([[516**2 - 1, 1], [516**2, 0]])
    tiles = Tiles(features, np.zeros((2, 1), np.float32), np.ones((2, 1), np.float32))
    cache_bytes = [
        (y[..., 0] == 1).numpy().any((1, 2)) for _, y in batches(tiles, 0, {"oversample_rare": 1.0}).take(5)
    ]
    assert np.concatenate(cache_bytes).all()


def test_the_same_seed_gives_the_same_stream(patterns):
    tiles = read_tiles(patterns)
    streams = [[x.numpy().tobytes() for x, _ in batches(tiles, seed).take(5)] for seed in (1, 1, 2)]
    assert streams[0] == streams[1] != streams[2]
    assert len(set(streams[0])) == 5


def test_a_missing_tile_is_an_error(patterns, tmp_path):
    records = list(tf.data.TFRecordDataset(tf.io.gfile.glob(patterns), "GZIP").as_numpy_iterator())
    with tf.io.TFRecordWriter(str(tmp_path / "torn.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
        for record in records[:-1]:
            writer.write(record)
    with pytest.raises(BadInput, match="tiles arrived"):
        read_tiles([str(tmp_path / "*.gz")])


def test_no_tiles_are_an_error(tmp_path):
    with pytest.raises(BadInput, match="no tiles"):
        read_tiles([str(tmp_path / "*.gz")])
