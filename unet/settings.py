"""The base class of all sections of settings, and the two sections that several packages need.

Every other section is declared in the package that uses its settings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

S = TypeVar("S", bound="Section")
Decoder = Literal["paper", "published"]
Filters = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A group of settings: types, defaults, bounds and descriptions. Its objects are immutable.

    The first word of the docstring, before a colon, is the heading under which the settings are shown.
    A run's configuration inherits from all sections, the settings of one component from a few of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def of(cls: type[S], settings: Section, **more: Any) -> S:
        """Copies the fields that this class declares from other settings.

        Args:
            settings: the settings to copy from.
            more: values of further fields, or values that replace those of `settings`.
        """
        names = [name for name in cls.model_fields if name not in more and hasattr(settings, name)]
        return cls(**{name: getattr(settings, name) for name in names}, **more)


class Seed(Section):
    """Data: the seed of all random numbers."""

    # Numpy takes 32 bits, and the trials of a search are counted on top.
    seed: int = Field(
        0, ge=0, lt=2**31, description="Seed of splits, weights, sampling, augmentation and search."
    )


class Network(Section):
    """Network: the layers of the U-Net."""

    decoder: Decoder = Field(
        "paper",
        description="Transposed convolutions that halve the channels, or the published constant width.",
    )
    base_filters: Filters = Field(8, description="Filters of the first convolution; doubled at each level.")
    depth: int = Field(4, ge=1, le=6, description="Number of 2x2 poolings.")
    dropout: Dropout = Field(0.0, description="Dropout at the end of the contracting path.")
