"""Legal settings at their extremes, odd names, odd sizes: completed, or refused in a sentence.

Hypothesis draws them, by the seed. The bounds are those that the settings declare. Most are tried by `check`,
which takes seconds; a few by a whole run.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import hypothesis
import numpy as np
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from pipeline.config.settings import PipelineConfig
from tools.torture.cases import Case, NotHeld
from tools.torture.kept_promises import in_service, require, spoke, weights
from tools.torture.place import Done, Place, newest_record
from unet.images.reader import encode_png

CHECKS, CHECKS_QUICK, RUNS = 12, 4, 3
IMAGES = 6
SIDES = (1, 2, 3, 15, 16, 17, 31, 75, 76, 77, 97, 131, 255)
NAMES = (
    "two words", " spaces ", "-dash", "--set", "it's", 'a "quote"', "ünïcode", "e\u0301", "細胞 🙂", "a,b;c",
    "$HOME", "100%s", "{name}", "[a]*?", "back\\slash", "line\nbreak", "tab\there", "a..b", "x" * 250,
    "é" * 120, "#", "name.tif", "\u202eright to left", "[bold]", "NUL",
)  # fmt: skip
COSTLY = {"base_filters", "batch_size", "minutes", "patch_size", "steps", "tune_steps", "tune_trials"}
_CLASS_NAME = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b:?")

Names = list[str]
Sizes = list[tuple[int, int]]


def cases(quick: bool) -> Iterator[Case]:
    """Yields the cases of this chapter."""
    count = CHECKS_QUICK if quick else CHECKS
    done = f"{count} drawn, each tried by `check`"
    kinds = {"settings at their extremes": some_settings, "odd names": _names, "odd sizes of images": _sizes}
    for name, strategy in kinds.items():

        def checked(place: Place, draw: random.Random, name: str = name, drawn: Any = strategy) -> str:
            return each(place, draw, drawn(), count, _check)

        yield Case("configurations", name, done, checked)
    for number in range(0 if quick else RUNS):

        def run(place: Place, draw: random.Random) -> str:
            return each(place, draw, some_settings(costly=False), 1, _run)

        yield Case("configurations", "settings at their extremes", f"a whole run, number {number + 1}", run)
    if not quick:

        def odd(place: Place, draw: random.Random) -> str:
            return each(place, draw, _folders(), 1, _run)

        yield Case("configurations", "odd names and sizes", "a whole run on an empty root", odd)


def extremes(name: str, field: FieldInfo, costly: bool = True) -> list[Any]:
    """Returns the values at the ends of what a setting may be; none for a setting of another kind.

    Args:
        name: name of the setting.
        field: its declaration.
        costly: whether to return values, too, with which a run would never end or take all memory.
    """
    kind: Any = field.annotation
    if get_origin(kind) in (Union, types.UnionType):
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if kind is bool:
        return [False, True]
    if kind not in (int, float):
        return []
    found: list[Any] = []
    bounds = {
        key: getattr(m, key) for m in field.metadata for key in ("ge", "gt", "le", "lt") if hasattr(m, key)
    }
    for key, value in bounds.items():
        if key in ("le", "lt") and name in COSTLY and not costly:
            continue
        if key in ("ge", "le"):
            found.append(kind(value))
        else:
            up = key == "gt"
            beside = math.nextafter(value, math.inf if up else -math.inf)
            found.append(value + (1 if up else -1) if kind is int else beside)
    return found


def some_settings(costly: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Draws a few settings, each at an end of what it may be; see `extremes`."""
    values = {name: extremes(name, field, costly) for name, field in PipelineConfig.model_fields.items()}
    if not costly:
        del values["check_resources"], values["serving_max_pixels"]  # none of the images would be served
    pairs = st.sampled_from(sorted((name, end) for name, ends in values.items() for end in map(repr, ends)))
    back = {(name, repr(end)): end for name, ends in values.items() for end in ends}
    drawn = st.lists(pairs, min_size=1, max_size=4, unique_by=lambda pair: pair[0])
    return drawn.map(lambda several: {"settings": {pair[0]: back[pair] for pair in several}})


def _name() -> st.SearchStrategy[str]:
    letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/")
    drawn = st.text(letters, min_size=1, max_size=20)
    names = st.one_of(st.sampled_from(NAMES), drawn)
    return names.filter(lambda name: name.strip(". ") != "" and len(name.encode()) < 251)


def _names() -> st.SearchStrategy[dict[str, Any]]:
    """Draws names of images, of the folder of data and of the root."""
    images = st.lists(_name(), min_size=IMAGES, max_size=IMAGES, unique=True)
    return st.fixed_dictionaries({"images": images, "folder": _name(), "root": _name()})


