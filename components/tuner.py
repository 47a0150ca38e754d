"""The Tuner: which learning rate to train with."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner import component as tuner_component
from tfx.components.tuner import executor as tuner_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.utils import json_utils

from components import train_settings, training
from components.checkpoint import identity
from components.errors import TrainingFailed
from components.input_pipeline import Tiles, read_tiles
from components.train_settings import TrainSettings
from components.versions import newest_version, training_record

DIVERGED = -1.0  # score of a trial whose loss became NaN or infinite: below any IoU


@dataclasses.dataclass(frozen=True)
class TuneSettings:
    """The search; see `pipeline.config.PipelineConfig`. `reuse_from`: folder of pushed models, or empty."""

    tune_trials: int
    tune_steps: int
    tune_range: tuple[float, float]
    reuse_from: str


class LearningRateSearch(keras_tuner.RandomSearch):
    """Random search whose trials are short trainings, scored by foreground IoU on whole validation images."""

    def __init__(self, settings: TrainSettings, search: TuneSettings, folder: Path, train: Tiles):
        """Args: settings: of a trial; search: of the search; folder: of its trials; train: to learn from."""
        self._settings = settings

        def build(hp: keras_tuner.HyperParameters) -> keras.Model:
            low, high = search.tune_range
            rate = hp.Float("learning_rate", low, high, sampling="log")
            return training.compile_network(settings, train, rate)

        super().__init__(
            build,
            objective=keras_tuner.Objective("foreground_iou", "max"),
            max_trials=search.tune_trials,
            seed=settings.seed,
            directory=str(folder.parent),
            project_name=folder.name,
            max_consecutive_failed_trials=1,  # by default, three failures are swallowed
        )

    def run_trial(self, trial: Any, train: Any, validation: Any) -> dict[str, float]:
        """Trains one network. A loss that is not finite is the worst score, not the end of the search."""
        # Every trial starts from the same weights: only the learning rate differs.
        training.begin(self._settings)
        network = self.hypermodel.build(trial.hyperparameters)
        title = f"trial {int(trial.trial_id) + 1}/{self.oracle.max_trials}"
        try:
            rate = trial.hyperparameters.get("learning_rate")
            _, curves = training.fit(network, self._settings, train, validation, title, learning_rate=rate)
        except TrainingFailed:
            return {"foreground_iou": DIVERGED}
        # NaN: neither the masks nor the network hold any foreground.
        return {"foreground_iou": float(np.nan_to_num(max(curves["val_foreground_iou"])))}


def tuner_fn(fn_args: FnArgs) -> tuner_component.TunerFnResult:
    """Called by TFX: the tuner and the data it searches with."""
    search = TuneSettings(**json.loads(fn_args.custom_config["search"]))
    settings = TrainSettings(**json.loads(fn_args.custom_config["train"]))
    settings = dataclasses.replace(
        settings, steps=search.tune_steps, minutes=None, validate_every=search.tune_steps, patience=0
    )
    train, validation = read_tiles(fn_args.train_files), read_tiles(fn_args.eval_files)
    # TFX's own working folder is a new one in every run; in one of ours, finished trials are found again.
    name = identity(settings, search, data=(train, validation))
    folder = Path(fn_args.custom_config["checkpoints"], f"search-{name}")
    try:
        tuner = LearningRateSearch(settings, search, folder, train)
    except (ValueError, RuntimeError, OSError):  # a process died while it wrote: not worth more than a minute
        shutil.rmtree(folder)
        tuner = LearningRateSearch(settings, search, folder, train)
    return tuner_component.TunerFnResult(tuner=tuner, fit_kwargs={"train": train, "validation": validation})


def pushed_learning_rate(folder: Path, recipe: dict[str, Any]) -> float | None:
    """The learning rate of the newest pushed model, or None when no model was pushed or by another recipe."""
    version = newest_version(folder)
    record = training_record(folder / str(version)) if version else {}
    return record["learning_rate"] if record.get("recipe") == recipe else None


class Executor(tuner_executor.Executor):
    """TFX's Tuner, except that it may reuse the rate of a pushed model and says why it chose a rate."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the best hyperparameters and the results of all trials.

        Raises:
            TrainingFailed: a trial could not be run, or the loss of every one became NaN or infinite.
        """
        config = json_utils.loads(exec_properties["custom_config"])
        search = TuneSettings(**json.loads(config["search"]))
        settings = TrainSettings(**json.loads(config["train"]))
        best = artifact_utils.get_single_instance(output_dict["best_hyperparameters"])
        results = Path(artifact_utils.get_single_uri(output_dict["tuner_results"]), "tuner_results.json")
        rate = None
        if search.reuse_from:
            rate = pushed_learning_rate(Path(search.reuse_from), train_settings.recipe(settings))
        if rate:
            results.write_text("[]")
            reason = f"learning rate {rate:.2e}, that of the last pushed model"
        else:
            try:
                super().Do(input_dict, output_dict, exec_properties)
            except RuntimeError as error:  # Keras Tuner puts the traceback of the trial into the message
                raise TrainingFailed(
                    f"a trial failed: {str(error).strip().rpartition(chr(10))[2]}"
                ) from error
            trials = json.loads(results.read_text())
            top = max(trials, key=lambda trial: trial["score"])
            if top["score"] == DIVERGED:
                raise TrainingFailed(f"the loss of all {len(trials)} trials became NaN: lower tune_range")
            reason = (
                f"learning rate {top['learning_rate']:.2e}, the best of {len(trials)} "
                f"(IoU {top['score']:.3f} after {search.tune_steps} steps)"
            )
            if top["score"] == 0:  # nothing to choose by: rare foreground takes longer to be found
                rate = settings.learning_rate
                reason = f"learning rate {rate:.2e}, the configured one: no trial found any foreground"
        if rate:
            chosen = keras_tuner.HyperParameters()
            chosen.Fixed("learning_rate", rate)
            Path(best.uri, "best_hyperparameters.txt").write_text(json.dumps(chosen.get_config()))
        best.set_string_custom_property("reason", reason)


class Tuner(tuner_component.Tuner):
    """TFX's Tuner with our executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
