"""Warm start: initialises a training with the weights of the last blessed model."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import keras

NETWORK = "network.keras"  # file name in the artifact ModelRun
MODEL_RUN = "model_run"  # custom property of a Model artifact: folder of its ModelRun artifact


def start(network: keras.Model, model_run: str) -> str:
    """Copies the weights of the last blessed model into a network, if their shapes agree.

    Args:
        network: network whose weights are overwritten.
        model_run: folder of the ModelRun artifact of the blessed model; empty if there is none.

    Returns:
        Text that describes the initial weights, with a hash of copied weights or the reason for random ones.
    """
    if not model_run:
        return "afresh: no earlier model of these classes is blessed"
    path = Path(model_run, NETWORK)
    try:
        content = path.read_bytes()
        before = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        found = f"{type(error).__name__}: {path}"
        return f"afresh: the weights of the last blessed model cannot be read ({found})"
    ours, theirs = network.weights, before.weights
    if len(ours) != len(theirs):
        return f"afresh: the last blessed model has {len(theirs)} weights, this network {len(ours)}"
    for new, old in zip(ours, theirs, strict=True):
        if tuple(new.shape) != tuple(old.shape):
            shapes = [" x ".join(map(str, weight.shape)) for weight in (old, new)]
            return f"afresh: {new.path} of the last blessed model is {shapes[0]}, of this network {shapes[1]}"
    network.set_weights(before.get_weights())
    digest = hashlib.sha256(content).hexdigest()[:12]
    return f"from the weights of the last blessed model ({NETWORK} {digest})"
