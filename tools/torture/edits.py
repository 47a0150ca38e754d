"""Edits code, settings and data, and asks `run --explain` what would run again."""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.torture.cases import Case
from tools.torture.kept_promises import require, spoke
from tools.torture.place import CHECKOUT, Place, newest_record

COPIED = ("unet", "components", "pipeline", "data", "run_pipeline.py", "pyproject.toml")
READING = frozenset({"ImageMaskExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator"})
ALL = READING | {"Transform", "Tuner", "Trainer", "InfraValidator", "Evaluator"}
LOSSES, UNRELATED = Path("unet/training/losses.py"), Path("unet/inference/polygons.py")


@dataclasses.dataclass(frozen=True)
class Edit:
    """Something edited, and what must follow.

    Attributes:
        done: what was edited, for the table.
        edit: edits the copy of the checkout and the place, and returns further arguments of the command.
        runs: components that must run again.
        reused: components that must not run again.
        quick: whether it is tried with --quick, too.
        settings: settings that differ.
        library: a distribution that seems to have another version.
    """

    done: str
    edit: Callable[[Path, Place], list[str]]
    runs: frozenset[str] = frozenset()
    reused: frozenset[str] = ALL
    quick: bool = False
    settings: dict[str, object] = dataclasses.field(default_factory=dict)
    library: str = ""


def cases(quick: bool) -> Iterator[Case]:
    """Yields a case for each edit."""
    for edit in EDITS:
        if quick and not edit.quick:
            continue

        def attempt(place: Place, draw: random.Random, edit: Edit = edit) -> str:
            return _try(place, edit)

        must = f"{', '.join(sorted(edit.runs))} must run" if edit.runs else "nothing must run again"
        yield Case("edits", must, edit.done, attempt)


def explained(text: str, names: list[str]) -> dict[str, str]:
    """Reads the output of `run --explain`: what each component does, `runs` or `reused`.

    Args:
        text: the output.
        names: names of the components.
    """
    lines = [line.split() for line in text.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) > 1 and words[0] in names}


def rename_local(source: str) -> str:
    """Renames the first local variable of a module that is no parameter of its function."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        stored = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        words = {
            a.arg for n in ast.walk(node) if isinstance(n, ast.arguments) for a in (*n.args, *n.kwonlyargs)
        }
        words |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        words |= {n.arg for n in ast.walk(node) if isinstance(n, ast.keyword) and n.arg}
        name = next((name for name in stored if name not in words), None)
        if name and node.end_lineno:
            lines = source.splitlines(keepends=True)
            body = "".join(lines[node.lineno - 1 : node.end_lineno])
            lines[node.lineno - 1 : node.end_lineno] = [re.sub(rf"\b{name}\b", f"{name}_renamed", body)]
            return "".join(lines)
    raise ValueError("no local variable")


def other_version(folder: Path, library: str) -> Path:
    """Makes a folder that, as the first one in which Python looks, gives a distribution another version.

    Args:
        folder: the folder, made anew.
        library: name of the distribution; its modules stay as they are.

    Returns:
        The folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    version = f"{importlib.metadata.version(library)}.post1"
    about = folder / f"{library.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: {version}\n", "utf-8")
    return folder


def _try(place: Place, edit: Edit) -> str:
    checkout = place.folder / "checkout"
    shutil.rmtree(checkout, ignore_errors=True)
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "nuclei"))
        else:
            shutil.copy(source, checkout / name)
    before = sorted(place.root.rglob("*"))
    more = edit.edit(checkout, place)
    libraries = other_version(place.folder / "libraries", edit.library) if edit.library else None
    done = place.command(
        "run", "--explain", *more, checkout=checkout, settings=edit.settings, python_path=libraries
    )
    spoke(done, 0)
    found = explained(done.out, newest_record(place.root)["nodes"])
    lacking = sorted(name for name in edit.runs if found.get(name) != "runs")
    too_many = sorted(name for name in edit.reused if found.get(name) != "reused")
    require(not lacking, f"would not run: {', '.join(lacking)}")
    require(not too_many, f"would run: {', '.join(too_many)}")
    require(sorted(place.root.rglob("*")) == before, "--explain wrote into the root")
    shutil.rmtree(checkout)
    again = [name for name, does in found.items() if does == "runs" and name != "Pusher"]
    return f"run again: {', '.join(again) or 'none'}"


