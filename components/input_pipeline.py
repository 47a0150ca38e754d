"""From stored tiles to batches: the tf.data pipeline of training, and the tiles of validation."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components import augment
from components.decoding import DEPTH_SCALE
from components.errors import BadInput
from components.tiling import Geometry


@dataclasses.dataclass(frozen=True)
class Tiles:
    """All tiles of one split, still encoded.

    Attributes:
        features: arrays of shape [tiles], see `components.transform.preprocessing_fn`.
        mean, stddev: constants of the normalisation of each tile, shape [tiles, channels].
    """

    features: dict[str, NDArray]
    mean: NDArray[np.float32]
    stddev: NDArray[np.float32]

    @property
    def channels(self) -> int:
        """Channels of the images, as the network sees them."""
        return self.mean.shape[1]

    def __len__(self) -> int:
        return len(self.features["tile"])


_SCALARS = {"tile": tf.string, "tile_mask": tf.string, "name": tf.string} | dict.fromkeys(
    ("top", "left", "height", "width", "tiles"), tf.int64
)


def read_tiles(patterns: Sequence[str]) -> Tiles:
    """Reads the tiles that Transform wrote, in a fixed order.

    Args:
        patterns: globs of GZIP TFRecord files of tf.Examples.

    Raises:
        BadInput: there is no tile, or an image lacks some of its tiles.
    """
    files = sorted(tf.io.gfile.glob(list(patterns)))
    spec = {key: tf.io.FixedLenFeature([], dtype) for key, dtype in _SCALARS.items()}
    varying = {
        key: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True) for key in ("mean", "stddev")
    }
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    rows = list(records.map(lambda r: tf.io.parse_single_example(r, spec | varying)).as_numpy_iterator())
    if not rows:
        raise BadInput(f"no tiles in {', '.join(patterns)}")
    # The order of Beam's output is not promised: sort, so that the same seed sees the same data.
    rows.sort(key=lambda row: (row["name"], row["top"], row["left"]))
    found = collections.Counter(row["name"] for row in rows)
    for row in rows:
        if found[row["name"]] != row["tiles"]:
            name = row["name"].decode()
            raise BadInput(
                f"{name}: {found[row['name']]} of {row['tiles']} tiles arrived; delete the run's root"
            )
    features = {
        key: np.array([row[key] for row in rows], dtype=object if d == tf.string else None)
        for key, d in _SCALARS.items()
    }
    return Tiles(features, *(np.stack([row[key] for row in rows]) for key in ("mean", "stddev")))


def decode_tile(tile: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a stored tile (PNG of 8 or 16 bits) to [H, W, channels] float32 on the 0..255 scale."""
    return tf.cast(tf.io.decode_png(tile, channels, tf.uint16), tf.float32) / DEPTH_SCALE


def training_batches(
    tiles: Tiles, *, window: int, geometry: Geometry, batch_size: int, seed: int, grey: float
) -> tf.data.Dataset:
    """An endless stream of augmented windows; the same seed gives the same stream.

    Args:
        tiles: of the training split.
        window: side of the network's input, in pixels.
        geometry: of the network.
        batch_size: windows in a batch.
        seed: of order, position and augmentation.
        grey: strength of `augment.vary_grey_values`.

    Returns:
        Batches of (x, y): x [batch_size, window, window, channels] float32, normalised; y [batch_size, out,
        out] int32 class indices of the valid centre, out = window - 2 * halo.
    """
    halo, channels = geometry.halo, tiles.channels

    def vary(index: tf.Tensor, example: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        tile, tile_mask, mean, stddev = example
        seeds = [tf.stack([tf.constant(seed + i, tf.int64), index]) for i in range(3)]
        image = decode_tile(tile, channels)
        mask = tf.io.decode_png(tile_mask, channels=1)
        image, mask = augment.crop(image, mask, window, seeds[0])
        image, mask = augment.flip_and_turn(image, mask, seeds[1])
        image = augment.vary_grey_values((image - mean) / stddev, seeds[2], grey)
        return image, tf.cast(mask[halo:-halo, halo:-halo, 0], tf.int32)

    strings = (tiles.features[key].tolist() for key in ("tile", "tile_mask"))
    ds = tf.data.Dataset.from_tensor_slices((*strings, tiles.mean, tiles.stddev))
    # Shuffle while tiles are encoded strings: the buffer holds the whole split for the price of its files.
    ds = ds.shuffle(len(tiles), seed=seed, reshuffle_each_iteration=True).repeat()
    # Numbered after the shuffle: the n-th window has its own random numbers, whatever thread cuts it.
    ds = ds.enumerate().map(vary, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # The step runs on all cores: two batches ahead are enough to hide the decoding.
    return ds.batch(batch_size, drop_remainder=True).prefetch(2)


def validation_tiles(
    tiles: Tiles, geometry: Geometry
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8], int, int]]:
    """Every tile once, with the part of it that belongs to it alone.

    The parts of an image's tiles cover it exactly once, and each tile has the whole context of its part:
    counts added up over tiles are those of whole images, without any padding.

    Yields:
        x [1, H, W, channels] normalised; class indices [rows, columns] of the part; rows; columns.
        The part is the top left [rows, columns] of the network's output.
    """
    f, halo = tiles.features, geometry.halo
    next_top, next_left = _next_offsets(f, "top"), _next_offsets(f, "left")
    for i in range(len(tiles)):
        x = decode_tile(tf.constant(f["tile"][i]), tiles.channels).numpy()
        mask = tf.io.decode_png(f["tile_mask"][i], channels=1).numpy()[..., 0]
        rows = int(min(next_top[i], f["height"][i]) - f["top"][i])
        columns = int(min(next_left[i], f["width"][i]) - f["left"][i])
        part = mask[halo : halo + rows, halo : halo + columns]
        yield ((x - tiles.mean[i]) / tiles.stddev[i])[None], part, rows, columns


def _next_offsets(features: dict[str, NDArray], axis: str) -> NDArray[np.int64]:
    """For each tile, the offset of its image's next tile on an axis, or a number beyond any image."""
    offsets: dict[bytes, set[int]] = collections.defaultdict(set)
    for name, offset in zip(features["name"], features[axis], strict=True):
        offsets[name].add(int(offset))
    beyond = np.iinfo(np.int64).max
    return np.array(
        [
            min((o for o in offsets[name] if o > offset), default=beyond)
            for name, offset in zip(features["name"], features[axis], strict=True)
        ]
    )
