"""Which class is the background: what metrics, losses and pictures leave out.

By default it is the first class. Where the names of the classes say otherwise, or say nothing, the user is
asked: a useless model reaches a high score in a class that fills most of each image.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Literal

from unet.masks.labels import Value

Background = Literal["auto", "first", "none"]
# "Background" as people and tools call it, in a few languages; only letters, in small ones.
_NAMES = {
    *("background", "back", "backgrnd", "backgr", "bkg", "bkgd", "bgd", "bg", "nothing", "none", "empty"),
    *("hintergrund", "fond", "fondo", "sfondo", "fundo", "achtergrond", "bakgrund", "baggrund", "arkaplan"),
    *("фон", "背景", "배경"),
}
# What tools call pixels that nobody gave a class.
_VOID_NAMES = {"void", "ignore", "ignored", "unlabeled", "unlabelled", "dontcare"}
_BARE = re.compile("[A-Za-z0-9_-]+")


def is_background(name: str) -> bool:
    """Whether the name of a class says that it is the background."""
    return _letters(name) in _NAMES


def is_void(name: str) -> bool:
    """Whether the name of a class says that its pixels are of no class."""
    return _letters(name) in _VOID_NAMES


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalpha())


def background_first(classes: Mapping[str, Value]) -> dict[str, Value]:
    """The classes with those that are called background before the others."""
    return {name: classes[name] for name in sorted(classes, key=lambda name: not is_background(name))}


def question(classes: Mapping[str, Value]) -> tuple[str, str] | None:
    """What is unclear about leaving out the first of these classes, and what to do; None if it is clear."""
    first, *others = classes
    if is_background(first):
        return None
    if any(map(is_background, others)):
        return (
            f"the first class is the background, which metrics leave out, but that is {first!r} here",
            "put the background first: "
            f"--set {shlex.quote(f'classes={_written(background_first(classes))}')}",
        )
    if len(classes) > 2:
        return (
            f"no class is called background, and metrics would leave out the first one, {first!r}",
            "if it is only what lies between the others, --set background=first; if all classes count, "
            "--set background=none",
        )
    return None


def first_foreground(background: Background) -> int:
    """Index of the first class that counts: 1 after a background, 0 without one."""
    return 0 if background == "none" else 1


def foreground(classes: Sequence[str], background: Background) -> list[str]:
    """Names of the classes that count: all without a background, else all but the first."""
    return list(classes)[first_foreground(background) :]


def _written(classes: Mapping[str, Value]) -> str:
    """Classes as a TOML value."""
    pairs = []
    for name, value in classes.items():
        key = name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)
        pairs.append(f"{key}={json.dumps(value)}")
    return "{" + ", ".join(pairs) + "}"
