"""What all sections of settings have in common, and the two sections of no single room.

Every other section is declared in the room where it acts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

S = TypeVar("S", bound="Section")
Decoder = Literal["paper", "published"]
Filters = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Settings that belong together: types, defaults, bounds and what they mean. It cannot be changed.

    The first word of the docstring, before a colon, is the heading under which the settings are shown.
    A run's configuration inherits from all sections, and what one component gets from a few of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def of(cls: type[S], settings: Section, **more: Any) -> S:
        """The part of some settings that this class declares.

        Args:
            settings: have at least the fields of this class.
            more: values that are no settings, or stand in place of theirs.
        """
        names = [name for name in cls.model_fields if name not in more and hasattr(settings, name)]
        return cls(**{name: getattr(settings, name) for name in names}, **more)


class Seed(Section):
    """Data: where all chance comes from."""

    seed: int = Field(0, ge=0, description="Seed of splits, weights, sampling, augmentation and search.")


class Network(Section):
    """Network: its layers."""

    decoder: Decoder = Field(
        "paper",
        description="Transposed convolutions that halve the channels, or the published constant width.",
    )
    base_filters: Filters = Field(8, description="Filters of the first convolution; doubled at each level.")
    depth: int = Field(4, ge=1, le=6, description="Number of 2x2 poolings.")
    dropout: Dropout = Field(0.0, description="Dropout at the end of the contracting path.")
