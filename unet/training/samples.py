"""Example pictures of a training: a few patches before and after augmentation, with their targets.

An index lists the files of each patch for the report.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet.images.channels import is_stacked
from unet.images.reader import encode_png
from unet.images.stacking import composite
from unet.masks.labels import IGNORE
from unet.tiling import Geometry
from unet.training.batches import names_of_batch, training_batches
from unet.training.build import class_weights
from unet.training.files import SAMPLES_INDEX
from unet.training.losses import pixel_weights
from unet.training.settings import STILL, TrainSettings
from unet.training.tiles import Tiles

_COUNT = 4
_BLACK, _WHITE = 1.0, 99.0  # percentiles of the values that are shown as black and white
_QUALITY = 88  # JPEG quality


def write_samples(folder: Path, tiles: Tiles, settings: TrainSettings, count: int = _COUNT) -> None:
    """Writes the first patches of a training that show more than background, one per image.

    Args:
        folder: folder to create. Its `index.json` holds for each patch the image's `name`, the files `before`
            and `after` (the patch as JPEG, with stretched contrast), `mask_before` and `mask_after` (PNG of
            class indices, `IGNORE` in the halo and wherever the loss ignores pixels), and, if the setting
            `border_weight` is used, `weight`: 8-bit PNG of the pixel weights in the loss, where 255 stands
            for `weight_most`.
        tiles: tiles of the training split.
        settings: settings of the training.
        count: number of patches to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    halo = Geometry.of(settings).halo
    weights = class_weights(settings, tiles)
    rows: list[dict[str, Any]] = []
    one = settings.model_copy(update={"batch_size": 1})
    both = (_windows(tiles, how) for how in (one.model_copy(update=STILL), one))
    for number, ((x, y), (bent, target)) in enumerate(itertools.islice(zip(*both, strict=True), 3 * count)):
        [name] = names_of_batch(tiles, one, number)
        empty = not ((target[..., 0] >= settings.first_foreground) & (target[..., 0] != IGNORE)).any()
        if name in (row["name"] for row in rows) or (empty and number < 2 * count):
            continue
        start = f"{len(rows)}-"
        row: dict[str, Any] = {"name": name, "weight": None, "weight_most": None}
        # Grey and RGB are stretched as a whole, other channels each by itself.
        axes = (0, 1) if is_stacked(x.shape[-1]) else None
        black, white = np.percentile(composite(x), [_BLACK, _WHITE], axis=axes)
        for key, values in (("before", x), ("after", bent)):
            row[key] = f"{start}{key}.jpg"
            gray = np.clip((composite(values) - black) / np.maximum(white - black, 1e-6), 0, 1) * 255
            stored = gray.astype(np.uint8)
            picture = Image.fromarray(stored[..., 0] if stored.shape[-1] == 1 else stored)
            picture.save(folder / row[key], quality=_QUALITY)
        for key, mask in (("mask_before", y), ("mask_after", target)):
            row[key] = f"{start}{key}.png"
            whole = np.pad(mask[..., 0], halo, constant_values=IGNORE)
            (folder / row[key]).write_bytes(encode_png(whole))
        if settings.border_weight:
            weight = pixel_weights(target[None], weights, settings.border_weight)[0].numpy()
            row["weight"], row["weight_most"] = f"{start}weight.png", float(weight.max())
            shown = (np.pad(weight, halo) * (255 / max(weight.max(), 1e-6))).astype(np.uint8)
            (folder / row["weight"]).write_bytes(encode_png(shown))
        rows.append(row)
        if len(rows) == count:
            break
    (folder / SAMPLES_INDEX).write_text(json.dumps(rows, indent=2), encoding="utf-8")


def _windows(
    tiles: Tiles, settings: TrainSettings
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Yields the patches of the training in its order, [S, S, C], with their masks [T, T, K].

    A patch's position does not depend on its augmentation: the n-th patch without augmentation shows the same
    place as the n-th patch with it.
    """
    batches = training_batches(tiles, settings, cache_bytes=0)  # a cache does not pay for a few patches
    for x, y in batches.as_numpy_iterator():
        yield x[0], y[0]
