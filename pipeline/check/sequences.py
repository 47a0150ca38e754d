"""Notices frames of videos and slices of volumes: names that count up, and neighbours that look alike.

A model tested on the neighbour of an image that it learned from looks better than it is, so such images
belong into groups. Numbered names alone say nothing: most sets number independent images.
"""

from __future__ import annotations

import concurrent.futures
import re
import statistics
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet.dataset.inspection import SampleStats
from unet.dataset.sample import BLOCK_PREFIX, Sample
from unet.dataset.settings import ReadSettings
from unet.dataset.splits import block_size
from unet.images.capacity import cores
from unet.images.formats import read_raster
from unet.images.memory import one_at_a_time
from unet.masks.shapes import measure_file

_LEAST = 12  # images; fewer make no useful blocks
_PAIRS = 24  # neighbours that are compared
_SIDE = 32  # pixels of the thumbnails that are compared
_ALIKE = 0.6  # how far apart neighbours are at most, as a share of how far apart other images are
_MOSTLY = 0.8  # share of the neighbours that must be closer to each other than to another image
_SERIES = 6  # least number of series that are taken as groups; fewer make too coarse splits
_MASKS = 8  # number of masks in which lines are looked for
_LINE, _CELL = 0.2, 0.4  # share of the pixels deep inside: largest in lines, least in what they part
_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)
PATTERN = "^.*[^0-9]"  # the name without the number at its end


def grouping(samples: Sequence[Sample], settings: ReadSettings) -> tuple[str, str, str] | None:
    """A setting that groups images of sequences, its value and the reason; None without sequences.

    Args:
        samples: the usable samples, in natural order; up to 72 of their images are read.
        settings: how the images are read.
    """
    if len(samples) < _LEAST or any(s.split or s.fold is not None or s.group != s.name for s in samples):
        return None
    series: dict[tuple[str, str], list[int]] = {}  # name without its last number -> positions
    for i, sample in enumerate(samples):
        if match := _NUMBER.fullmatch(sample.name):
            series.setdefault((match[1], match[3]), []).append(i)
    series = {key: members for key, members in series.items() if len(members) > 1}
    neighbours = [pair for members in series.values() for pair in pairwise(members)]
    if len(neighbours) < len(samples) / 2:
        return None
    neighbours = neighbours[:: max(1, len(neighbours) // _PAIRS)][:_PAIRS]
    trios = [(a, b, (a + len(samples) // 2) % len(samples)) for a, b in neighbours]
    chosen = sorted({i for trio in trios for i in trio})
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        found = pool.map(lambda i: _thumbnail(samples[i], settings), chosen)
        thumbnails = dict(zip(chosen, found, strict=True))
    near = [_distance(thumbnails[a], thumbnails[b]) for a, b, _ in trios]
    far = [_distance(thumbnails[a], thumbnails[other]) for a, _, other in trios]
    closer = sum(n < f for n, f in zip(near, far, strict=True)) / len(trios)
    if statistics.median(near) > _ALIKE * statistics.median(far) or closer < _MOSTLY:
        return None
    why = "names count up and neighbours look alike, as in a video or a stack: "
    largest = max(map(len, series.values()))
    plain = all(head and not tail for head, tail in series)
    if len(series) >= _SERIES and plain and largest <= 0.4 * len(samples):
        return "group_pattern", f'"{PATTERN}"', f"{why}each of the {len(series)} series stays in one split"
    size = block_size(len(samples))
    return "slices_per_group", f"{size}", f"{why}blocks keep a test image's neighbours out of training"


def membranes(samples: Sequence[Sample], facts: Sequence[SampleStats], settings: ReadSettings) -> bool:
    """Whether images look like those of ISBI 2012: a grey stack, thin lines of value 0 between cells.

    Args:
        samples: the usable samples; up to 8 of their masks are read.
        facts: their statistics.
        settings: how the masks are read.
    """
    of_a_stack = any(s.stack or s.group.startswith(BLOCK_PREFIX) for s in samples) or grouping(
        samples, settings
    )
    if not of_a_stack or set(settings.classes.values()) != {0, 255} or any(f.channels != 1 for f in facts):
        return False
    masks = samples[:: max(1, len(samples) // _MASKS)][:_MASKS]
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        shapes = pool.map(lambda s: measure_file(s.mask, s.page or 0, settings.max_pixels), masks)
        found = [(mask[0], mask[max(mask)]) for mask in shapes if len(mask) == 2 and 0 in mask]
    like = [line.pixels < cell.pixels and line.core < _LINE < _CELL < cell.core for line, cell in found]
    return sum(like) > len(masks) / 2


def _thumbnail(sample: Sample, settings: ReadSettings) -> NDArray[np.float64]:
    """A small grey copy of an image, of mean 0 and length 1, so that its exposure does not matter."""
    with one_at_a_time():
        pixels = read_raster(sample.image, sample.page or 0, settings.max_pixels).pixels
        grey = pixels.reshape(*pixels.shape[:2], -1).mean(-1, dtype=np.float32)
        small = np.asarray(Image.fromarray(grey).resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    small = small - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-9)


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """One minus the correlation of two thumbnails."""
    return float(1 - (a * b).sum())
