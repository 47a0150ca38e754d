"""The label map: which values in masks stand for which classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Index, in stored masks, of pixels that losses, metrics and statistics leave out.
IGNORE = 255
# Value of a class of numbered objects: every value that is not declared belongs to it, each as one object.
INSTANCES = "instances"
_COLOR = re.compile("#[0-9a-fA-F]{6}")

Value = int | str


@dataclass(frozen=True)
class LabelMap:
    """The meaning of the values in masks.

    Attributes:
        classes: value of each class by name: a number from 0 to 65535, a colour "#rrggbb", or "instances";
            the position of a class is its index.
        ignore: value of pixels that losses, metrics and statistics leave out, or None.
        mask_values: "exact", or "nearest": each pixel gets the class whose value or colour is nearest, for
            masks that JPEG or anti-aliasing blurred.
    """

    classes: Mapping[str, Value]
    ignore: Value | None = None
    mask_values: str = "exact"

    @property
    def in_color(self) -> bool:
        """Whether the classes are colours; numbers and colours do not mix."""
        return any(is_color(value) for value in self.classes.values())


def is_color(value: object) -> bool:
    """Whether a value is written as a colour, #rrggbb."""
    return isinstance(value, str) and bool(_COLOR.fullmatch(value))


def served_values(classes: Mapping[str, Value]) -> list[int] | list[list[int]]:
    """Value of each class in predicted masks: a grey value, or red, green and blue.

    A class of "instances" gets the highest value up to 255 that no other class has: the network predicts
    classes, not objects.
    """
    values = list(classes.values())
    if any(is_color(value) for value in values):
        return [list(bytes.fromhex(str(value)[1:])) for value in values]
    free = next(value for value in range(255, -1, -1) if value not in values)
    return [free if value == INSTANCES else int(value) for value in values]
