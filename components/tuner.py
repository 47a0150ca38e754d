"""The Tuner: searches the learning rate and the other settings of `tune_over`."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras_tuner
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner import component as tuner_component
from tfx.components.tuner import executor as tuner_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.utils import json_utils

from unet.errors import TrainingFailed
from unet.fingerprint import fingerprint
from unet.registry.records import ModelError, training_record
from unet.registry.versions import newest_version
from unet.training.build import precision_of
from unet.training.checkpoint import identity
from unet.training.files import TRIALS
from unet.training.search import Search, Trial, choose, describe
from unet.training.search_settings import TuneSettings
from unet.training.settings import TrainSettings, recipe
from unet.training.tiles import read_tiles


def tuner_fn(fn_args: FnArgs) -> tuner_component.TunerFnResult:
    """Returns the tuner and the data of its trials; TFX calls it."""
    search = TuneSettings.model_validate_json(fn_args.custom_config["search"])
    settings = TrainSettings.model_validate_json(fn_args.custom_config["train"])
    # Trials are compared on the eval split: only the training after the search may learn from it.
    settings = settings.model_copy(update={"refit": False})
    images = fn_args.custom_config["images"]
    train = read_tiles(fn_args.train_files, images["train"])
    validation = read_tiles(fn_args.eval_files, images["eval"])
    # TFX's working folder is new in every run; in a folder of this project, finished trials are found again.
    code = fingerprint({"unet.training.search"}, alone={__name__})
    name = identity(settings, precision_of(settings.precision), search, data=(train, validation), code=code)
    folder = Path(fn_args.custom_config["checkpoints"], f"search-{name}")
    try:
        tuner = Search(settings, search, folder)
    except (ValueError, RuntimeError, FileNotFoundError):  # a process died while it wrote: search anew
        shutil.rmtree(folder)
        tuner = Search(settings, search, folder)
    return tuner_component.TunerFnResult(tuner=tuner, fit_kwargs={"train": train, "validation": validation})


def pushed_choice(folder: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the hyperparameters of the newest pushed model; None if none was pushed with this recipe."""
    version = newest_version(folder)
    try:
        record = training_record(folder / str(version)) if version else {}
    except ModelError:  # damaged: search anew
        return None
    if record.get("recipe") != recipe:
        return None
    return {"learning_rate": record["learning_rate"], **record.get("tuned", {})}


class Executor(tuner_executor.Executor):
    """TFX's executor; it can reuse the choice of a pushed model, and records all trials and the reason."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the chosen hyperparameters and the results of all trials.

        Raises:
            TrainingFailed: a trial failed, or no trial can be used.
        """
        config = json_utils.loads(exec_properties["custom_config"])
        search = TuneSettings.model_validate_json(config["search"])
        settings = TrainSettings.model_validate_json(config["train"])
        best = artifact_utils.get_single_instance(output_dict["best_hyperparameters"])
        results = Path(artifact_utils.get_single_uri(output_dict["tuner_results"]))
        rows: list[Trial] = []
        choice = None
        if search.tune == "first":
            choice = pushed_choice(Path(config["pushed"]), recipe(settings, search.tune_over))
        if choice:
            reason = f"{describe(choice)}, that of the last pushed model"
        else:
            try:
                [tiles] = input_dict["examples"]
                images = {
                    split: tiles.get_int_custom_property(f"{split}_count") for split in ("train", "eval")
                }
                counted = {"custom_config": json_utils.dumps({**config, "images": images})}
                tuner = tuner_executor.search(input_dict, {**exec_properties, **counted}, self._get_tmp_dir())
            except keras_tuner.errors.FatalError as error:
                raise TrainingFailed(f"a trial failed: {error}") from error
            rows = tuner.rows()
            choice, reason = choose(rows, settings)
        (results / TRIALS).write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
        chosen = keras_tuner.HyperParameters()
        for name, value in choice.items():
            chosen.Fixed(name, value)
        Path(best.uri, "best_hyperparameters.txt").write_text(json.dumps(chosen.get_config()))
        best.set_string_custom_property("reason", reason)


class Tuner(tuner_component.Tuner):
    """TFX's Tuner with this project's executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
