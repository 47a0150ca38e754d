"""Warm start: a training that begins with the weights of the last blessed model."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
from tfx.dsl.components.common import resolver
from tfx.utils import json_utils, path_utils

from components.resolvers import mlmd
from unet.registry.versions import training_record

NETWORK = "network.keras"  # in the ModelRun artifact
MODEL_RUN = "model_run"  # custom property of a model: the folder of its ModelRun artifact


class WarmStartStrategy(resolver.ResolverStrategy):
    """The last blessed model of the same classes that did not come out of this very training.

    A model is no start for the training that made it: that one starts where it did the first time. So a run
    with nothing changed stays in the cache, and one with new images or settings goes on from the newest.
    """

    def __init__(self, custom_config: str):
        """Args: custom_config: of the Trainer, as JSON."""
        self._custom_config = json_utils.loads(custom_config)

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Leaves `model` with the one to start from, or empty, and nothing else.

        Args:
            store: of ML Metadata.
            input_dict: `model` and `blessing`, all there are, and what the Trainer reads, by its keys.
        """
        models = {artifact.id: artifact for artifact in input_dict["model"]}
        inputs = {key: value for key, value in input_dict.items() if key not in ("model", "blessing")}
        now = {key: [artifact.id for artifact in value] for key, value in inputs.items()}
        nothing: dict[str, list[Any]] = {key: [] for key in input_dict}
        classes = list(json.loads(self._custom_config["train"])["classes"])
        for blessing in mlmd.blessed(store, input_dict["blessing"]):
            model = models.get(blessing.get_int_custom_property("current_model_id"))
            if model is None:
                continue
            record = training_record(Path(path_utils.serving_model_path(model.uri)))
            if record.get("classes") == classes and not self._made(store, model.id, now):
                return {**nothing, "model": [model]}
        return nothing

    def _made(self, store: Any, model: int, now: dict[str, list[int]]) -> bool:
        """Whether the training that reads what is there `now` made this model."""
        makers = mlmd.executions(store, [model], mlmd.OUTPUT)[:1]  # later ones took it from the cache
        [execution] = store.get_executions_by_id(makers)
        config = execution.custom_properties["custom_config"].string_value
        then = {key: mlmd.artifacts(store, makers, mlmd.INPUT, key) for key in now}
        return then == now and json_utils.loads(config) == self._custom_config


def start(network: keras.Model, model_run: str) -> str:
    """Gives a network the weights of a blessed one, where they fit.

    Args:
        network: whose weights are overwritten.
        model_run: folder of the ModelRun artifact of the blessed one; empty if there is none.

    Returns:
        In words, what the training starts from, and if not from those weights, why not. Of other weights, the
        words are others.
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
