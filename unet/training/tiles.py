"""Reads the tiles that Transform stored for training and validation."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet.errors import BadInput, ImagesLost
from unet.images.channels import is_stacked
from unet.images.depth import DEPTH_SCALE
from unet.preprocessing.stacking import unstack
from unet.tiling import Geometry


@dataclasses.dataclass(frozen=True)
class Tiles:
    """All tiles of one split, still encoded.

    Attributes:
        features: arrays of shape [tiles, ...], see `components.transform.preprocessing_fn`.
        mean, stddev: constants of the normalisation of each tile, shape [tiles, channels].
        mask_channels: number of channels of the stored masks: 1 for the class, 2 with the border term of
            `unet.masks.weight_map.border`.
    """

    features: dict[str, NDArray]
    mean: NDArray[np.float32]
    stddev: NDArray[np.float32]
    mask_channels: int = 1

    @property
    def channels(self) -> int:
        """Number of channels of the network's input."""
        return self.mean.shape[1]

    def __len__(self) -> int:
        return len(self.features["tile"])

    def __add__(self, more: Tiles) -> Tiles:
        """These tiles, and those of another split after them."""
        pairs = {name: (array, more.features[name]) for name, array in self.features.items()}
        together = {name: np.concatenate(pair) for name, pair in pairs.items()}
        mean, stddev = np.concatenate([self.mean, more.mean]), np.concatenate([self.stddev, more.stddev])
        return Tiles(together, mean, stddev, self.mask_channels)


_SCALARS = {"tile": tf.string, "tile_mask": tf.string, "name": tf.string} | dict.fromkeys(
    ("top", "left", "height", "width", "tiles"), tf.int64
)


def read_tiles(patterns: Sequence[str], images: int | None = None) -> Tiles:
    """Reads the tiles that Transform wrote, in a fixed order.

    Args:
        patterns: glob patterns of GZIP TFRecord files with tf.Examples.
        images: number of images that must be there; None if it is not known.

    Raises:
        BadInput: there is no tile, or some tiles of an image are missing.
        ImagesLost: there are more or fewer images than `images`.
    """
    files = sorted(tf.io.gfile.glob(list(patterns)))
    spec = {key: tf.io.FixedLenFeature([], dtype) for key, dtype in _SCALARS.items()}
    varying = {
        key: tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)
        for key, dtype in (("mean", tf.float32), ("stddev", tf.float32), ("class_pixels", tf.int64))
    }
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    rows = list(records.map(lambda r: tf.io.parse_single_example(r, spec | varying)).as_numpy_iterator())
    if not rows:
        raise BadInput(f"no tiles in {', '.join(patterns)}")
    # Beam's output has no fixed order: sorting makes the same seed give the same batches.
    rows.sort(key=lambda row: (row["name"], row["top"], row["left"]))
    found = collections.Counter(row["name"] for row in rows)
    require_images(len(found), images, patterns)
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
    mean, stddev, features["class_pixels"] = (np.stack([row[key] for row in rows]) for key in varying)
    mask_channels = tf.io.decode_png(features["tile_mask"][0]).shape[-1]
    return Tiles(features, mean, stddev, mask_channels)


def count_images(patterns: Sequence[str]) -> int:
    """Counts the images whose tiles Transform wrote, in little memory."""
    files = sorted(tf.io.gfile.glob(list(patterns)))
    spec = {"name": tf.io.FixedLenFeature([], tf.string)}
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    rows = records.map(lambda record: tf.io.parse_single_example(record, spec))
    return len({row["name"] for row in rows.as_numpy_iterator()})


def require_images(found: int, expected: int | None, patterns: Sequence[str]) -> None:
    """Raises `ImagesLost` if the number of images is not the expected one, where that is known."""
    if expected is not None and found != expected:
        raise ImagesLost(f"{', '.join(patterns)}: tiles of {found} images, {expected} were read: run again")


def decode_tile(tile: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a stored tile (PNG of 8 or 16 bits) to [H, W, channels] float32 on the 0..255 scale."""
    stored = tf.io.decode_png(tile, 1 if is_stacked(channels) else channels, tf.uint16)
    return _gray_values(unstack(stored, channels))


def _gray_values(pixels: tf.Tensor) -> tf.Tensor:
    """Converts uint16 pixels to float32 on the 0..255 scale."""
    return tf.cast(pixels, tf.float32) / DEPTH_SCALE


def validation_tiles(
    tiles: Tiles, geometry: Geometry
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8], int, int]]:
    """Yields every tile once, with the part of the image that only this tile covers.

    The parts of an image's tiles cover the image exactly once, and each tile has the whole context of its
    part: pixel counts summed over tiles equal those of whole images, without any padding.

    Yields:
        x, the normalised tile [1, H, W, channels]; class indices [rows, columns] of the part; rows; columns.
        The part is the top left [rows, columns] of the network's output.
    """
    f, halo = tiles.features, geometry.halo
    next_top, next_left = _next_offsets(f, "top"), _next_offsets(f, "left")
    for i in range(len(tiles)):
        x = decode_tile(tf.constant(f["tile"][i]), tiles.channels).numpy()  # [H, W, channels]
        mask = tf.io.decode_png(f["tile_mask"][i], channels=1).numpy()[..., 0]  # [H, W]
        rows = int(min(next_top[i], f["height"][i]) - f["top"][i])
        columns = int(min(next_left[i], f["width"][i]) - f["left"][i])
        part = mask[halo : halo + rows, halo : halo + columns]  # [rows, columns]
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
