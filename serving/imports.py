"""Leaves out what the server's libraries import and the server never calls: a part of a second, each time."""

from __future__ import annotations

import importlib.util
import sys


def leave_out() -> None:
    """Makes the imports of TensorFlow and KServe shorter; call it before they are imported.

    TensorFlow loads Keras for models that are objects of its classes, and does without where there is none.
    KServe's package loads a client of Kubernetes; the modules of its protocols need none of that.
    """
    sys.modules.setdefault("keras", None)  # type: ignore[arg-type]  # which makes its import fail
    spec = importlib.util.find_spec("kserve")
    if spec is not None and "kserve" not in sys.modules:
        sys.modules["kserve"] = importlib.util.module_from_spec(spec)  # its modules are found, itself not run
