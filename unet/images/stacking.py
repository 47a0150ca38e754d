"""The channels of an image as an array: which are chosen, how they are stored, and how they are shown.

An image of other channels than grey or RGB is stored as a grey PNG in which its channels lie below one
another: [channels * height, width]. Every reader of grey PNGs reads it without loss, TensorFlow's among
them, and nothing can take a fourth channel for alpha.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.images.channels import MOST_CHANNELS, ChosenChannels, is_stacked
from unet.images.raster import ImageError


def stack(pixels: NDArray[Any]) -> NDArray[Any]:
    """Puts the channels of an image below one another: [H, W, channels] -> [channels * H, W]."""
    height, width, channels = pixels.shape
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0)).reshape(channels * height, width)


def unstack(stacked: NDArray[Any], channels: int) -> NDArray[Any]:
    """The image [H, W, channels] of which `stack` made [channels * H, W]."""
    return np.ascontiguousarray(np.moveaxis(stacked.reshape(channels, -1, stacked.shape[1]), 0, -1))


def choose(pixels: NDArray[Any], use: ChosenChannels) -> NDArray[Any]:
    """The chosen channels of an image [H, W, channels].

    Args:
        pixels: the image.
        use: numbers of the channels from 1, in the order of the result; or "all".

    Raises:
        ImageError: the image has not all of these channels, or too many.
    """
    count = pixels.shape[-1]
    if use == "all":
        if count > MOST_CHANNELS:
            raise ImageError(f"{count} channels, more than {MOST_CHANNELS}", "choose some with use_channels")
        return pixels
    if max(use) > count:
        found = f"an image of {count} channel{'' if count == 1 else 's'}, which has no channel {max(use)}"
        raise ImageError(found, f"use_channels = {list(use)} does not fit it: export it with all channels")
    return np.ascontiguousarray(pixels[..., [number - 1 for number in use]])


def composite(pixels: NDArray[Any]) -> NDArray[Any]:
    """What is shown of an image [..., channels] to people: [..., 1 or 3].

    Grey and RGB are shown as they are; of other images the first three channels as red, green and blue, or
    the first one of two in grey.
    """
    channels = pixels.shape[-1]
    return pixels if not is_stacked(channels) else pixels[..., : 3 if channels > 3 else 1]
