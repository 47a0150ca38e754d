"""The settings of the data: their folder, how they are read, grouped and split, and allowed drift."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from unet.dataset.sample import SPLITS, split_named
from unet.images.channels import MOST_CHANNELS
from unet.images.settings import Channels
from unet.masks.labels import LabelMap
from unet.masks.settings import Values
from unet.settings import Section, Seed

CHECKOUT = Path(__file__).resolve().parent.parent.parent
BUNDLED = CHECKOUT / "data" / "nuclei"  # the images of a checkout
LEAST_SHARE = 0.001  # of a split; a smaller one has no image in any data set that this is made for
# Bounds of a statistic of an image; far from the end of float32, in which they are stored.
Statistic = Annotated[float, Field(ge=-1e15, le=1e15)]


class Folder(Section):
    """Data: the folder of the data."""

    data: Path = Field(
        BUNDLED,
        description="Folder with images/ and masks/; docs/how-to/your-own-data.md shows the other layouts.",
    )

    @field_validator("data")
    @classmethod
    def _data_expands(cls, value: Path) -> Path:
        return Path(os.path.expanduser(value))  # as it is where there is no such user


class Data(Section):
    """Data: how files are read, grouped and split."""

    mask_values: Literal["exact", "nearest"] = Field(
        "exact", description="nearest: each pixel is of the class of the nearest value, for blurred masks."
    )
    mask_suffix: str = Field(
        "_mask", description="What a mask's name has after its image's, where the two are not the same."
    )
    pairs: tuple[str, str] | None = Field(
        None,
        description='Patterns of the names of images and of their masks, such as ["images/img_*", '
        '"masks/mask_*"]; * stands for the same text.',
    )
    channels: Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_CHANNELS)] = Field(
        "auto",
        description="Number of channels that the network sees: 1 for grey, 3 for RGB, others only with "
        "use_channels; auto: that of the images, 3 if any is in colour.",
    )
    slices_per_group: int = Field(
        0, ge=0, le=10**6, description="Consecutive slices that form one group; 0: each image is one."
    )
    group_pattern: str | None = Field(
        None, description="Regular expression; images for whose names its match is the same are a group."
    )
    span_window: int = Field(
        0, ge=0, le=10**6, description="Newest spans to train on, where data holds {SPAN}; 0: all of them."
    )
    shares: dict[str, Annotated[float, Field(le=10**9)]] = Field(
        {"train": 0.6, "eval": 0.2, "test": 0.2}, description="Share of the images in each split."
    )
    fold: int | None = Field(
        None, ge=0, le=10**6, description="Cross-validation: the fold that becomes the test split."
    )
    folds: int = Field(
        5,
        ge=3,
        le=1000,
        description="Folds of cross-validation, where no manifest says which image is in which.",
    )
    max_pixels: int = Field(10**9, gt=0, le=10**12, description="Largest image that is read.")
    serving_data: Path | None = Field(
        None, description="Folder of images as the model gets them in service, to be compared with data."
    )

    @field_validator("channels", mode="before")
    @classmethod
    def _channels_are_counted(cls, value: Any) -> Any:
        if value != "auto" and not (type(value) is int and 1 <= value <= MOST_CHANNELS):
            raise ValueError(f"must be auto, or a number from 1 to {MOST_CHANNELS}")
        return value

    @field_validator("serving_data")
    @classmethod
    def _serving_data_expands(cls, value: Path | None) -> Path | None:
        return Path(os.path.expanduser(value)) if value else None

    @field_validator("pairs")
    @classmethod
    def _patterns_pair(cls, value: tuple[str, str] | None) -> tuple[str, str] | None:
        for pattern in value or ():
            if pattern.count("*") != 1 or pattern.startswith("/") or ".." in pattern.split("/"):
                raise ValueError(f"{pattern!r} must be a path below the data folder, with one *")
        if value and value[0] == value[1]:
            raise ValueError("images and masks cannot have the same pattern")
        return value

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
        value = {split_named(name) or name: share for name, share in value.items()}
        if set(value) != set(SPLITS) or not all(v > 0 for v in value.values()):
            raise ValueError("a share above 0 is needed for each of train, eval and test")
        total = sum(value.values())
        if small := [name for name, share in value.items() if share < LEAST_SHARE * total]:
            raise ValueError(
                f"{small[0]} gets {value[small[0]] / total:g} of the images, which is none: a split needs at "
                f"least {LEAST_SHARE}"
            )
        if math.isclose(total, 1):
            total = 1  # keeps shares exactly as they are when they are validated again
        return {split: value[split] / total for split in SPLITS}


class Drift(Section):
    """Data: the allowed drift of images from the data of the last blessed model."""

    domains: dict[str, tuple[Statistic, Statistic]] = Field(
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

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence for each domain that no value lies in."""
        for name, (low, high) in self.domains.items():
            if not low <= high:
                yield f"domains: {name} must have a lower and a higher bound; received {[low, high]}"


class ReadSettings(Values, Channels, Data, Seed):
    """Settings for reading a data folder, and values derived from other settings.

    Attributes:
        sigma: sigma of the border term, in pixels of the files; 0: no border term.
        columns: further columns of the manifest that samples keep, without "group".
        splits_file: path of the file with the remembered split of each group.
        skip: names of samples to leave out; problems of other single files are then ignored. None: any
            problem is an error.
    """

    sigma: float
    columns: list[str]
    splits_file: str
    skip: list[str] | None = None

    @property
    def label_map(self) -> LabelMap:
        """The meaning of the values in masks."""
        return LabelMap(self.classes, self.ignore, self.mask_values)
