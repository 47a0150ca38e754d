"""What counts as an object of a predicted mask. Needs the standard library alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectRule:
    """What counts as an object of a predicted mask.

    Attributes:
        split: depth in pixels by which objects are split, see `unet.masks.objects.split_touching`; 0 splits
            none.
        min_size: least number of pixels of an object; smaller ones are left out.
    """

    split: float = 0.0
    min_size: int = 0


CONNECTED_PARTS = ObjectRule()  # each of them is an object
