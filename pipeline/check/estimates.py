"""What a run on some images takes, before it starts: tiles, disk and memory; rules of thumb, not promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pipeline.config.settings import PipelineConfig
from unet import tiling
from unet.dataset.inspection import SampleStats
from unet.preprocessing.settings import CACHE_BYTES

# Measured with `make run` and with one image of 20,000 x 20,000 pixels; see benchmarks/data.py.
_LIBRARIES = 1.1e9  # bytes of memory that TensorFlow, TFX and Beam take before there is any image
_COPIES = 6  # of the largest image, in bytes a value of 8 bits: decoded to 16 bits, padded, cut
_ACTIVATIONS = 120  # bytes for each filter of the first level and each pixel of a batch, forth and back
_PNG_BYTES = 0.6  # bytes a value of 8 bits takes as PNG where the file is no PNG: noise hardly compresses


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run takes: `tiles` of train and eval, `disk` and `memory` in bytes."""

    tiles: int
    disk: int
    memory: int

    def __str__(self) -> str:
        return f"about {self.tiles} tiles, {_bytes(self.disk)} of disk, {_bytes(self.memory)} of memory"


def estimate(
    facts: Sequence[SampleStats], split_of: Mapping[str, str | None], config: PipelineConfig, channels: int
) -> Estimate | None:
    """What a run on these images takes; None if there is none.

    Args:
        facts: of all images.
        split_of: split of each by name.
        config: of the run.
        channels: that the network sees.
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
            values = channels * fact.bit_depth / 8
            train_pixels += pixels * (split_of[fact.name] == "train")
            tile_bytes += pixels * max(fact.stored / (fact.height * fact.width), _PNG_BYTES * values)
    # The Trainer holds the tiles encoded, and decoded where they are few: images in 16 bits, masks in one
    # plane or two of 8.
    decoded = (train_pixels * 2 * channels, train_pixels * (2 if config.border_weight else 1))
    held = tile_bytes + sum(count for count in decoded if count <= CACHE_BYTES)
    largest = max(fact.height * fact.width * fact.channels * fact.bit_depth / 8 for fact in used)
    filters = max(config.base_filters, *config.tune_over.get("base_filters", [0]))
    step = config.batch_size * config.patch_size**2 * filters * _ACTIVATIONS
    return Estimate(
        tiles=tiles,
        disk=round(sum(fact.stored for fact in used) * 1.05 + tile_bytes),
        # The large image is gone by then.
        memory=round(_LIBRARIES + max(step + held, largest * _COPIES)),
    )


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 5e8 else f"{max(1, round(count / 1e6))} MB"
