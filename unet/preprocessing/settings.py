"""The settings of the tiles that a training stores, and of the patches that are cut from them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unet.settings import Section

CACHE_BYTES = 2**28  # bytes of pixels that a training holds decoded: of images, and of masks


class Scaling(Section):
    """Data: the images as the network sees them."""

    scale: float = Field(
        1.0, ge=0.05, le=4, description="Size of the images that the network sees, as a part of their own."
    )
    normalize: Literal["dataset", "image"] = Field(
        "image", description="Mean 0 and deviation 1 over each image by itself, or over all training images."
    )


class PatchSize(Section):
    """Tiling: what the network gets in a training."""

    patch_size: int = Field(444, description="Side of the network's input while training.")


class Stride(Section):
    """Tiling: what is stored."""

    tile_stride: int = Field(512, ge=16, description="Largest stride of the stored training tiles.")


class TileSettings(Scaling, PatchSize, Stride):
    """What shapes the stored tiles: settings, and what follows from others.

    Attributes:
        image_channels: of the images as the network sees them.
        class_count: how many classes there are.
        with_border: whether the border term of the weight map is stored, too.
        levels: depth of the network.
    """

    image_channels: int
    class_count: int
    with_border: bool
    levels: int
