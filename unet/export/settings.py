"""The settings of an exported model."""

from __future__ import annotations

from pydantic import Field

from unet.settings import Section


class ExportSettings(Section):
    """Export: how the exported model predicts."""

    test_time_augmentation: bool = Field(
        False,
        description="The exported model answers with the mean over the eight flips and quarter turns: eight "
        "times the work.",
    )
    serving_memory: float = Field(
        1.5,
        gt=0,
        description="Gigabytes the exported model may take for the tile at work; larger tiles are faster.",
    )
    serving_max_pixels: int = Field(
        10**8,
        gt=0,
        le=10**12,
        description="Largest image that the exported model decodes: others are refused.",
    )
