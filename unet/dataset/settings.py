"""The settings of the data: where they are, what their values mean, and how they are split."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from unet.dataset.sample import SPLITS, Sample
from unet.masks.labels import INSTANCES, Legend, Value, is_colour
from unet.settings import Section, Seed

CHECKOUT = Path(__file__).resolve().parent.parent.parent


class Folder(Section):
    """Data: where they are."""

    data: Path = Field(
        CHECKOUT / "data" / "nuclei",
        description="Folder with images/ and masks/; docs/how-to/your-own-data.md shows the other layouts.",
    )

    @field_validator("data", mode="before")
    @classmethod
    def _data_expands(cls, value: Any) -> Any:
        return Path(value).expanduser() if isinstance(value, str) else value


class Values(Section):
    """Data: what the values of pixels mean."""

    classes: dict[str, int | str] = Field(
        {"background": 0, "foreground": 255},
        description='Name of each class and its value in the masks: a number, a colour "#rrggbb", or '
        '"instances" (any value that is not declared, each an object); the first one is the background.',
    )
    ignore: int | str | None = Field(
        None, description="Value or colour in the masks of pixels that count in no loss, metric or statistic."
    )
    value_range: tuple[float, float] | None = Field(
        None, description="Black and white of images of floating-point, signed or 32-bit values."
    )

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
        if len({is_colour(v) for v in value.values()}) > 1:
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

    @model_validator(mode="after")
    def _values_fit_together(self) -> Values:
        if self.ignore is not None:
            if self.ignore in self.classes.values():
                raise ValueError(f"ignore = {self.ignore!r} is the value of a class")
            if is_colour(self.ignore) != all(is_colour(v) for v in self.classes.values()):
                raise ValueError("ignore and the values of classes must all be numbers, or all be colours")
        if self.value_range and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"value_range = {list(self.value_range)} must be a lower and a higher value")
        return self


class Data(Section):
    """Data: how files are read, grouped and split."""

    mask_values: Literal["exact", "nearest"] = Field(
        "exact", description="nearest: each pixel is of the class of the nearest value, for blurred masks."
    )
    mask_suffix: str = Field(
        "_mask", description="What a mask's name has after its image's, where the two are not the same."
    )
    channels: Literal["auto", 1, 3] = Field(
        "auto", description="Channels the network sees; auto: 3 if any image is in colour, else 1."
    )
    block: int = Field(0, ge=0, description="Consecutive slices that form one group; 0: each image is one.")
    group_pattern: str | None = Field(
        None, description="Regular expression; images for whose names its match is the same are a group."
    )
    span_window: int = Field(
        0, ge=0, description="Newest spans to train on, where data holds {SPAN}; 0: all of them."
    )
    shares: dict[str, float] = Field(
        {"train": 0.6, "eval": 0.2, "test": 0.2}, description="Share of the images in each split."
    )
    fold: int | None = Field(
        None, ge=0, description="Cross-validation: the fold that becomes the test split."
    )
    folds: int = Field(
        5, ge=3, description="Folds of cross-validation, where no manifest says which image is in which."
    )
    max_pixels: int = Field(10**9, gt=0, description="Largest image that is read.")
    serving_data: Path | None = Field(
        None, description="Folder of images as the model gets them in service, to be compared with data."
    )

    @field_validator("serving_data", mode="before")
    @classmethod
    def _serving_data_expands(cls, value: Any) -> Any:
        return Path(value).expanduser() if isinstance(value, str) else value

    @field_validator("group_pattern")
    @classmethod
    def _pattern_compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        return value

    @field_validator("shares")
    @classmethod
    def _shares_add_up(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) != set(SPLITS) or not all(v > 0 for v in value.values()):
            raise ValueError("a share above 0 is needed for each of train, eval and test")
        total = sum(value.values())
        if math.isclose(total, 1):
            total = 1  # so that shares that were read once stay what they are
        return {split: value[split] / total for split in SPLITS}


class Scaling(Section):
    """Data: the images as the network sees them."""

    scale: float = Field(
        1.0, ge=0.05, le=4, description="Size of the images that the network sees, as a part of their own."
    )
    normalise: Literal["dataset", "image"] = Field(
        "image", description="Mean 0 and deviation 1 over each image by itself, or over all training images."
    )


class Drift(Section):
    """Data: how far the images may be from those that the model was made for."""

    domains: dict[str, tuple[float, float]] = Field(
        {}, description="Lowest and highest value allowed of a statistic of each image, such as its mean."
    )
    max_drift: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Largest Jensen-Shannon divergence of a statistic from that of the last blessed model's "
        "data, and from that of serving_data; small sets are allowed more.",
    )
    on_drift: Literal["stop", "warn"] = Field("stop", description="What larger drift or skew does.")

    @model_validator(mode="after")
    def _domains_have_bounds(self) -> Drift:
        if wrong := [name for name, (low, high) in self.domains.items() if not low <= high]:
            raise ValueError(f"domains: {wrong[0]} must have a lower and a higher bound")
        return self


class ReadSettings(Values, Data, Seed):
    """How a data folder is read: settings, and what follows from others.

    Attributes:
        sigma: of the border term in pixels of the files, 0 for none.
        columns: further columns of the manifest that each sample keeps; "group" is none of them.
        splits_file: which group was in which split in earlier runs.
        skip: names of samples to leave out; problems of other single files pass then. None: any stops.
    """

    sigma: float
    columns: list[str]
    splits_file: str
    skip: list[str] | None = None

    @property
    def legend(self) -> Legend:
        """What values in the masks mean."""
        return Legend(self.classes, self.ignore, self.mask_values)


def _canonical(value: Value) -> Value:
    """A value of a mask as a number, or a colour in small letters."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, int):
        if not 0 <= value <= 65535:
            raise ValueError("values must lie between 0 and 65535")
        return value
    if value != INSTANCES and not is_colour(value):
        raise ValueError(f'{value!r} is neither a number, nor a colour "#rrggbb", nor "instances"')
    return value.lower()


def _only(sample: Sample, declared: Sequence[str]) -> tuple[tuple[str, str], ...]:
    values = dict(sample.columns)
    return tuple((name, values.get(name, "")) for name in declared)
