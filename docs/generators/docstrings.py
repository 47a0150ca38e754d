"""Documents the code in Markdown, from docstrings that griffe reads without importing the code."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import griffe

CHECKOUT = Path(__file__).resolve().parents[2]
Kind = griffe.DocstringSectionKind
_LISTS = {Kind.parameters: "Args", Kind.attributes: "Attributes", Kind.raises: "Raises"}
_LINES = {Kind.returns: "Returns", Kind.yields: "Yields"}


@functools.cache
def _package(name: str) -> griffe.Module:
    loaded = griffe.load(
        name,
        search_paths=[CHECKOUT],
        allow_inspection=False,
        docstring_parser=griffe.Parser.google,
        docstring_options=griffe.GoogleOptions(warnings=False, returns_named_value=False),
    )
    assert isinstance(loaded, griffe.Module)
    return loaded


def packages() -> list[str]:
    """Returns every package of the project that has documented modules, such as `pipeline.commands`."""
    found = []
    for top in ("components", "pipeline", "serving", "unet"):
        folders = [CHECKOUT / top, *sorted(path for path in (CHECKOUT / top).rglob("*") if path.is_dir())]
        for folder in folders:
            if (folder / "__init__.py").exists():
                found.append(".".join(folder.relative_to(CHECKOUT).parts))
    return found


def modules(package: str) -> list[griffe.Module]:
    """Returns the modules directly in a package by name, except those without a docstring."""
    top, _, rest = package.partition(".")
    here = _package(top)
    if rest:
        here = here[rest]
    children = [child for child in here.modules.values() if not child.is_package]
    return sorted((m for m in children if m.docstring or _public(m)), key=lambda m: m.name)


def _public(parent: griffe.Module | griffe.Class) -> list[griffe.Object]:
    """Returns the public classes and functions of a module or class that have a docstring, in order."""
    members = [m for m in parent.members.values() if not m.is_alias and (m.is_function or m.is_class)]
    return [m for m in members if isinstance(m, griffe.Object) and m.docstring and not m.name.startswith("_")]


def _first_sentence(item: griffe.Object) -> str:
    text = item.docstring.value if item.docstring else ""
    return " ".join(text.split("\n\n")[0].split())


def _text(item: griffe.Object) -> list[str]:
    """Returns the lines of a docstring, with its sections as lists."""
    lines: list[str] = []
    for section in item.docstring.parsed if item.docstring else []:
        if section.kind in _LINES:
            words = " ".join(_plain(element) for element in section.value)
            lines += [f"*{_LINES[section.kind]}*: {words}", ""]
        elif section.kind in _LISTS:
            lines += [f"*{_LISTS[section.kind]}*:", ""]
            for element in section.value:
                name = getattr(element, "name", "") or element.annotation
                lines.append(f"- `{name}`: {_plain(element)}")
            lines.append("")
        elif isinstance(section.value, str):
            lines += [section.value, ""]
    return lines


def _plain(element: griffe.DocstringElement) -> str:
    return " ".join(element.description.split())


def _signature(item: griffe.Object) -> str:
    if isinstance(item, griffe.Function):
        return item.signature(return_type=True)
    bases = ", ".join(str(base) for base in item.bases) if isinstance(item, griffe.Class) else ""
    return f"class {item.name}" + (f"({bases})" if bases else "")


def _member(item: griffe.Object, level: int) -> list[str]:
    owner = f"{item.parent.name}." if item.parent and item.parent.is_class else ""
    lines = [f"{'#' * level} {owner}{item.name}", "", f"```python\n{_signature(item)}\n```", "", *_text(item)]
    if isinstance(item, griffe.Class):
        for member in _public(item):
            lines += _member(member, level + 1)
    return lines


def markdown(package: str) -> str:
    """Returns a table of a package's modules, and a section for each with its classes and functions."""
    lines = ["| module | subject |", "|---|---|"]
    for module in modules(package):
        subject = _first_sentence(module).replace("|", "\\|")
        lines.append(f"| [{module.name}](#{anchor(module)}) | {subject} |")
    for module in modules(package):
        lines += ["", f"({anchor(module)})=", f"## {module.name}", "", *_text(module)]
        for member in _public(module):
            lines += _member(member, 3)
    return "\n".join(lines) + "\n"


def anchor(module: griffe.Module) -> str:
    """Returns the anchor of a module's section within its page."""
    return "module-" + re.sub("[._]+", "-", module.path).strip("-")  # as docutils makes an id of it
