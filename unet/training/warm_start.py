"""Warm start: initialises a training with the weights of another model, as a rule the last blessed one."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import keras

from unet.errors import BadInput
from unet.files import raise_passing

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
    digest, why_not = _copy(network, Path(model_run, NETWORK), "the last blessed model")
    return f"afresh: {why_not}" if why_not else _from("the last blessed model", digest)


def start_from_named(network: keras.Model, model_run: str, name: str, sha256: str) -> str:
    """Copies the weights of the model that a user named into a network.

    Args:
        network: network whose weights are overwritten.
        model_run: folder of the ModelRun artifact of the model.
        name: name of the model, as the user wrote it.
        sha256: hash of its weights, which are part of the key of this training.

    Returns:
        Text that describes the initial weights, with their hash.

    Raises:
        BadInput: the weights are gone, are others now, or do not fit the network.
    """
    digest, why_not = _copy(network, Path(model_run, NETWORK), name)
    if not why_not and digest != sha256:
        why_not = f"the weights of {name} changed while the run was at work"
    if why_not:
        raise BadInput(f"warm_start = {name}: {why_not}: name another model, or set warm_start=none")
    return _from(name, digest)


def _from(what: str, digest: str) -> str:
    return f"from the weights of {what} ({NETWORK} {digest[:12]})"


def _copy(network: keras.Model, path: Path, what: str) -> tuple[str, str]:
    """Copies weights if their shapes agree; returns the hash of the file, and why nothing was copied."""
    try:
        content = path.read_bytes()
        before = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise_passing(error)
        return "", f"the weights of {what} cannot be read ({type(error).__name__}: {path})"
    ours, theirs = network.weights, before.weights
    if len(ours) != len(theirs):
        return "", f"{what} has {len(theirs)} weights, this network {len(ours)}"
    for new, old in zip(ours, theirs, strict=True):
        if tuple(new.shape) != tuple(old.shape):
            shapes = [" x ".join(map(str, weight.shape)) for weight in (old, new)]
            return "", f"{new.path} of {what} is {shapes[0]}, of this network {shapes[1]}"
    network.set_weights(before.get_weights())
    return hashlib.sha256(content).hexdigest(), ""
