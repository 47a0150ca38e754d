"""Predicts an image of any size with the signature `network` of exported models, in bounded memory.

An image that does not fit into memory cannot be passed to the whole exported graph. So this module does the
graph's work around the network: normalisation in a first pass over strips of rows, mirror padding, aligned
tiles. Its prediction equals the served one but for float rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import tiling
from unet.images.depth import DEPTH_SCALE
from unet.images.reader import to_grayscale
from unet.inference.scratch import scratch_array

MEMORY = 5e8  # bytes of activations of the current tile; twice as much is no faster
_STRIP = 1 << 22  # values of an image that are processed at a time
_FEWEST_VARIANCE = 1e-9  # as in `unet.preprocessing.normalization`
Block = tuple[int, int, NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class NetworkSignature:
    """A loaded model: `call` is its signature `network`, `record` its training record."""

    call: Callable[..., Mapping[str, Any]]
    record: Mapping[str, Any]


def probabilities(
    networks: Sequence[NetworkSignature],
    pixels: NDArray[Any],
    scratch: Path | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Iterator[Block]:
    """Mean of the probabilities that the networks predict for an image.

    Args:
        networks: networks of the same classes, channels, geometry and scale.
        pixels: the image, uint8 or uint16 [H, W, 1 or 3]; only strips of it are read at a time.
        scratch: folder for large temporary files, see `scratch_array`.
        progress: called with the share of the work that is done, 0 to 1.

    Yields:
        top, left and probabilities [h, w, classes] float32 of parts that cover the image. Parts may overlap,
        with probabilities that are equal but for rounding.

    Raises:
        ImageError: the disk has no room for temporary files.
    """
    record = networks[0].record
    if record["scale"] == 1:
        yield from _tiled(networks, pixels, progress)
        return
    from unet.preprocessing.resizing import scaled_size

    height, width = pixels.shape[:2]
    small = [int(scaled_size(side, record["scale"])) for side in (height, width)]
    # [scaled H, scaled W, channels]
    seen = scratch_array((*small, record["channels"]), np.uint16, scratch)
    for first, strip in _resized(_SixteenBits(pixels, record["channels"]), *small):
        seen[first : first + len(strip)] = np.rint(strip)  # [h, scaled W, channels]
    # [scaled H, scaled W, classes]
    held = scratch_array((*small, len(record["classes"])), np.float32, scratch)
    for top, left, block in _tiled(networks, seen, progress):
        held[top : top + block.shape[0], left : left + block.shape[1]] = block  # [h, w, classes]
    for first, strip in _resized(held, height, width):
        yield first, 0, strip  # [h, W, classes]


class _SixteenBits:
    """Reads strips of rows as the graph's decoder would return them: uint16 [h, W, channels]."""

    def __init__(self, pixels: NDArray[Any], channels: int):
        self._pixels, self._channels = pixels, channels
        self.shape = (*pixels.shape[:2], channels)

    def __getitem__(self, rows: slice) -> NDArray[np.uint16]:
        stored = np.asarray(self._pixels[rows])  # [h, W, 1 or 3]
        unit = DEPTH_SCALE if stored.dtype == np.uint8 else 1
        if self._channels == 1 and stored.shape[-1] == 3:
            stored = to_grayscale(stored)[..., None]  # [h, W, 1]
        stored = stored.astype(np.uint16) * np.uint16(unit)
        return np.repeat(stored, self._channels // stored.shape[-1], -1)  # [h, W, channels]


def _tiled(
    networks: Sequence[NetworkSignature], pixels: NDArray[Any], progress: Callable[[float], None]
) -> Iterator[Block]:
    record = networks[0].record
    geometry = tiling.Geometry.of_record(record)
    image = _SixteenBits(pixels, record["channels"])
    height, width = image.shape[:2]
    axes = tiling.plan_image(height, width, _tile_area(record, geometry), geometry)
    rows, cols = (tiling.Axis(int(axis.count), int(axis.stride)) for axis in axes)
    row_index, col_index = (  # [padded H], [padded W]
        tiling.mirror_index(-geometry.halo, axis.padded_size(geometry), size)
        for axis, size in ((rows, height), (cols, width))
    )
    constants = [_constants(network.record, image) for network in networks]
    for i in range(rows.count):
        index = row_index[i * rows.stride :][: rows.tile_size(geometry)]  # [tile h]
        first = int(index.min())
        # [tile h, W, channels], still integers
        context = image[first : int(index.max()) + 1][index - first]
        for j in range(cols.count):
            index = col_index[j * cols.stride :][: cols.tile_size(geometry)]  # [tile w]
            x = context[:, index].astype(np.float32) / np.float32(DEPTH_SCALE)  # [tile h, tile w, channels]
            total = sum(  # [tile h - 2 halo, tile w - 2 halo, classes]
                network.call(patches=((x - mean) / deviation)[None])["probabilities"][0].numpy()
                for network, (mean, deviation) in zip(networks, constants, strict=True)
            )
            top, left = i * rows.stride, j * cols.stride
            # [h, w, classes]
            kept = total[: rows.kept(i, geometry), : cols.kept(j, geometry)][: height - top, : width - left]
            yield top, left, kept / np.float32(len(networks))
            progress((i * cols.count + j + 1) / (rows.count * cols.count))


def _tile_area(record: Mapping[str, Any], geometry: tiling.Geometry) -> int:
    from unet.tiling import tile_area

    return min(tile_area(MEMORY, record["base_filters"], geometry), record["max_area"])


def _constants(record: Mapping[str, Any], image: _SixteenBits) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation for the normalisation, [channels] float32 each, on the 0..255 scale."""
    constants = record["normalization"]
    if constants["over"] == "dataset":
        mean, deviation = (np.array(constants[key], np.float32) for key in ("mean", "stddev"))
        return mean, deviation
    height, width, channels = image.shape
    total, squares = np.zeros(channels), np.zeros(channels)  # [channels] each
    rows = max(1, _STRIP // (width * channels))
    for first in range(0, height, rows):
        # [rows * W, channels]
        x = image[first : first + rows].reshape(-1, channels).astype(np.float64) / DEPTH_SCALE
        total += x.sum(0)  # [channels]
        squares += np.einsum("nc,nc->c", x, x)  # [channels]
    mean = total / (height * width)
    variance = np.maximum(squares / (height * width) - mean * mean, 0)
    deviation = np.where(variance > _FEWEST_VARIANCE, np.sqrt(variance), 1)
    return mean.astype(np.float32), deviation.astype(np.float32)


def _resized(
    source: _SixteenBits | NDArray[Any], height: int, width: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Resizes an image strip by strip; yields the first row of each strip, and the strip [h, width, K]."""
    import tensorflow as tf

    from unet.preprocessing.resizing import STRIP, resize_strip, strip_source

    down = tf.constant(height / source.shape[0], tf.float32)
    right = tf.constant(width / source.shape[1], tf.float32)
    rows = max(1, STRIP // (width * source.shape[2]))  # as in the graph: other strips would round otherwise
    for first in range(0, height, rows):
        last = min(first + rows, height)
        top, bottom = (int(row) for row in strip_source(first, last, down, source.shape[0]))
        strip = tf.constant(np.ascontiguousarray(source[top:bottom]))  # [bottom - top, source W, K]
        # [last - first, width, K]
        yield first, resize_strip(strip, top, first, last, width, down, right).numpy()
