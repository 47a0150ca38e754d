"""Fingerprints of code: what a result depends on besides its data and its settings.

A fingerprint covers modules, all modules of this checkout that they import, and the versions of the libraries
that compute in them. It is taken of the parsed syntax: comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("components", "unet")
# Libraries that compute: the name to import, and the distributions that the result then depends on.
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


def fingerprint(modules: Iterable[str]) -> str:
    """SHA-256 of the syntax of modules, of all that they import within the checkout, and library versions.

    Args:
        modules: dotted names of modules of this checkout.
    """
    names = reached(modules)
    digest = hashlib.sha256(f"python=={platform.python_version()}\n".encode())
    imported = {word.split(".")[0] for name in names for word in _parsed_module(name)[1]}
    for library in sorted({part for word in imported for part in LIBRARIES.get(word, ())}):
        digest.update(f"{library}=={_version(library)}\n".encode())
    for name in sorted(names):
        digest.update(f"{name}\n{_parsed_module(name)[0]}\n".encode())
    return digest.hexdigest()


def reached(modules: Iterable[str]) -> set[str]:
    """Modules of this checkout that modules import, directly or not, and these modules themselves."""
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        found |= waiting
        words = set().union(*(_parsed_module(name)[1] for name in waiting))
        waiting = {word for word in words if source_of(word)} - found
    return found


def source_of(module: str) -> Path | None:
    """The file of a module of this checkout, or None."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    path = CHECKOUT.joinpath(*parts)
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _parsed_module(module: str) -> tuple[str, frozenset[str]]:
    path = source_of(module)
    return _parsed(path.read_bytes()) if path else ("", frozenset())


@functools.lru_cache(maxsize=512)  # by content: every node of the graph reaches nearly the same modules
def _parsed(source: bytes) -> tuple[str, frozenset[str]]:
    """Hash of the syntax of a source, and the dotted names that it imports anywhere in it."""
    tree = ast.parse(source)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` and `from module import name` look the same.
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(found)


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:  # of an extra
        return "none"
