"""The settings of the search, and the settings that it may choose besides the learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import TypedDict  # pydantic requires this TypedDict below Python 3.12

from unet.settings import Dropout, Filters, Section
from unet.training.settings import Rate, sum_of_terms

T = TypeVar("T")


def _at_least_two(values: list[T]) -> list[T]:
    if len(set(values)) < 2 or len(set(values)) < len(values):
        raise ValueError("two different values or more are needed, each of them once")
    return values


class TuneOver(TypedDict, total=False):
    """Values to choose from, by setting; "cross_entropy+dice" is a loss of two terms, each of weight 1."""

    base_filters: Annotated[list[Filters], AfterValidator(_at_least_two)]
    dropout: Annotated[list[Dropout], AfterValidator(_at_least_two)]
    loss: Annotated[list[Annotated[str, AfterValidator(sum_of_terms)]], AfterValidator(_at_least_two)]


def _known(value: Any) -> Any:
    known = list(TuneOver.__annotations__)
    if isinstance(value, dict) and (strange := [name for name in value if name not in known]):
        raise ValueError(f"{strange[0]!r} cannot be searched, only {', '.join(known)}")
    return value


SearchSpace = Annotated[TuneOver, BeforeValidator(_known)]


class TuneSettings(Section):
    """Tuning: the searched settings, the method and the length of the search."""

    tune: Literal["always", "first", "never"] = Field(
        "first",
        description="Search a learning rate and what tune_over says; first: only until a model was pushed.",
    )
    tune_search: Literal["random", "bayesian", "hyperband"] = Field(
        "random",
        description="How: at random; where a Gaussian process expects most; or many short trials, of which "
        "the best are repeated with more steps.",
    )
    tune_over: SearchSpace = Field(
        TuneOver(),
        description="What else is searched: values for base_filters, dropout or loss, such as "
        '{ base_filters = [8, 16], loss = ["cross_entropy", "cross_entropy+dice"] }.',
    )
    tune_trials: int = Field(
        4,
        ge=1,
        le=1000,
        description="Trials; with hyperband what its trials may cost together: 4, 10 or 17 are used.",
    )
    tune_steps: int = Field(
        60, ge=1, le=10**8, description="Training steps of a trial, with hyperband of the longest."
    )
    tune_minutes: float = Field(
        10.0,
        ge=0.001,
        le=525600,
        description="Longest training of a trial; what it has learned by then is scored.",
    )
    tune_range: tuple[Rate, Rate] = Field((5e-4, 5e-3), description="Lowest and highest learning rate.")

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence for each reason why nothing could be searched."""
        if not self.tune_range[0] < self.tune_range[1]:
            yield f"tune_range = {list(self.tune_range)} must be a lower and a higher learning rate"
        if self.tune_over and self.tune == "never":
            yield f'tune = "never" searches nothing: leave out tune_over = {self.tune_over}'
        if self.tune_search == "hyperband" and self.tune_trials < 4:
            yield f"tune_trials = {self.tune_trials}: the least that hyperband can do costs 4 trials"
