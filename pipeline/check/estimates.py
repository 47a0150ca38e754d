"""Estimates the tiles, disk space and memory of a run before it starts; rules of thumb, not promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pipeline.config.settings import PipelineConfig
from unet import tiling
from unet.dataset.inspection import SampleStats
from unet.preprocessing.settings import CACHE_BYTES

# Measured with `make run` and with one image of 20,000 x 20,000 pixels; see benchmarks/data.py.
_LIBRARIES = 1.1e9  # bytes of memory that TensorFlow, TFX and Beam take before any image is read
_COPIES = 6  # memory per byte of the largest image in 8 bits: decoded to 16 bits, padded, cut
_ACTIVATIONS = 120  # bytes per filter of the first level and pixel of a batch, forward and backward
_PNG_BYTES = 0.6  # bytes of a PNG per byte in 8 bits, if the file is no PNG: noise hardly compresses


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The needs of a run: `tiles` of train and eval, `disk` and `memory` in bytes."""

    tiles: int
    disk: int
    memory: int

    def __str__(self) -> str:
        return f"about {self.tiles} tiles, {_bytes(self.disk)} of disk, {_bytes(self.memory)} of memory"


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
    geometry = tiling.Geometry(config.depth)
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
    held = tile_bytes + sum(count for count in decoded if count <= CACHE_BYTES)
    largest = max(fact.height * fact.width * fact.channels * fact.bit_depth / 8 for fact in used)
    filters = max(config.base_filters, *config.tune_over.get("base_filters", [0]))
    step = config.batch_size * config.patch_size**2 * filters * _ACTIVATIONS
    return Estimate(
        tiles=tiles,
        disk=round(sum(fact.stored for fact in used) * 1.05 + tile_bytes),
        # The large image is released by then.
        memory=round(_LIBRARIES + max(step + held, largest * _COPIES)),
    )


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 5e8 else f"{max(1, round(count / 1e6))} MB"
