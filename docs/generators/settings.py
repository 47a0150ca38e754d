"""Documents every setting in Markdown tables, from the model of the configuration."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pipeline.config import profile
from pipeline.config.settings import PipelineConfig
from unet.dataset.settings import CHECKOUT

_NAMES = {
    bool: "true, false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    type(None): "nothing",
}


def sections() -> dict[str, list[str]]:
    """Returns the names of the settings by heading: the start of the docstring of their section."""
    found: dict[str, list[str]] = {}
    for section in reversed(PipelineConfig.__mro__):
        declared = vars(section).get("__annotations__", {})
        if names := [name for name in declared if name in PipelineConfig.model_fields]:
            heading = (section.__doc__ or "").partition(":")[0]
            found.setdefault(heading, []).extend(names)
    return found


def type_in_words(annotation: Any) -> str:
    """Describes the type of a setting: `Literal["a", "b"]` becomes "`a`, `b`"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(type_in_words(argument) for argument in arguments)
    if origin is dict:
        key, value = arguments
        keys = type_in_words(key) if get_origin(key) is Literal else "name"
        return f"table: {keys} = {type_in_words(value)}"
    if origin is list:
        return f"list: {type_in_words(arguments[0])}"
    if origin is tuple:
        return f"two of: {type_in_words(arguments[0])}"
    if hasattr(annotation, "__metadata__"):  # Annotated
        return type_in_words(arguments[0])
    return _NAMES.get(annotation, "table")


def default_in_toml(name: str) -> str:
    """Returns the default in the syntax of `--set`; paths of the checkout are relative."""
    value = PipelineConfig.model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, Path):
        return f"`{value.relative_to(CHECKOUT)}`"
    if value is None:
        return "nothing"
    plain = PipelineConfig().model_dump(mode="json")[name]
    return f"`{profile.toml_value(plain)}`"


def markdown() -> str:
    """Returns a section for each heading, with a table of its settings: name, type, default, meaning."""
    lines: list[str] = []
    for heading, names in sections().items():
        lines += [f"## {heading}", "", "| setting | takes | default | meaning |", "|---|---|---|---|"]
        for name in names:
            field = PipelineConfig.model_fields[name]
            takes = type_in_words(field.annotation) + bounds(field.metadata)
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{name}` | {takes} | {default_in_toml(name)} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def bounds(metadata: list[Any]) -> str:
    """Formats pydantic's constraints such as `ge=0, lt=1000` as ", ≥ 0, < 1,000"."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return "".join(
        f", {sign} {getattr(constraint, key):,}"
        for key, sign in signs.items()
        for constraint in metadata
        if getattr(constraint, key, None) is not None
    )
