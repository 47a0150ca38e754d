"""The settings of the network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from unet.settings import Section

Decoder = Literal["paper", "published"]
Filters = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class Network(Section):
    """Network: its layers."""

    decoder: Decoder = Field(
        "paper",
        description="Transposed convolutions that halve the channels, or the published constant width.",
    )
    base_filters: Filters = Field(8, description="Filters of the first convolution; doubled at each level.")
    depth: int = Field(4, ge=1, le=6, description="Number of 2x2 poolings.")
    dropout: Dropout = Field(0.0, description="Dropout at the end of the contracting path.")
