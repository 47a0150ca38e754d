"""The settings for the meaning of pixel values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, field_validator

from unet.masks.background import Background, first_foreground
from unet.masks.labels import INSTANCES, Value, is_color
from unet.settings import Section

# Far from the end of float32, so that differences and squares of pixels stay finite.
Pixel = Annotated[float, Field(ge=-1e15, le=1e15)]


class Values(Section):
    """Data: the meaning of pixel values."""

    classes: dict[str, int | str] = Field(
        {"background": 0, "foreground": 255},
        description='Name of each class and its value in the masks: a number, a colour "#rrggbb", or '
        '"instances" (any value that is not declared, each an object); the first one is the background.',
    )
    background: Background = Field(
        "auto",
        description="What metrics, legend and overlays leave out: first, the first class; none: every class "
        "counts; auto: the first class, unless the names of the classes make that doubtful.",
    )
    ignore: int | str | None = Field(
        None, description="Value or colour in the masks of pixels that count in no loss, metric or statistic."
    )
    value_range: tuple[Pixel, Pixel] | None = Field(
        None, description="Black and white of images of floating-point, signed or 32-bit values."
    )

    @property
    def first_foreground(self) -> int:
        """Index of the first class that counts: 1 after a background, 0 without one."""
        return first_foreground(self.background)

    @field_validator("classes", mode="before")
    @classmethod
    def _values_have_types(cls, value: Any) -> Any:
        return {name: _typed(v) for name, v in value.items()} if isinstance(value, dict) else value

    @field_validator("ignore", mode="before")
    @classmethod
    def _ignore_has_a_type(cls, value: Any) -> Any:
        return None if value is None else _typed(value)

    @field_validator("classes")
    @classmethod
    def _classes_are_distinct(cls, value: dict[str, Value]) -> dict[str, Value]:
        if len(value) < 2:
            raise ValueError("at least two classes are needed")
        value = {name: _canonical(v) for name, v in value.items()}
        if len(set(value.values())) < len(value):
            raise ValueError("two classes have the same value")
        if len(value) > 255:
            raise ValueError("at most 255 classes are possible: masks are stored with 8 bits")
        if len({is_color(v) for v in value.values()}) > 1:
            raise ValueError('values must be numbers (and "instances"), or all be colours')
        if not all(name and "/" not in name and not name.startswith(".") for name in value):
            raise ValueError("names become parts of file names: they must not hold '/' or start with '.'")
        return value

    @field_validator("ignore")
    @classmethod
    def _ignore_is_a_value(cls, value: Value | None) -> Value | None:
        if value == INSTANCES:
            raise ValueError('must be a number or a colour "#rrggbb"')
        return None if value is None else _canonical(value)

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence for each pair of values that cannot be told apart."""
        if self.ignore is not None:
            if self.ignore in self.classes.values():
                yield f"ignore = {self.ignore!r} is the value of a class"
            if is_color(self.ignore) != all(is_color(v) for v in self.classes.values()):
                yield "ignore and the values of classes must all be numbers, or all be colours"
        if self.value_range and not self.value_range[0] < self.value_range[1]:
            yield f"value_range = {list(self.value_range)} must be a lower and a higher value"


def _typed(value: Any) -> Value:
    """A value as a number or as text; pydantic's own message would list the errors of both types."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise ValueError(f'{value!r} is neither a number, nor a colour "#rrggbb", nor "instances"')
    return value


def _canonical(value: Value) -> Value:
    """The canonical form of a value in masks: a number, or a colour in small letters."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, int):
        if not 0 <= value <= 65535:
            raise ValueError("values must lie between 0 and 65535")
        return value
    if value != INSTANCES and not is_color(value):
        raise ValueError(f'{value!r} is neither a number, nor a colour "#rrggbb", nor "instances"')
    return value.lower()
