"""The settings of the engine that runs the Beam pipelines of the components."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict  # pydantic requires this TypedDict below Python 3.12

from pipeline.engine.options import IN_MEMORY, Value, refusal
from unet.settings import Section


class Beam(TypedDict):
    """A runner of Beam, and Beam's own pipeline options by name."""

    runner: str
    options: dict[str, Value]


def _can_be_tried(value: Any) -> Any:
    if not isinstance(value, dict) or not value.keys() <= Beam.__annotations__.keys():
        raise ValueError("a table of runner and options is needed")
    runner, options = value.get("runner", IN_MEMORY), value.get("options", {})
    if not isinstance(runner, str) or not isinstance(options, dict):
        raise ValueError("runner is a name, options is a table")
    beam = Beam(runner=runner, options={name: _plain(name, one) for name, one in options.items()})
    if why := refusal(beam["runner"], beam["options"]):
        raise ValueError(why)
    return beam


def _plain(name: str, value: Any) -> Value:
    """The value of an option as a command line has it; of a flag, whether it is given."""
    if isinstance(value, list):
        return [str(_plain(name, one)) for one in value]
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"{name} takes a text, a number, true or false, or a list of them")


class Engine(Section):
    """Engine: where the components that use Beam work; it changes no result."""

    beam: Annotated[Beam, BeforeValidator(_can_be_tried)] = Field(
        Beam(runner=IN_MEMORY, options={}),
        description="Runner of Beam, by default in this process and its memory, and Beam's own options, "
        'such as { options = { direct_running_mode = "multi_processing", direct_num_workers = 2 } }.',
    )
