"""Pictures of the worst, the median and the best test images, with their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet.evaluation import errors
from unet.evaluation.results import BLACK, PICTURES, WHITE, ImageRow
from unet.images.channels import is_stacked
from unet.images.display import stretch_table, used_range
from unet.images.reader import to_grayscale
from unet.images.stacking import composite

SCORE = "foreground_iou"
EACH = 3  # number of images of each role: worst, median, best
_ENOUGH = 0.5  # share of the possible values that an image must use to be shown as it is
LONGEST_SIDE = 768  # largest height or width of a picture in pixels


def pick(rows: Sequence[ImageRow]) -> list[dict[str, Any]]:
    """Picks the images to show: role, name and score of each, the worst first; no image twice."""
    scored = sorted((row["metrics"][SCORE], row["name"]) for row in rows if _is_number(row["metrics"][SCORE]))
    each = min(EACH, max(len(scored) // 3, 1))
    worst = scored[:each]
    best = [pair for pair in scored[::-1][:each] if pair not in worst]
    rest = scored[len(worst) : len(scored) - len(best)]
    start = (len(rest) - each + 1) // 2
    median = rest[max(start, 0) :][:each]
    roles = (("worst", worst), ("median", median), ("best", best))
    return [{"role": role, "name": name, "score": score} for role, pairs in roles for score, name in pairs]


def write_pictures(
    folder: Path,
    number: int,
    picked: dict[str, Any],
    pixels: NDArray[Any],
    ground_truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    probability: NDArray[np.uint16],
    ignored: int,
    first: int,
) -> dict[str, Any]:
    """Writes four files of one image, and returns the image's row of the index.

    Args:
        folder: folder of the evaluation.
        number: number of the image among the pictures, a prefix of its files' names.
        picked: row of the image that `pick` returned.
        pixels: the image, uint8 or uint16 [H, W, channels]; see `composite`.
        ground_truth: class indices of the ground truth, [H, W]; `ignored` where a pixel does not count.
        predicted: predicted class indices, [H, W].
        probability: times 65535, [H, W]: that of any class but the background, or, without a background,
            that of the most likely class.
        ignored: class index of pixels that are not counted.
        first: index of the first class of the foreground; 0 where there is no background.
    """
    where = folder / PICTURES
    where.mkdir(exist_ok=True)
    height, width = ground_truth.shape
    scale = min(1, LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture_of_image, stretched = _visible(pixels)
    shown = {
        "image.jpg": Image.fromarray(picture_of_image).resize(size, Image.Resampling.BOX),
        "ground_truth.png": Image.fromarray(ground_truth).resize(size, Image.Resampling.NEAREST),
        "predicted.png": Image.fromarray(predicted).resize(size, Image.Resampling.NEAREST),
        "probability.png": Image.fromarray((probability >> 8).astype(np.uint8)).resize(
            size, Image.Resampling.BOX
        ),
    }
    wrong = errors.shares(errors.kinds_of_error(ground_truth, predicted, ignored, first))
    row = {**picked, "stretched": stretched, "errors": wrong}
    for name, picture in shown.items():
        file = f"{number}-{name}"
        picture.save(where / file, quality=85)
        row[name.partition(".")[0]] = file
    return row


def _visible(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], bool]:
    """The picture of an image, [H, W] or [H, W, 3], and whether its contrast is stretched to be seen."""
    pixels, channels = composite(pixels), pixels.shape[-1]
    if is_stacked(channels):  # each by itself: the brightness of one does not depend on that of another
        found = [_table(plane) for plane in np.moveaxis(pixels, -1, 0)]
        planes = [table[pixels[..., i]] for i, (table, _) in enumerate(found)]
        return np.stack(planes, -1) if len(planes) > 1 else planes[0], any(
            stretched for _, stretched in found
        )
    gray = to_grayscale(pixels) if pixels.shape[-1] == 3 else pixels[..., 0]
    table, stretched = _table(gray)
    return table[pixels if pixels.shape[-1] == 3 else gray], stretched


def _table(gray: NDArray[Any]) -> tuple[NDArray[np.uint8], bool]:
    """The shown value of each stored one: stretched if the image uses a small part of the possible ones."""
    largest = np.iinfo(gray.dtype).max
    low, high = used_range(gray, BLACK, WHITE)
    if high - low < _ENOUGH * largest:
        return stretch_table(gray, BLACK, WHITE), True
    return (np.arange(largest + 1) // ((largest + 1) // 256)).astype(np.uint8), False


def _is_number(value: float | None) -> bool:
    return value is not None and not np.isnan(value)