def _nothing(checkout: Path, place: Place) -> list[str]:
    return []


def _text(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text("utf-8")
    after = change(before)
    assert after != before, f"{path} was not edited"
    path.write_text(after, "utf-8")


def _comment(checkout: Path, place: Place) -> list[str]:
    _text(checkout / LOSSES, lambda text: text.replace("\n", "\n# Another comment.\n", 1) + "# The end.\n")
    return []


def _local(checkout: Path, place: Place) -> list[str]:
    _text(checkout / UNRELATED, rename_local)
    return []


def _loss(checkout: Path, place: Place) -> list[str]:
    _text(
        checkout / LOSSES,
        lambda text: re.sub(r"^(\w+ = )([\d.]+)", r"\g<1>1 + \2", text, count=1, flags=re.M),
    )
    return []


def _image(checkout: Path, place: Place) -> list[str]:
    for kind in ("images", "masks"):
        shutil.copy(place.folder / "new" / kind / "cell_000.png", place.data / kind / "cell_003.png")
    return []


def _swapped(checkout: Path, place: Place) -> list[str]:
    one, other = (place.data / "masks" / f"cell_00{i}.png" for i in (1, 2))
    contents, stat = (one.read_bytes(), other.read_bytes()), one.stat()
    for path, content in zip((other, one), contents, strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    return []


def _moved(checkout: Path, place: Place) -> list[str]:
    moved = place.folder / "moved"
    shutil.rmtree(moved, ignore_errors=True)
    place.data.rename(moved)
    return ["--data", str(moved)]


def _touched(checkout: Path, place: Place) -> list[str]:
    for path in place.data.rglob("*.png"):
        os.utime(path)
    return []


_TRAINING = frozenset({"Tuner", "Trainer"})
EDITS = (
    Edit("nothing; the same code in another folder", _nothing),
    Edit(f"comments in `{LOSSES}`", _comment, quick=True),
    Edit(f"a local variable in `{UNRELATED}`, which no component reaches", _local),
    Edit(f"a number in `{LOSSES}`", _loss, runs=_TRAINING, reused=READING | {"Transform"}, quick=True),
    Edit(
        "the setting `steps`",
        _nothing,
        runs=frozenset({"Trainer"}),
        reused=READING | {"Transform"},
        settings={"steps": 41},
    ),
    Edit(
        "the setting `thresholds`",
        _nothing,
        runs=frozenset({"Evaluator"}),
        reused=READING | {"Transform", "Tuner", "Trainer"},
        settings={"thresholds": "{ pixel_error = 0.98 }"},
    ),
    Edit("an image and its mask", _image, runs=frozenset({"ImageMaskExampleGen"}), reused=frozenset()),
    Edit(
        "two masks swapped, with the same times",
        _swapped,
        runs=frozenset({"ImageMaskExampleGen"}),
        reused=frozenset(),
    ),
    Edit("the folder of data moved", _moved),
    Edit("the version of rich, with which no component computes", _nothing, library="rich"),
    Edit(
        "the version of tifffile",
        _nothing,
        runs=frozenset({"ImageMaskExampleGen"}),
        reused=frozenset(),
        library="tifffile",
    ),
    Edit(
        "the version of tensorflow-data-validation",
        _nothing,
        runs=frozenset({"StatisticsGen", "DistributionValidator"}),
        reused=frozenset({"ImageMaskExampleGen"}),
        library="tensorflow-data-validation",
    ),
    Edit(
        "the version of keras-tuner",
        _nothing,
        runs=frozenset({"Tuner"}),
        reused=READING | {"Transform"},
        library="keras-tuner",
    ),
    Edit(
        "the version of tensorflow-model-analysis",
        _nothing,
        runs=frozenset({"Evaluator"}),
        reused=READING | {"Transform", "Tuner", "Trainer", "InfraValidator"},
        library="tensorflow-model-analysis",
    ),
    Edit("the times of all images and masks", _touched),
)