def _sizes() -> st.SearchStrategy[dict[str, Any]]:
    """Draws heights and widths of images."""
    side = st.sampled_from(SIDES)
    return st.fixed_dictionaries({"sizes": st.lists(st.tuples(side, side), min_size=IMAGES, max_size=IMAGES)})


def _folders() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda names, sizes: {**names, **sizes}, _names(), _sizes())


def each(
    place: Place,
    draw: random.Random,
    strategy: st.SearchStrategy[dict[str, Any]],
    count: int,
    attempt: Callable[[Place, dict[str, Any]], str],
) -> str:
    """Tries what Hypothesis draws; the first that does not hold ends it and is named.

    Args:
        place: the place of the case.
        draw: gives the seed.
        strategy: draws what is tried.
        count: how many are tried.
        attempt: tries one and returns what was found; raises `NotHeld`.

    Returns:
        What was found, and how often.
    """
    found: Counter[str] = Counter()

    @hypothesis.seed(draw.getrandbits(32))
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.generate,),  # to shrink an example would take many more commands
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def trial(drawn: dict[str, Any]) -> None:
        try:
            found[attempt(place, drawn)] += 1
        except NotHeld as error:
            raise NotHeld(f"{json.dumps(drawn, ensure_ascii=False)}: {error}") from None

    trial()
    return ", ".join(f"{number} {what}" for what, number in sorted(found.items()))


def write_images(data: Path, names: Names, sizes: Sizes, seed: int = 0) -> None:
    """Writes images and masks of noise.

    Args:
        data: the folder of data, made anew.
        names: names of the images without suffix.
        sizes: height and width of each; fewer ones are repeated.
        seed: another seed, other images.
    """
    shutil.rmtree(data, ignore_errors=True)
    generator = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (data / kind).mkdir(parents=True)
    for i, name in enumerate(names):
        pixels = generator.integers(0, 256, sizes[i % len(sizes)], np.uint8)
        mask = np.where(pixels > 127, 255, 0).astype(np.uint8)
        mask.flat[0] = 255 * (i % 2)
        (data / "images" / f"{name}.png").write_bytes(encode_png(pixels))
        (data / "masks" / f"{name}.png").write_bytes(encode_png(mask))


def _prepared(place: Place, drawn: dict[str, Any]) -> tuple[list[str], Path, dict[str, object]]:
    """Returns the further words of a command, its root and its settings."""
    settings: dict[str, object] = {name: _toml(value) for name, value in drawn.get("settings", {}).items()}
    if not drawn.keys() & {"images", "sizes"}:
        return [], place.root, settings
    odd = place.folder / "odd"
    shutil.rmtree(odd, ignore_errors=True)
    data = odd / "of data" / drawn.get("folder", "data")
    names = drawn.get("images", [f"cell_{i}" for i in range(IMAGES)])
    write_images(data, names, drawn.get("sizes", [(96, 96)]))
    return ["--data", str(data)], odd / "of roots" / str(drawn.get("root", "root")), settings


def _toml(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)


def _check(place: Place, drawn: dict[str, Any]) -> str:
    words, root, settings = _prepared(place, drawn)
    done = place.command("check", *words, root=root, settings=settings)
    in_words(done, 0, 2)
    return "refused with a sentence" if done.code else "found good"


def _run(place: Place, drawn: dict[str, Any]) -> str:
    words, root, settings = _prepared(place, drawn)
    before = {in_service(root)} if root.exists() else set()
    done = place.command("run", *words, root=root, settings=settings)
    in_words(done, 0, 1, 2, 3)
    if before or not done.code:
        in_service(root, also=before)
    if done.code in (0, 3):
        numbers = weights(root)
        require(all(bool(np.isfinite(one).all()) for one in numbers), "weights that are no numbers")
    reason = newest_record(root).get("reason") if done.code else ""
    return f"ended with {done.code}" + (f": {reason or done.last}" if done.code else "")


def in_words(done: Done, *codes: int) -> None:
    """Requires one of some exit codes, and a sentence: the name of an exception's class makes none."""
    spoke(done, *codes)
    if done.code:
        found = _CLASS_NAME.search(done.text)
        line = done.text[done.text.rfind("\n", 0, found.start()) + 1 :].splitlines()[0] if found else ""
        require(not found, f"exit code {done.code}, no sentence: {line}")
        require(len(done.last) > 20, f"exit code {done.code}, no sentence: {done.last}")
