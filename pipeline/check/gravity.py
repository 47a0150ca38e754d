"""Notices images that have an up and a down, as photographs do, which training must not turn over.

Light comes from above: the upper third of a street is brighter or bluer than its lower third in nearly every
image, while left and right differ at random. Cells, tissue and most aerial images look alike from all sides.
EXIF tells little: a microscope's camera and a drone write it as well, and most exports lose it.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet.dataset.sample import Sample
from unet.dataset.settings import ReadSettings
from unet.images.capacity import cores
from unet.images.formats import read_raster
from unet.images.memory import one_at_a_time

_LEAST = 8  # images; in fewer a difference may be chance
_IMAGES = 32  # number of images that are read
_SIDE = 33  # pixels of the thumbnails that are compared
_LARGE = 0.5  # least mean difference of upper and lower third, in standard deviations of a thumbnail's values
_CONSISTENT = 1.0  # least mean difference in standard deviations of the differences of single images
_SURE = 4.0  # least mean difference in standard errors
_SIDEWAYS = 2.0  # how many times as large it must be as that of left and right: a lamp shines from any side


@dataclasses.dataclass(frozen=True)
class Gravity:
    """How the upper parts of images differ from their lower parts.

    Attributes:
        images: number of images that were compared.
        share: share of them that differ in the same direction.
        what: how the upper part is in most of them, such as "brighter".
    """

    images: int
    share: float
    what: str


def gravity(samples: Sequence[Sample], settings: ReadSettings) -> Gravity | None:
    """Compares the upper and the lower thirds of images; None if they do not consistently differ.

    Args:
        samples: the usable samples; up to 32 of their images are read.
        settings: how the images are read.
    """
    if len(samples) < _LEAST:
        return None
    spread = np.linspace(0, len(samples) - 1, min(len(samples), _IMAGES)).round().astype(int)
    chosen = [samples[i] for i in spread]
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        found = np.stack(list(pool.map(lambda sample: _differences(sample, settings), chosen)))  # [n, 2, 2]
    needed = max(_CONSISTENT, _SURE / len(chosen) ** 0.5)
    for row, words in enumerate((("brighter", "darker"), ("bluer", "redder"))):
        differences = found[:, row, 0]  # [n]
        down, across = differences.mean(), found[:, row, 1].mean()
        large = abs(down) >= max(_LARGE, _SIDEWAYS * abs(across))
        if large and abs(down) >= needed * differences.std(ddof=1):
            share = float((np.sign(differences) == np.sign(down)).mean())
            return Gravity(len(chosen), share, words[int(down < 0)])
    return None


def _differences(sample: Sample, settings: ReadSettings) -> NDArray[np.float64]:
    """Upper minus lower and left minus right third, [2, 2], in standard deviations of a thumbnail's values.

    Rows are brightness, and blue minus red, which is 0 in images without colors.
    """
    with one_at_a_time():
        raster = read_raster(sample.image, sample.page or 0, settings.max_pixels)
        pixels = raster.pixels
        if raster.palette is not None:
            pixels = raster.palette[np.minimum(pixels[..., 0], len(raster.palette) - 1)]
        channels = (0, 1, 2) if pixels.shape[-1] == 3 else (0,)
        values = [_thumbnail(pixels[..., channel]) for channel in channels]
    brightness, color = np.mean(values, 0), values[-1] - values[0]  # [side, side] each
    third = _SIDE // 3
    rows = []
    for shown in (brightness, color):
        # A tint too faint to be seen beside the brightness is none.
        deviation = max(float(brightness.std()), float(shown.std()), 1e-9)
        profiles = (shown.mean(1), shown.mean(0))  # [side] each, from top to bottom and from left to right
        rows.append([(line[:third].mean() - line[-third:].mean()) / deviation for line in profiles])
    return np.array(rows, np.float64) * (-1.0 if raster.white_is_zero else 1.0)


def _thumbnail(channel: NDArray) -> NDArray[np.float64]:
    """A small copy of a channel, [side, side]."""
    small = Image.fromarray(channel.astype(np.float32)).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float64)
