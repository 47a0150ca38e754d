"""The row of one image: what the exported model's signature `evaluate` returned, as sums and slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.evaluation.settings import Gate
from unet.evaluation.slices import slices_of
from unet.images.reader import decode
from unet.metrics import measurement


@dataclass(frozen=True)
class Measuring:
    """How images are measured.

    Attributes:
        class_count: number of classes.
        ignored: class index of pixels that are not counted.
        tolerance: tolerance of the boundary F1 in pixels.
        with_segments: whether to compute `unet.metrics.names.SEGMENT_SCORES`, too.
        first: index of the first class that counts.
        split: depth in pixels by which predicted objects are split.
        min_size: least number of pixels of a predicted object.
    """

    class_count: int
    ignored: int
    tolerance: int
    with_segments: bool = False
    first: int = 1
    split: float = 0.0
    min_size: int = 0

    @classmethod
    def of(cls, settings: Gate, class_count: int, ignored: int, first: int) -> Measuring:
        """How the settings of the gate say that images are measured; for the arguments see the attributes."""
        return cls(
            class_count,
            ignored,
            settings.boundary_tolerance,
            settings.segment_scores,
            first,
            settings.split_objects,
            settings.min_object_size,
        )


def image_row(
    name: str,
    shape: tuple[int, int],
    bit_depth: int,
    columns: Mapping[str, str],
    outputs: Mapping[str, Any],
    how: Measuring,
    instances: NDArray[np.uint16] | None = None,
) -> dict[str, Any]:
    """Measures one image, and returns its properties, its slices and its statistics (`measured`).

    Args:
        name: name of the image.
        shape: height and width of the image in pixels.
        bit_depth: bits per value of the image, 8 or 16.
        columns: the image's value of each declared column of the manifest, by name.
        outputs: outputs of the signature `evaluate` for the image: `confusion`, `probabilities_bytes`,
            `ground_truth_bytes` and, of models with an operating point, `predicted_bytes`.
        how: how images are measured.
        instances: number of each pixel's object in the ground truth, [H, W], where the masks number objects.
    """
    confusion = np.asarray(outputs["confusion"], np.float64).reshape(how.class_count, how.class_count)
    maps = [decode(png)[..., 0] for png in np.asarray(outputs["probabilities_bytes"], object).ravel()]
    ground_truth = decode(np.asarray(outputs["ground_truth_bytes"], object).item())[..., 0]
    probabilities = maps[0][..., None] if len(maps) == 1 else np.stack(maps, -1)
    measured = measurement.measure(
        confusion,
        probabilities,
        ground_truth,
        how.ignored,
        how.tolerance,
        how.with_segments,
        how.first,
        predicted_of(outputs),
        instances,
        how.split,
        how.min_size,
    )
    height, width = shape
    total = confusion.sum()
    # Without a background everything is foreground: its share says nothing and makes no slices.
    foreground = float(confusion[1:].sum() / total) if total and how.first else float("nan")
    return {
        "name": name,
        "height": height,
        "width": width,
        "bit_depth": bit_depth,
        "foreground": foreground,
        "slices": slices_of(height, width, bit_depth, foreground, columns),
        "measured": measured.to_json(),
    }


def predicted_of(outputs: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """The mask of a model with an operating point, [H, W], from what its `evaluate` returns for an image.

    None: the class of a pixel is the most likely one.
    """
    if "predicted_bytes" not in outputs:
        return None
    return decode(np.asarray(outputs["predicted_bytes"], object).item())[..., 0]
