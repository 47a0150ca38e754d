"""The settings of the network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unet.settings import Section

Decoder = Literal["paper", "published"]


class Network(Section):
    """Network: its layers."""

    decoder: Decoder = Field(
        "paper",
        description="Transposed convolutions that halve the channels, or the published constant width.",
    )
    base_filters: int = Field(8, ge=1, description="Filters of the first convolution; doubled at each level.")
    depth: int = Field(4, ge=1, le=6, description="Number of 2x2 poolings.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout at the end of the contracting path.")
