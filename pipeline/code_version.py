"""A fingerprint of the code a component runs, so that edited code is never answered from the cache.

TFX's cache key holds the *name* of a function. Here every node gets a hash of the source of its modules and
of all modules of this project that they import, and of the versions of the libraries that compute.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import re
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("components", "unet")
OURS = "|".join(PACKAGES)
LIBRARIES = (
    "apache-beam", "keras", "keras-tuner", "numpy", "pillow", "tensorflow", "tensorflow-data-validation",
    "tensorflow-model-analysis", "tensorflow-transform", "tfx", "tfx-bsl",
)  # fmt: skip


def stamp(pipeline: Any, deployment: Any) -> None:
    """Adds a parameter `code` to every node of a compiled pipeline whose executor or functions are ours.

    Args:
        pipeline: TFX's pipeline IR, changed in place.
        deployment: its local deployment configuration, which names the executors.
    """
    for node in pipeline.nodes:
        name, parameters = node.pipeline_node.node_info.id, node.pipeline_node.parameters.parameters
        specs = (specs.get(name, "") for specs in (deployment.executor_specs, deployment.custom_driver_specs))
        named = set(re.findall(rf"(?<![\w.])(?:{OURS})(?:\.\w+)+", "".join(map(str, (*specs, parameters)))))
        # The last word of most names is a class or a function.
        modules = {
            module for word in named for module in (word, word.rpartition(".")[0]) if source_of(module)
        }
        parameters["code"].field_value.string_value = fingerprint(modules)


def source_of(module: str) -> Path | None:
    """The file of a module of this project, or None."""
    path = CHECKOUT / Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if module.split(".")[0] in PACKAGES and candidate.is_file():
            return candidate
    return None


def imported(module: str) -> set[str]:
    """Modules of this project that the source of a module imports, anywhere in it."""
    found = set()
    path = source_of(module)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if path else ():
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` and `from module import name` look the same.
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if source_of(name)}


def fingerprint(modules: set[str]) -> str:
    """SHA-256 over the source of modules, of all they import within the project, and library versions."""
    reached: set[str] = set()
    waiting = set(modules)
    while waiting:
        reached |= waiting
        waiting = set().union(*map(imported, waiting)) - reached
    digest = hashlib.sha256()
    for library in LIBRARIES:
        digest.update(f"{library}=={importlib.metadata.version(library)}\n".encode())
    for module in sorted(reached):
        path = source_of(module)
        digest.update(f"{module}\n".encode() + (path.read_bytes() if path else b""))
    return digest.hexdigest()
