"""The base class of all sections of settings, and the sections that several packages need.

Every other section is declared in the package that uses its settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from typing_extensions import is_typeddict  # that of typing knows only its own

S = TypeVar("S", bound="Section")
Decoder = Literal["paper", "published"]
NormalizationLayer = Literal["none", "batch"]
Filters = Annotated[int, Field(ge=1, le=1024)]
Dropout = Annotated[float, Field(ge=0, le=0.99)]

# A convolution of 8192 to 8192 channels has 0.6 billion weights, 2.4 GB of them; the paper's widest has 1024.
MOST_FILTERS = 8192


class Section(BaseModel):
    """A group of settings: types, defaults, bounds and descriptions. Its objects are immutable.

    The first word of the docstring, before a colon, is the heading under which the settings are shown.
    A run's configuration inherits from all sections, the settings of one component from a few of them. Each
    number has a lower and an upper bound; what else cannot work together is told by `conflicts`.
    """

    # Most sections are bases alone and need no validator: each is built when it is first used.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    @classmethod
    def of(cls: type[S], settings: Section, **more: Any) -> S:
        """Copies the fields that this class declares from other settings.

        Args:
            settings: the settings to copy from.
            more: values of further fields, or values that replace those of `settings`.
        """
        names = [name for name in cls.model_fields if name not in more and hasattr(settings, name)]
        return cls(**{name: getattr(settings, name) for name in names}, **more)

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence for each contradiction between settings of this class.

        A class that overrides it tells only of its own: those of its bases are asked, too.
        """
        yield from ()

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        # Pydantic reads true as 1.
        kinds = _leaves(cls.model_fields[str(info.field_name)].annotation)
        if kinds & {int, float} and bool not in kinds and _holds_truth(value):
            raise ValueError("must be a number, not true or false")
        return value

    @model_validator(mode="after")
    def _nothing_contradicts(self: S) -> S:
        own = [vars(base)["conflicts"] for base in type(self).__mro__ if "conflicts" in vars(base)]
        if found := [sentence for conflicts in own for sentence in conflicts(self)]:
            raise ValueError("\n".join(found))
        return self


def _leaves(annotation: Any) -> set[Any]:
    """The plain types that a type, or a literal, is made of."""
    parts = list(get_type_hints(annotation).values()) if is_typeddict(annotation) else get_args(annotation)
    if parts:
        return set().union(*map(_leaves, parts))
    return {annotation if isinstance(annotation, type) else type(annotation)}


def _holds_truth(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    return any(map(_holds_truth, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


class Seed(Section):
    """Data: the seed of all random numbers."""

    # Numpy takes 32 bits, and the trials of a search are counted on top.
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Seed of splits, weights, sampling, augmentation and search."
    )


class Levels(Section):
    """Network: the settings that determine the sizes of its input and output, see `unet.tiling.Geometry`."""

    depth: int = Field(4, ge=1, le=6, description="Number of 2x2 poolings.")
    stem_stride: Literal[1, 2] = Field(
        1,
        description="2: the U-Net works at half the resolution, behind a 2x2 convolution of stride 2; the "
        "last convolution works at the full one again.",
    )


class Network(Levels):
    """Network: the layers of the U-Net."""

    decoder: Decoder = Field(
        "paper",
        description="Transposed convolutions that halve the channels, or the published constant width.",
    )
    base_filters: Filters = Field(8, description="Filters of the first convolution; doubled at each level.")
    dropout: Dropout = Field(0.0, description="Dropout at the end of the contracting path.")
    normalization_layer: NormalizationLayer = Field(
        "none",
        description="batch: batch normalization between each convolution and its ReLU; in the exported model "
        "it is part of the convolutions.",
    )
    residual: bool = Field(
        False, description="Add the input of each pair of convolutions, cropped, before its last ReLU."
    )

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence if the network is wider than any computer holds."""
        if (widest := self.base_filters * 2**self.depth) > MOST_FILTERS:
            yield (
                f"base_filters = {self.base_filters} and depth = {self.depth} make {widest} channels: set "
                f"them so that base_filters * 2^depth is at most {MOST_FILTERS}"
            )
