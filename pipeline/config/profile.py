"""Reads and writes configurations: TOML profiles, `--set KEY=VALUE` and the output of `--print-config`."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.settings import PipelineConfig
from unet.masks.background import question

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROFILES = Path(__file__).resolve().parent / "profiles"


class ConfigError(ValueError):
    """The configuration is invalid; the message says what was received and what is possible."""


def profile_names() -> list[str]:
    """Lists the names of the profiles that come with the project."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load(profile: str = "default", overrides: Mapping[str, Any] | None = None) -> PipelineConfig:
    """Reads a profile and applies overrides.

    Args:
        profile: name of a profile of the project, or path of a TOML file.
        overrides: values by key that replace those of the profile.

    Raises:
        ConfigError: the profile does not exist, is not TOML, names an unknown key or holds a bad value.
    """
    path = PROFILES / f"{profile}.toml"
    if profile not in profile_names():
        path = Path(profile)
        if not path.is_file():
            raise ConfigError(
                f"there is no profile {profile!r}: give one of {', '.join(profile_names())}, or a TOML file"
            )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark before it
    except (RecursionError, ValueError) as error:  # of TOML, of UTF-8, or a number of thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    if isinstance(values.get("data"), str) and path.parent != PROFILES and not _holds_nul(values["data"]):
        values["data"] = path.parent / os.path.expanduser(values["data"])
    source = f"{path} and --set" if overrides else str(path)
    return validated({**values, **(overrides or {})}, source)


def load_with_doubt(
    profile: str, overrides: Mapping[str, Any]
) -> tuple[PipelineConfig, tuple[str, str] | None]:
    """Reads a configuration as `load` does; a doubt about the background alone stops nothing.

    Returns:
        The configuration, with the first class as the background in doubt, and `question` about the classes.
    """
    try:
        return load(profile, overrides), None
    except ConfigError:
        if "background" in overrides:
            raise
        try:
            config = load(profile, {**overrides, "background": "first"})
        except ConfigError:
            config = None  # there are other mistakes, and all of them are told
        if config is None or not (doubt := question(config.classes)):
            raise
        return config, doubt


# Former names of settings, which profiles and scripts may still use.
RENAMED = {
    "block": "slices_per_group",
    "elastic": "elastic_sigma",
    "grey": "brightness_contrast",
    "normalise": "normalize",
    "rare": "oversample_rare",
    "symmetries": "test_time_augmentation",
    "warp": "spatial_augment_prob",
    "window": "patch_size",
}


def validated(values: Mapping[str, Any], source: str) -> PipelineConfig:
    """Turns plain values into a `PipelineConfig`, or raises one `ConfigError` that lists every mistake."""
    known = list(PipelineConfig.model_fields)
    mistakes = []
    for key in values:
        if key in RENAMED:
            mistakes.append(f"{key!r} is called {RENAMED[key]!r} now")
        elif key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "see --print-config for all keys"
            mistakes.append(f"unknown key {key!r}: {hint}")
        elif _holds_nul(values[key]):
            mistakes.append(f"{key}: it holds a null character: leave it out")
    values = {k: v for k, v in values.items() if k in known and not _holds_nul(v)}
    try:
        config = PipelineConfig.model_validate(values)
    except ValidationError as error:
        mistakes += _sentences(error)
        # Contradictions are looked for only where each value is possible: leave out what is not.
        if wrong := {str(e["loc"][0]) for e in error.errors() if e["loc"]}:
            mistakes += _contradictions({k: v for k, v in values.items() if k not in wrong}, wrong)
    if mistakes:
        raise ConfigError("\n".join([f"{source}:", *(f"  {m}" for m in mistakes)]))
    return config


def _holds_nul(value: Any) -> bool:
    """Whether a character that no path and no file of settings may hold is in a value, or in one within."""
    if isinstance(value, Mapping):
        return _holds_nul([*value, *value.values()])
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str | Path) and "\0" in str(value)


# What pydantic says about bounds, in words of this project.
_BOUNDS = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
}


def _sentences(error: ValidationError) -> list[str]:
    """One sentence for each mistake, with the setting and the value."""
    found = []
    for e in error.errors():
        where = ".".join(str(part) for part in e["loc"])
        message = re.sub("^Input should be", "must be", e["msg"].removeprefix("Value error, "))
        if e["type"] == "secret":
            found.append(f"{where}: {message}")
            continue
        if e["type"] in _BOUNDS:
            message = _BOUNDS[e["type"]].format(**e.get("ctx", {}))
        found += [f"{where}: {message}; received {_short(e['input'])}"] if where else message.split("\n")
    return found


def _contradictions(values: Mapping[str, Any], wrong: set[str]) -> list[str]:
    """The contradictions between possible values; none that tells of a setting whose own value is wrong."""
    names = re.compile(rf"\b({'|'.join(sorted(wrong))})\b")
    try:
        PipelineConfig.model_validate(values)
    except ValidationError as error:
        return [sentence for sentence in _sentences(error) if not names.search(sentence)]
    return []


def _short(value: Any, most: int = 60) -> str:
    """A value as it was written, without the middle of a long one."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 10]}...{text[-7:]}"


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Reads the `key=value` words of the command line; a value is TOML, or else a plain string.

    Raises:
        ConfigError: a word has no `=`.
    """
    overrides = {}
    for word in assignments:
        key, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"--set {word}: expected KEY=VALUE")
        try:
            found = tomllib.loads(f"value = {text}")
        except (RecursionError, ValueError):  # of TOML, or a number of thousands of digits
            found = {}
        # After a line break there may be other keys: then the text is no value.
        overrides[key.strip()] = found["value"] if list(found) == ["value"] else text
    return overrides


def to_toml(config: PipelineConfig) -> str:
    """Writes the whole configuration as TOML, with the meaning of each key; `--profile FILE` reads it."""
    lines = []
    for key, field in PipelineConfig.model_fields.items():
        value = config.model_dump(mode="json")[key]
        text = f"{key} = {toml_value(value)}" if value is not None else f"# {key} ="
        lines.append(f"# {field.description}\n{text}\n")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """Writes a value of a setting as TOML, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # But for one character that only TOML escapes, a JSON string is a TOML basic string.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml_value(str(k))} = {toml_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return repr(value)
