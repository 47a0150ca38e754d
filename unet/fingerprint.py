"""Fingerprints of code: a result depends on its code as well as on its data and settings.

A fingerprint covers modules, all modules of this checkout that they import, and the versions of the libraries
that they compute with. It is a hash of the parsed syntax: comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("components", "pipeline", "unet")
# Libraries that compute: the imported name, and the distributions on which the results then depend.
LIBRARIES = {
    "PIL": ("pillow",),
    "apache_beam": ("apache-beam",),
    "imagecodecs": ("imagecodecs",),
    "keras": ("keras", "tensorflow"),
    "keras_tuner": ("keras-tuner",),
    "numpy": ("numpy",),
    "rasterio": ("rasterio",),
    "scipy": ("scipy",),
    "tensorflow": ("tensorflow",),
    "tensorflow_data_validation": ("tensorflow-data-validation", "tfx-bsl"),
    "tensorflow_model_analysis": ("tensorflow-model-analysis", "tfx-bsl"),
    "tensorflow_transform": ("tensorflow-transform", "tfx-bsl"),
    "tfx": ("tfx", "tfx-bsl", "apache-beam"),
    "tfx_bsl": ("tfx-bsl",),
    "tifffile": ("tifffile", "imagecodecs"),
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def fingerprint(modules: Iterable[str], alone: Iterable[str] = ()) -> str:
    """SHA-256 of `parts`."""
    return hashlib.sha256(json.dumps(parts(modules, alone)).encode()).hexdigest()


def parts(modules: Iterable[str], alone: Iterable[str] = ()) -> dict[str, str]:
    """Returns the hash of each module that code reaches, and the version of each library, sorted by name.

    Args:
        modules: dotted names of modules of this checkout; what they import counts, too.
        alone: dotted names of further modules, whose imports do not count.
    """
    names = reached(modules) | set(alone)
    imported = {word.split(".")[0] for name in names for word in _parsed_module(name)[1]}
    distributions = {name for word in imported for name in LIBRARIES.get(word, ())}
    found = {name: _parsed_module(name)[0][:16] for name in names}
    found |= {name: _version(name) for name in distributions}
    return dict(sorted({**found, "python": platform.python_version()}.items()))


def reached(modules: Iterable[str]) -> set[str]:
    """The given modules, and all modules of this checkout that they import, directly or indirectly."""
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        found |= waiting
        words = set().union(*(_parsed_module(name)[1] for name in waiting))
        waiting = {word for word in words if source_of(word)} - found
    return found


def source_of(module: str) -> Path | None:
    """The source file of a module of this checkout; None for any other module."""
    if module.split(".")[0] not in PACKAGES:
        return None
    stem = f"{CHECKOUT}/{module.replace('.', '/')}"
    return next((Path(name) for name in (f"{stem}.py", f"{stem}/__init__.py") if os.path.isfile(name)), None)


def _parsed_module(module: str) -> tuple[str, frozenset[str]]:
    path = source_of(module)
    return _parsed(path.read_bytes()) if path else ("", frozenset())


@functools.lru_cache(maxsize=512)  # nearly the same modules are parsed for every node of the graph
def _parsed(source: bytes) -> tuple[str, frozenset[str]]:
    """Hash of the syntax of a source file, and the dotted names of all its imports."""
    tree = ast.parse(source)
    found: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` and `from module import name` look the same.
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(found)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all statements below it: looking into expressions, too, takes three times as long."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from _statements(child)


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:  # of an extra
        return "none"
