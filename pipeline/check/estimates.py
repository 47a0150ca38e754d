"""Estimates the tiles, disk space and memory of a run before it starts; rules of thumb, not promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pipeline.config.settings import PipelineConfig
from unet import tiling
from unet.dataset.inspection import SampleStats
from unet.images import capacity
from unet.images.memory import LARGE_IMAGE

# Measured with `make run` and with one image of 20,000 x 20,000 pixels; see benchmarks/data.py.
_LIBRARIES = 1.1e9  # bytes of memory that TensorFlow, TFX and Beam take before any image is read
_COPIES = 6  # memory per byte of the largest image in 8 bits: decoded to 16 bits, padded, cut
# Bytes per filter of the first level and pixel of a batch, forward and backward, by the stride of the stem;
# and how many times as much it is with normalization layers.
_ACTIVATIONS, _NORMALIZED = {1: 120, 2: 60}, 1.4
_WEIGHTS = 30  # times filters^2 4^depth: weights of the network
_WEIGHT_COPIES = 4 * (2 * 4 + 3)  # bytes: two checkpoints with the optimizer's and the best ones; exports
_PNG_BYTES = 0.6  # bytes of a PNG per byte in 8 bits, if the file is no PNG: noise hardly compresses


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The needs of a run.

    Attributes:
        tiles: number of tiles of train and eval.
        disk: bytes under the root.
        memory: bytes of memory.
        least_memory: bytes of memory under the smaller plan of `unet.images.capacity`.
    """

    tiles: int
    disk: int
    memory: int
    least_memory: int

    def __str__(self) -> str:
        return f"about {self.tiles} tiles, {in_words(self.disk)} of disk, {in_words(self.memory)} of memory"


def estimate(
    facts: Sequence[SampleStats], split_of: Mapping[str, str | None], config: PipelineConfig, channels: int
) -> Estimate | None:
    """Estimates the needs of a run on some images; returns None if there are no images.

    Args:
        facts: statistics of all images.
        split_of: the split of each image by its name.
        config: configuration of the run.
        channels: number of channels of the network's input.
    """
    used = [fact for fact in facts if split_of.get(fact.name)]
    if not used:
        return None
    geometry = tiling.Geometry.of(config)
    least = config.patch_size - geometry.smallest
    tiles, tile_bytes, train_pixels = 0, 0.0, 0
    for fact in used:
        sides = [max(1, round(side * config.scale)) for side in (fact.height, fact.width)]
        rows, cols = (tiling.plan(side, config.tile_stride, geometry, min_stride=least) for side in sides)
        if split_of[fact.name] != "test":
            tiles += rows.count * cols.count
            pixels = rows.count * rows.tile_size(geometry) * cols.count * cols.tile_size(geometry)
            bits = 16 if config.scale != 1 else fact.bit_depth  # resized tiles are stored with 16 bits
            values = channels * bits / 8
            train_pixels += pixels * (split_of[fact.name] == "train")
            tile_bytes += pixels * max(fact.stored / (fact.height * fact.width), _PNG_BYTES * values)
    # The Trainer holds the tiles encoded, and also decoded if they are few: images in 16 bits, masks in one
    # or two channels of 8.
    decoded = (train_pixels * 2 * channels, train_pixels * (2 if config.border_weight else 1))
    filters = max(config.base_filters, *config.tune_over.get("base_filters", [0]))
    step = config.batch_size * config.patch_size**2 * filters * _ACTIVATIONS[config.stem_stride]
    if config.normalization_layer != "none":
        step = round(step * _NORMALIZED)
    weights = _WEIGHTS * filters**2 * 4**config.depth

    def memory(smaller: bool) -> int:
        held = tile_bytes + sum(count for count in decoded if count <= capacity.cache_bytes(smaller))
        # All cores read small images, one reads a large one; they are released before the training.
        together = sum(small[: capacity.cores(smaller)])
        return round(_LIBRARIES + max(step + held, _COPIES * max(largest, together)))

    sizes = sorted((fact.height * fact.width, _decoded(fact)) for fact in used)[::-1]
    small = [size for pixels, size in sizes if pixels <= LARGE_IMAGE]
    largest = max(size for _, size in sizes)
    return Estimate(
        tiles=tiles,
        disk=round(sum(fact.stored for fact in used) * 1.05 + tile_bytes + weights * _WEIGHT_COPIES),
        memory=memory(False),
        least_memory=memory(True),
    )


def _decoded(fact: SampleStats) -> float:
    return fact.height * fact.width * fact.channels * fact.bit_depth / 8


def in_words(count: float) -> str:
    """Writes a number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 5e8 else f"{max(1, round(count / 1e6))} MB"
