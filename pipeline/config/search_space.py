"""A loss as the configuration states it, and what a search may choose besides the learning rate."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

Term = Literal["cross_entropy", "dice", "focal", "tversky"]
T = TypeVar("T")


def _sum_of_terms(value: str) -> str:
    terms = value.split("+")
    if strange := [term for term in terms if term not in get_args(Term)]:
        raise ValueError(
            f"unknown term {strange[0]!r}: a loss is one of {', '.join(get_args(Term))}, or a sum: a+b"
        )
    if len(set(terms)) < len(terms):
        raise ValueError("a term is there twice")
    return value


def _weights(value: Any) -> Any:
    return dict.fromkeys(_sum_of_terms(value).split("+"), 1.0) if isinstance(value, str) else value


Loss = Annotated[dict[Term, float], BeforeValidator(_weights)]


def _at_least_two(values: list[T]) -> list[T]:
    if len(set(values)) < 2 or len(set(values)) < len(values):
        raise ValueError("two different values or more are needed, each of them once")
    return values


class TuneOver(TypedDict, total=False):
    """Values to choose from, by setting; "cross_entropy+dice" is a loss of two terms, each of weight 1."""

    base_filters: Annotated[list[Annotated[int, Field(ge=1)]], AfterValidator(_at_least_two)]
    dropout: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], AfterValidator(_at_least_two)]
    loss: Annotated[list[Annotated[str, AfterValidator(_sum_of_terms)]], AfterValidator(_at_least_two)]


def _known(value: Any) -> Any:
    known = list(TuneOver.__annotations__)
    if isinstance(value, dict) and (strange := [name for name in value if name not in known]):
        raise ValueError(f"{strange[0]!r} cannot be searched, only {', '.join(known)}")
    return value


SearchSpace = Annotated[TuneOver, BeforeValidator(_known)]
