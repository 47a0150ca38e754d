"""The tf.data pipeline of training: from stored tiles to batches of augmented patches."""

from __future__ import annotations

import concurrent.futures
import struct

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet.images import capacity
from unet.images.channels import is_stacked
from unet.preprocessing.stacking import unstack
from unet.tiling import Geometry
from unet.training import augmentation
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles, _gray_values


class _Pixels:
    """The pixels of stored tiles: decoded once if they fit into `most` bytes, else anew for each use.

    Decoding takes most of the time of a patch; encoded tiles take no more memory than their files.
    """

    def __init__(self, pngs: NDArray, channels: int, dtype: tf.DType, most: int, stacked: bool = False):
        self._channels, self._dtype, self._stacked = channels, dtype, stacked
        # Width and height lie at a fixed offset of a PNG.
        sides = np.array([struct.unpack(">II", png[16:24]) for png in pngs], np.int64)[:, ::-1]  # [tiles, 2]
        if stacked:
            sides = sides // [channels, 1]
        values = sides.prod(1) * channels  # [tiles]
        self._decoded = values.sum() * dtype.size <= most
        ends = values.cumsum()  # [tiles]
        with tf.device("CPU"):
            self._pngs = tf.constant([] if self._decoded else pngs.tolist(), tf.string)
            self._sides, self._ends = tf.constant(sides), tf.constant(ends)
            if self._decoded:
                all_values = np.empty(ends[-1], dtype.as_numpy_dtype)  # [sum of H W channels of all tiles]

                def fill(i: int) -> None:
                    all_values[ends[i] - values[i] : ends[i]] = self._decode(pngs[i]).numpy().ravel()

                with concurrent.futures.ThreadPoolExecutor() as pool:
                    list(pool.map(fill, range(len(pngs))))
                self._values = tf.constant(all_values)

    def __call__(self, index: tf.Tensor) -> tf.Tensor:
        """The pixels [H, W, channels] of the tile with this index."""
        if not self._decoded:
            return self._decode(tf.gather(self._pngs, index))  # [H, W, channels]
        height, width = tf.unstack(self._sides[index])  # [] each
        end = self._ends[index]
        values = self._values[end - height * width * self._channels : end]  # [H * W * channels]
        return tf.reshape(values, [height, width, self._channels])  # [H, W, channels]

    def _decode(self, png: tf.Tensor) -> tf.Tensor:
        stored = tf.io.decode_png(png, dtype=self._dtype)  # [H, W, channels] or [channels * H, W, 1]
        pixels = unstack(stored, self._channels) if self._stacked else stored
        return tf.ensure_shape(pixels, [None, None, self._channels])


