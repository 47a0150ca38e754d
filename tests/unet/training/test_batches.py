"""Batches of patches, from stored tiles."""

import numpy as np
import pytest
import tensorflow as tf

from tests.unet.training.tiny import SIZES
from unet.images import capacity
from unet.images.reader import decode, encode_image, encode_png
from unet.masks.labels import IGNORE
from unet.training import batches as input_pipeline
from unet.training.batches import names_of_batch, training_batches
from unet.training.settings import STILL as UNCHANGED
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles, read_tiles

STILL = TrainSettings(patch_size=204, batch_size=4, **UNCHANGED)
STRONG = {
    "flip": "both", "quarter_turns": True, "spatial_augment_prob": 0.5, "brightness_contrast": 0.2,
    "gamma": 0.5, "color_jitter": 0.2, "blur": 1.0, "noise": 0.3,
}  # fmt: skip


def test_patches_show_image_and_mask_of_the_same_place(patterns):
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


def test_nothing_sleeps_that_the_end_of_a_stream_would_wait_for(patterns):
    """With TensorFlow's autotuning, one end in three took half a minute, after a training of some minutes."""
    assert batches(read_tiles(patterns), 0).options().autotune.enabled is False


@pytest.mark.parametrize("rare", [0.0, 1.0])
def test_every_patch_holds_pixels_that_count_also_of_tiny_images(patterns, rare):
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
    for (x, y), (again, y_again) in zip(whole[3:], batches(tiles, 1, changes, start_batch=3), strict=False):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, y_again)
    names = names_of_batch(tiles, STILL.model_copy(update={"seed": 1, **changes}), 3)
    assert set(names) <= set(SIZES)
    assert names


def test_the_smaller_plan_which_holds_no_tile_decoded_gives_the_same_stream(patterns):
    tiles = read_tiles(patterns)
    changes = {**STRONG, "oversample_rare": 0.5}
    decoded = list(batches(tiles, 1, changes).take(5))
    capacity.plan_smaller(True)
    try:
        anew = batches(tiles, 1, changes)
    finally:
        capacity.plan_smaller(False)
    for (x, y), (again, y_again) in zip(decoded, anew, strict=False):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, y_again)


def test_every_tile_is_seen_once_an_epoch(patterns):
    tiles = read_tiles(patterns)
    order = input_pipeline._Order(tiles, 7, 0.0, 1)
    for epoch in range(3):
        numbers = range(epoch * len(tiles), (epoch + 1) * len(tiles))
        assert sorted(int(order(tf.constant(n, tf.int64))[0]) for n in numbers) == list(range(len(tiles)))


def test_patches_around_a_rare_class_hold_it(tmp_path):
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
    held = [
        (y[..., 0] == 1).numpy().any((1, 2)) for _, y in batches(tiles, 0, {"oversample_rare": 1.0}).take(5)
    ]
    assert np.concatenate(held).all()


def test_the_same_seed_gives_the_same_stream(patterns):
    tiles = read_tiles(patterns)
    streams = [[x.numpy().tobytes() for x, _ in batches(tiles, seed).take(5)] for seed in (1, 1, 2)]
    assert streams[0] == streams[1] != streams[2]
    assert len(set(streams[0])) == 5


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_patches_of_four_channels_keep_their_order(tiles, cache_bytes):
    gray = [decode(png)[..., 0] for png in tiles.features["tile"]]
    four = [encode_image(np.stack([image, image // 2, image // 4, image // 8], -1)) for image in gray]
    mean, stddev = np.zeros((2, 4), np.float32), np.ones((2, 4), np.float32)
    wide = Tiles(tiles.features | {"tile": np.array(four, object)}, mean, stddev)
    settings = STILL.model_copy(update={"patch_size": 60, "depth": 2, "flip": "both"})
    x, _ = next(iter(training_batches(wide, settings, cache_bytes=cache_bytes)))
    assert x.shape == (4, 60, 60, 4)
    for channel in range(1, 4):
        np.testing.assert_array_equal(x[..., channel], x[..., 0].numpy() // 2**channel)


@pytest.mark.parametrize(
    "change",
    [{"gamma": 0.5}, {"color_jitter": 0.4}, {"blur": 1.0}, {"noise": 0.3}],
    ids=lambda change: next(iter(change)),
)
def test_an_augmentation_of_values_moves_no_patch(tiles, change):
    blocks = np.random.default_rng(0).integers(40, 200, (12, 12, 3))
    scene = np.kron(blocks, np.ones((6, 6, 1))).astype(np.uint8)
    mean, stddev = np.full((2, 3), 127, np.float32), np.full((2, 3), 60, np.float32)
    colored = Tiles(
        tiles.features | {"tile": np.array([encode_image(scene)] * len(tiles), object)}, mean, stddev
    )
    plain = TrainSettings(patch_size=60, depth=2, batch_size=1, spatial_augment_prob=0.5)
    changed = plain.model_copy(update=change)
    streams = [
        list(training_batches(colored, settings, cache_bytes=0).take(6))
        for settings in (plain, changed, changed)
    ]
    differences = []
    for (x, y), (changed, target), (again, _) in zip(*streams, strict=True):
        np.testing.assert_array_equal(y, target)
        np.testing.assert_array_equal(changed, again)
        differences.append(np.abs(x - changed).mean())
        # Other places of the scene are not alike at all.
        assert np.corrcoef(x.numpy().ravel(), changed.numpy().ravel())[0, 1] > 0.7
    assert np.median(differences) > 0.01
