"""The settings of the channels of images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from unet.images.channels import MOST_CHANNELS
from unet.settings import Section

LAST_CHANNEL = 65535  # a TIFF counts the samples of a pixel in 16 bits


class Channels(Section):
    """Data: the channels of images."""

    use_channels: Literal["all"] | list[Annotated[int, Field(ge=1, le=LAST_CHANNEL)]] | None = Field(
        None,
        description="Numbers, from 1, of the channels of each image that the network sees, in this order; "
        "all: every one. Images of other channels than grey or RGB need it.",
    )

    @field_validator("use_channels", mode="before")
    @classmethod
    def _channels_are_numbers(cls, value: Any) -> Any:
        numbers = isinstance(value, list) and all(type(n) is int and 0 < n <= LAST_CHANNEL for n in value)
        if not (value is None or value == "all" or numbers):
            raise ValueError("must be all, or a list of numbers of channels from 1, such as [1, 2]")
        return value

    @field_validator("use_channels")
    @classmethod
    def _channels_are_distinct(cls, value: list[int] | str | None) -> list[int] | str | None:
        if isinstance(value, list):
            if not value or len(value) > MOST_CHANNELS:
                raise ValueError(f"choose at least one channel, and at most {MOST_CHANNELS}")
            if len(set(value)) < len(value):
                raise ValueError("a channel is there twice")
        return value
