"""The last blessed model, for a training that starts from its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfx.dsl.components.common import resolver
from tfx.utils import json_utils, path_utils

from components.resolvers import mlmd
from unet.registry.records import training_record


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
