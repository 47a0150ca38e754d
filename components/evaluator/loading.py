"""Loads the models that are evaluated once: for TFMA, and for the pictures of the report.

TFX imports this module anew for each evaluation, and so forgets the models of the last one.
"""

from __future__ import annotations

from typing import Any

import tensorflow_model_analysis as tfma

loaded: dict[str, Any] = {}  # by folder


def load_once(eval_saved_model_path: str, **arguments: Any) -> tfma.EvalSharedModel:
    """Tells TFMA how to load a model, as it does by default, and loads it; the arguments are TFMA's.

    As long as somebody holds the model, TFMA's workers in this process find it, and load none of their own.
    """
    shared = tfma.default_eval_shared_model(eval_saved_model_path, **arguments)
    loaded[eval_saved_model_path] = shared.model_loader.load()
    return shared