def training_batches(
    tiles: Tiles, settings: TrainSettings, *, start_batch: int = 0, cache_bytes: int | None = None
) -> tf.data.Dataset:
    """An endless stream of augmented patches; the same seed gives the same stream.

    The n-th patch is a function of n and the seed alone, so a training that was killed continues with exactly
    the next patch, and the images of any batch can be named afterwards.

    Args:
        tiles: tiles of the training split.
        settings: size, number, order and augmentation of the patches; a share of `oversample_rare` of them is
            placed around a pixel of a class drawn at random from all but the first class, however rare.
        start_batch: number of batches to skip.
        cache_bytes: largest number of bytes of decoded pixels to cache, separately for images and masks;
            None: that of the plan.

    Returns:
        Batches of (x, y): x [batch_size, patch_size, patch_size, channels] float32, normalised; y
        [batch_size, out, out, K] uint8 of the valid centre, out = patch_size - 2 * halo: class indices or
        `unet.masks.labels.IGNORE`, and the border term if the tiles have it.
    """
    patch_size, geometry, batch_size = settings.patch_size, Geometry.of(settings), settings.batch_size
    most = capacity.cache_bytes() if cache_bytes is None else cache_bytes
    choose = _Order(tiles, settings.seed, settings.oversample_rare, settings.first_foreground)
    images = _Pixels(
        tiles.features["tile"], tiles.channels, tf.uint16, most, stacked=is_stacked(tiles.channels)
    )
    masks = _Pixels(tiles.features["tile_mask"], tiles.mask_channels, tf.uint8, most)
    extent = tf.constant(_extent(tiles, geometry), tf.int32)  # [tiles, 2 (first, last), 2 (rows, columns)]
    mean, stddev = tf.constant(tiles.mean), tf.constant(tiles.stddev)

    @tf.autograph.experimental.do_not_convert  # which would take half of the time until training begins
    def one(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.stack([tf.constant(settings.seed, tf.int64), number])  # [2]
        seeds = tf.random.split(seed, 5)  # [5, 2]
        index, wanted = choose(number)
        image, mask = images(index), masks(index)  # [H, W, channels], [H, W, K]
        first_pixel, last_pixel = tf.unstack(extent[index])  # [2] each: row, column
        top, left = _offset(mask, wanted, patch_size, geometry.halo, last_pixel, seeds[0])
        place = augmentation.Patch(top, left, patch_size, geometry.halo, first_pixel, last_pixel)
        warped = tf.random.stateless_uniform([], seeds[1]) < settings.spatial_augment_prob

        def bent() -> tuple[tf.Tensor, tf.Tensor]:
            return augmentation.warp(_gray_values(image), mask, place, settings, seeds[2])

        def as_it_is() -> tuple[tf.Tensor, tf.Tensor]:
            pixels, classes = augmentation.cut(image, mask, place)
            return _gray_values(pixels), classes

        image, mask = tf.cond(warped, bent, as_it_is)  # [patch_size, patch_size, channels], [out, out, K]
        image, mask = augmentation.flip_and_turn(image, mask, settings, seeds[3])
        image = augmentation.vary_intensities(image, settings, seed)
        image = (image - tf.gather(mean, index)) / tf.gather(stddev, index)
        image = augmentation.vary_brightness_contrast(image, seeds[4], settings.brightness_contrast)
        return augmentation.add_noise(image, settings.noise, seed), mask

    ds = tf.data.Dataset.range(start_batch * batch_size, np.iinfo(np.int64).max)
    ds = ds.map(one, num_parallel_calls=capacity.cores(), deterministic=True)
    # The training step uses all cores: two batches in advance are enough to hide the decoding.
    ds = ds.batch(batch_size, drop_remainder=True).prefetch(2)  # [batch_size, ...] each
    options = tf.data.Options()
    # The thread that would tune the parallelism sleeps for up to a minute. Whoever ends the stream waits for
    # it, and now and then TensorFlow wakes it a moment before it falls asleep: half a minute of nothing.
    options.autotune.enabled = False
    return ds.with_options(options)


def names_of_batch(tiles: Tiles, settings: TrainSettings, batch: int) -> list[str]:
    """Names of the images from which batch number `batch` (from 0) of `training_batches` was cut."""
    choose = _Order(tiles, settings.seed, settings.oversample_rare, settings.first_foreground)
    numbers = range(batch * settings.batch_size, (batch + 1) * settings.batch_size)
    names = [tiles.features["name"][int(choose(tf.constant(n, tf.int64))[0])].decode() for n in numbers]
    return sorted(set(names))


class _Order:
    """Chooses the tile of the n-th patch, and the class around which the patch is placed."""

    def __init__(self, tiles: Tiles, seed: int, rare: float, first: int):
        self._count, self._seed, self._rare = len(tiles), seed, rare
        # For each class the indices of the tiles that hold it.
        holding = [np.flatnonzero(pixels) for pixels in tiles.features["class_pixels"].T]
        self._classes = tf.constant(
            [c for c, found in enumerate(holding) if c >= first and len(found)], tf.int64
        )
        self._holding = tf.ragged.constant([found.tolist() for found in holding], tf.int64, ragged_rank=1)

    def __call__(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Index of the tile, and the class around which the patch is placed or -1; int64 scalars."""
        epoch, place = number // self._count, number % self._count
        key = tf.stack([tf.constant(self._seed, tf.int64), epoch])  # [2]
        in_turn = tf.random.experimental.index_shuffle(place, key, tf.constant(self._count - 1, tf.int64))
        if not self._rare or not len(self._classes):
            return in_turn, tf.constant(-1, tf.int64)
        # [3]
        drawn = tf.random.stateless_uniform([3], tf.stack([tf.constant(self._seed + 1, tf.int64), number]))
        wanted = self._classes[_pick(drawn[1], len(self._classes))]
        candidates = self._holding[wanted]  # [tiles with the class]
        there = candidates[_pick(drawn[2], tf.size(candidates))]
        by_class = drawn[0] < self._rare
        return tf.where(by_class, there, in_turn), tf.where(by_class, wanted, -1)


def _pick(fraction: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """Maps a random number in [0, 1) to an index below `count`."""
    return tf.minimum(tf.cast(fraction * tf.cast(count, tf.float32), tf.int32), count - 1)


def _offset(
    mask: tf.Tensor, wanted: tf.Tensor, patch_size: int, halo: int, last: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the first pixel of a patch whose centre shows part of the image, or a pixel of class `wanted`."""
    # The largest offset on each axis, [2]. A tile is up to 15 pixels larger than necessary: a patch that lies
    # beyond an image of a few pixels would have nothing to learn from.
    room = tf.minimum(tf.shape(mask)[:2] - patch_size, last - halo - 1)
    drawn = tf.random.stateless_uniform([3], seed)  # [3]

    anywhere = tf.minimum(tf.cast(drawn[:2] * tf.cast(room + 1, tf.float32), tf.int32), room)  # [2]

    def around() -> tf.Tensor:
        pixels = tf.where(mask[halo:-halo, halo:-halo, 0] == tf.cast(wanted, tf.uint8))  # [pixels, 2]
        # The appended pixel (-1, -1) is picked only if the class has no pixel here.
        pixels = tf.concat([tf.cast(pixels, tf.int32), -tf.ones([1, 2], tf.int32)], 0)  # [pixels + 1, 2]
        pixel = pixels[_pick(drawn[2], tf.maximum(1, tf.shape(pixels)[0] - 1))]  # [2]
        return tf.clip_by_value(pixel - tf.cast(drawn[:2] * (patch_size - 2 * halo), tf.int32), 0, room)

    top, left = tf.unstack(tf.cond(wanted < 0, lambda: anywhere, around))  # [] each
    return top, left


def _extent(tiles: Tiles, geometry: Geometry) -> NDArray[np.int64]:
    """First row and column of the image in each tile, and one past the last, [tiles, 2, 2]."""
    f = tiles.features
    start_batch = geometry.halo - np.stack([f["top"], f["left"]], -1)  # [tiles, 2]
    return np.stack(  # [tiles, 2 (first, last), 2 (rows, columns)]
        [start_batch, start_batch + np.stack([f["height"], f["width"]], -1)], 1
    )
