"""The settings of the tiles that a training stores, and of the patches that are cut from them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unet.settings import Levels, Section


class Scaling(Section):
    """Data: how images are resized and normalised before the network."""

    scale: float = Field(
        1.0, ge=0.05, le=4, description="Size of the images that the network sees, as a part of their own."
    )
    normalize: Literal["dataset", "image"] = Field(
        "image", description="Mean 0 and deviation 1 over each image by itself, or over all training images."
    )


class PatchSize(Section):
    """Tiling: the size of training patches."""

    patch_size: int = Field(444, ge=16, le=2**14, description="Side of the network's input while training.")


class Stride(Section):
    """Tiling: the size of the stored tiles."""

    tile_stride: int = Field(512, ge=16, le=2**20, description="Largest stride of the stored training tiles.")


class TileSettings(Scaling, PatchSize, Stride, Levels):
    """Settings that determine the stored tiles, and values derived from other settings.

    Attributes:
        image_channels: number of channels of the network's input.
        class_count: number of classes.
        with_border: whether the border term of the weight map is stored, too.
    """

    image_channels: int
    class_count: int
    with_border: bool
