"""The Tuner: which learning rate to train with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner import component as tuner_component
from tfx.components.tuner import executor as tuner_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.utils import json_utils

from components import training
from components.errors import TrainingFailed
from components.input_pipeline import read_tiles
from components.training import TrainSettings
from components.versions import newest_version, training_record


@dataclasses.dataclass(frozen=True)
class TuneSettings:
    """The search; see `pipeline.config.PipelineConfig`. `reuse_from`: folder of pushed models, or empty."""

    tune_trials: int
    tune_steps: int
    tune_range: tuple[float, float]
    reuse_from: str


class LearningRateSearch(keras_tuner.RandomSearch):
    """Random search whose trials are short trainings, scored by foreground IoU on whole validation images."""

    def __init__(self, settings: TrainSettings, search: TuneSettings, fn_args: FnArgs, channels: int):
        """Args: settings: of a trial; search: of the search; fn_args: TFX's; channels: of the images."""
        self._settings = settings

        def build(hp: keras_tuner.HyperParameters) -> keras.Model:
            low, high = search.tune_range
            rate = hp.Float("learning_rate", low, high, sampling="log")
            return training.compile_network(settings, channels, rate)

        super().__init__(
            build,
            objective=keras_tuner.Objective("foreground_iou", "max"),
            max_trials=search.tune_trials,
            seed=settings.seed,
            directory=fn_args.working_dir,
            project_name="learning_rate",
            max_consecutive_failed_trials=1,  # by default, three failures are swallowed
        )

    def run_trial(self, trial: Any, train: Any, validation: Any) -> dict[str, float]:
        """Trains one network. A loss that is not finite is the worst score, not the end of the search."""
        # Every trial starts from the same weights: only the learning rate differs.
        keras.utils.set_random_seed(self._settings.seed)
        network = self.hypermodel.build(trial.hyperparameters)
        title = f"trial {int(trial.trial_id) + 1}/{self.oracle.max_trials}"
        try:
            _, curves = training.fit(network, self._settings, train, validation, title)
        except TrainingFailed:
            return {"foreground_iou": -1.0}
        return {"foreground_iou": max(curves["val_foreground_iou"])}


def tuner_fn(fn_args: FnArgs) -> tuner_component.TunerFnResult:
    """Called by TFX: the tuner and the data it searches with."""
    search = TuneSettings(**json.loads(fn_args.custom_config["search"]))
    settings = TrainSettings(**json.loads(fn_args.custom_config["train"]))
    settings = dataclasses.replace(settings, steps=search.tune_steps, validate_every=search.tune_steps)
    train, validation = read_tiles(fn_args.train_files), read_tiles(fn_args.eval_files)
    tuner = LearningRateSearch(settings, search, fn_args, train.channels)
    return tuner_component.TunerFnResult(tuner=tuner, fit_kwargs={"train": train, "validation": validation})


def pushed_learning_rate(folder: Path) -> float | None:
    """The learning rate of the newest pushed model, or None when there is no such model."""
    version = newest_version(folder)
    return training_record(folder / str(version)).get("learning_rate") if version else None


class Executor(tuner_executor.Executor):
    """TFX's Tuner, except that it may reuse the rate of a pushed model and fails when every trial failed."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the best hyperparameters and the results of all trials."""
        search = TuneSettings(**json_utils.loads(exec_properties["custom_config"])["search"])
        best = artifact_utils.get_single_instance(output_dict["best_hyperparameters"])
        results = artifact_utils.get_single_uri(output_dict["tuner_results"])
        if search.reuse_from and (rate := pushed_learning_rate(Path(search.reuse_from))):
            found = keras_tuner.HyperParameters()
            found.Fixed("learning_rate", rate)
            Path(best.uri, "best_hyperparameters.txt").write_text(json.dumps(found.get_config()))
            Path(results, "tuner_results.json").write_text("[]")
            reason = f"learning rate {rate:.2e}, reused from the model in service"
        else:
            try:
                super().Do(input_dict, output_dict, exec_properties)
            except RuntimeError as error:  # Keras Tuner puts the traceback of the trial into the message
                raise TrainingFailed(f"a trial failed: {str(error).strip().splitlines()[-1]}") from error
            trials = json.loads(Path(results, "tuner_results.json").read_text())
            finished = [trial for trial in trials if trial["score"] > 0]
            if not finished:
                raise TrainingFailed(
                    "no trial of the search learned anything: try a lower tune_range or more tune_steps"
                )
            top = max(finished, key=lambda trial: trial["score"])
            reason = (
                f"learning rate {top['learning_rate']:.2e}, the best of {len(trials)} "
                f"(IoU {top['score']:.3f} after {search.tune_steps} steps)"
            )
        best.set_string_custom_property("reason", reason)


class Tuner(tuner_component.Tuner):
    """TFX's Tuner with our executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
