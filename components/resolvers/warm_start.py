"""The last blessed model, for a training that starts from its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfx.dsl.components.common import resolver
from tfx.utils import json_utils, path_utils

from components.resolvers import mlmd
from unet.files import raise_passing
from unet.registry.records import ModelError, training_record


class WarmStartStrategy(resolver.ResolverStrategy):
    """Resolves the last blessed model with the same classes that was not made by this very training.

    A training never starts from its own model but where it started the first time. So a run without changes
    stays in the cache, and a run with new images or settings starts from the newest model.
    """

    def __init__(self, custom_config: str):
        """Args: custom_config: the custom configuration of the Trainer, as JSON."""
        self._custom_config = json_utils.loads(custom_config)

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Returns only `model`, with the model to start from or empty.

        Args:
            store: the store of ML Metadata.
            input_dict: all known `model` and `blessing` artifacts, and the inputs of the Trainer by their
                keys.
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
            try:
                record = training_record(Path(path_utils.serving_model_path(model.uri)))
            except (ModelError, OSError) as error:
                raise_passing(error)
                return {**nothing, "model": [model]}  # set aside before the Trainer reads it
            if record.get("classes") == classes and not self._made(store, model.id, now):
                return {**nothing, "model": [model]}
        return nothing

    def _made(self, store: Any, model: int, now: dict[str, list[int]]) -> bool:
        """Whether the training with the inputs `now` made this model."""
        makers = mlmd.executions(store, [model], mlmd.OUTPUT)[:1]  # later executions took it from the cache
        [execution] = store.get_executions_by_id(makers)
        config = execution.custom_properties["custom_config"].string_value
        then = {key: mlmd.artifacts(store, makers, mlmd.INPUT, key) for key in now}
        return then == now and json_utils.loads(config) == self._custom_config
