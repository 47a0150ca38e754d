"""The settings of the search, and what it may choose besides the learning rate."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from typing_extensions import TypedDict  # below Python 3.12 pydantic takes no other

from unet.settings import Dropout, Filters, Section
from unet.training.settings import sum_of_terms

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
    """Tuning: what is searched, how, and for how long."""

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
        4, ge=1, description="Trials; with hyperband what its trials may cost together: 4, 10 or 17 are used."
    )
    tune_steps: int = Field(60, ge=1, description="Training steps of a trial, with hyperband of the longest.")
    tune_minutes: float = Field(
        10.0, gt=0, description="Longest training of a trial; what it has learned by then is scored."
    )
    tune_range: tuple[float, float] = Field((5e-4, 5e-3), description="Lowest and highest learning rate.")

    @model_validator(mode="after")
    def _search_is_possible(self) -> TuneSettings:
        if not 0 < self.tune_range[0] < self.tune_range[1]:
            raise ValueError(
                f"tune_range = {list(self.tune_range)} must be a lower and a higher learning rate"
            )
        if self.tune_over and self.tune == "never":
            raise ValueError(f'tune = "never" searches nothing: leave out tune_over = {self.tune_over}')
        if self.tune_search == "hyperband" and self.tune_trials < 4:
            raise ValueError(
                f"tune_trials = {self.tune_trials}: the least that hyperband can do costs 4 trials"
            )
        return self
