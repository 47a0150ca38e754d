"""The settings of an exported model."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from unet.settings import Section

ARGMAX = "argmax"
_BOUND = re.compile(r"(precision|recall)>=0?\.(?=0*[1-9])[0-9]+", re.ASCII)


class ExportSettings(Section):
    """Export: how the exported model predicts."""

    test_time_augmentation: bool = Field(
        False,
        description="The exported model answers with the mean over the eight flips and quarter turns: eight "
        "times the work.",
    )
    serving_memory: float = Field(
        1.5,
        ge=0.01,
        le=10**5,
        description="Gigabytes the exported model may take for the tile at work; larger tiles are faster.",
    )
    serving_max_pixels: int = Field(
        10**8,
        gt=0,
        le=10**12,
        description="Largest image that the exported model decodes: others are refused.",
    )
    operating_point: str = Field(
        ARGMAX,
        description="How a pixel's class follows from its probabilities: argmax, the likeliest; dice, for "
        "the best mean Dice on the eval images, by a factor for each class or, of a background and one "
        "class, by a threshold; of these two also precision>=0.9 or recall>=0.9, with any number between 0 "
        "and 1.",
    )

    @field_validator("operating_point", mode="before")
    @classmethod
    def _point_is_known(cls, value: Any) -> Any:
        text = str(value).replace(" ", "")
        if text not in (ARGMAX, "dice") and not _BOUND.fullmatch(text):
            raise ValueError(
                "must be argmax, dice, precision>=X or recall>=X, with X above 0 and below 1, such as "
                "precision>=0.9"
            )
        return text
