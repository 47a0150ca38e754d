"""The Trainer: trains the U-Net and exports it, with normalisation and tiling inside."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from tfx.components.trainer import component as trainer_component
from tfx.components.trainer import executor as trainer_executor
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.utils import json_utils

from unet.export.settings import ExportSettings
from unet.fingerprint import fingerprint
from unet.metrics.names import goodness
from unet.training import warm_start
from unet.training.build import class_weights, compile_network, precision_of
from unet.training.callbacks import Curves
from unet.training.checkpoint import Checkpoints, identity
from unet.training.export import export
from unet.training.files import CURVES, SAMPLES
from unet.training.loop import fit, set_seed
from unet.training.samples import write_samples
from unet.training.schedule import can_grow
from unet.training.settings import AFRESH, LAST_BLESSED, TrainSettings, recipe, with_choice
from unet.training.tiles import Tiles, read_tiles

_LAST = 3  # validations at the end of a training that are held against the best one
_CLEARLY = 3  # times the usual difference between two validations; a plateau's best stands out by less


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports the model; TFX calls it.

    `fn_args.custom_config` holds `train` and `export`, `TrainSettings` and `ExportSettings` as JSON;
    `tune_over`, the JSON list of the tuned settings besides the learning rate; the folder `checkpoints`;
    `warm_start`, the setting, with the folder of the ModelRun to `start_from` and, where the setting names
    one, the `start_sha256` of its weights; `images`, the number of images in `train` and `eval`. Writes the
    SavedModel to `fn_args.serving_model_dir`, and the Keras model, the curves, sample patches and
    TensorBoard's logs to `model_run_dir`. A killed training continues from its last checkpoint.
    """
    configured = TrainSettings.model_validate_json(fn_args.custom_config["train"])
    choice = fn_args.hyperparameters["values"] if fn_args.hyperparameters else {}
    settings = with_choice(configured, choice)
    images = fn_args.custom_config["images"]
    train = read_tiles(fn_args.train_files, images["train"])
    validation = read_tiles(fn_args.eval_files, images["eval"])
    train = learned_from(settings, train, validation)
    set_seed(settings)
    network = compile_network(settings, train)
    config, start = fn_args.custom_config, ""
    if config["warm_start"] == LAST_BLESSED:
        start = warm_start.start(network, config["start_from"])
    elif config["warm_start"] != AFRESH:
        start = warm_start.start_from_named(
            network, config["start_from"], config["warm_start"], config["start_sha256"]
        )
    name = checkpoint_name(settings, start, train, validation)
    checkpoints = Checkpoints(Path(fn_args.custom_config["checkpoints"], name))
    run_dir = Path(fn_args.model_run_dir)
    best, curves = fit(
        network,
        settings,
        train,
        validation,
        "training",
        checkpoints=checkpoints,
        tensorboard=str(run_dir),
    )

    weights = class_weights(settings, train)
    export(
        [best],
        settings,
        ExportSettings.model_validate_json(fn_args.custom_config["export"]),
        train,
        validation,
        Path(fn_args.serving_model_dir),
        {
            "learning_rate": settings.learning_rate,
            "tuned": {name: value for name, value in choice.items() if name != "learning_rate"},
            "recipe": recipe(configured, json.loads(fn_args.custom_config["tune_over"])),
            "start": start,
            "refit": settings.refit,
            "class_weights": dict(zip(settings.classes, weights, strict=True)),
            **best_step(curves, settings.select_by),
        },
    )

    run_dir.mkdir(parents=True, exist_ok=True)
    write_samples(run_dir / SAMPLES, train, settings)
    best.save(run_dir / warm_start.NETWORK)
    with (run_dir / CURVES).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["validation", *curves])
        writer.writerows(
            [number, *values] for number, values in enumerate(zip(*curves.values(), strict=True), 1)
        )


def learned_from(settings: TrainSettings, train: Tiles, validation: Tiles) -> Tiles:
    """The tiles that a training learns from: those of the training split, in a refit of both splits.

    Args:
        settings: settings of the training.
        train: tiles of the training split.
        validation: tiles of the validation split.
    """
    return train + validation if settings.refit else train


def checkpoint_name(settings: TrainSettings, start: str, train: Tiles, validation: Tiles) -> str:
    """Name of the folder of a training's checkpoints; another name if its weights may become others.

    Args:
        settings: settings of the training, with the tuned ones.
        start: text of `warm_start.start`, which describes the initial weights; empty: random ones.
        train: tiles of the training split.
        validation: tiles of the validation split.
    """
    if can_grow(settings):  # a training of more steps goes on from them
        settings = settings.model_copy(update={"steps": 0})
    # Of this module's imports, those that train: an edited export throws no checkpoints away.
    code = fingerprint({"unet.training.loop", "unet.training.warm_start"}, alone={__name__})
    return identity(settings, precision_of(settings.precision), start, data=(train, validation), code=code)


def best_step(curves: Curves, select_by: str) -> dict[str, int | bool]:
    """Returns the number of `steps` of a training, and the step after which its weights were best.

    `declined` says whether the last validations were clearly worse than the best one: by more than they
    differ from one another by chance.

    Args:
        curves: values by name, one for each validation.
        select_by: metric of the eval images by which the weights were chosen.
    """
    steps = np.cumsum(curves["steps"])
    # As the validation chooses: the first of equal scores, and the very first if every score is NaN.
    if f"val_{select_by}" not in curves:  # a refit, which keeps its last weights
        return {"steps": int(steps[-1]), "best_step": int(steps[-1]), "declined": False}
    values = [goodness(select_by, value) for value in curves[f"val_{select_by}"]]
    scores = np.nan_to_num(values, nan=-1.0)
    best = np.argmax(scores)
    after = scores[best:]
    declined = len(after) > _LAST and after[0] - max(after[-_LAST:]) > _CLEARLY * np.median(
        np.abs(np.diff(after))
    )
    return {"steps": int(steps[-1]), "best_step": int(steps[best]), "declined": bool(declined)}


class Executor(trainer_executor.GenericExecutor):
    """TFX's executor; the model also records where its Keras weights are, for a later warm start."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains the model; the optional `base_model` is the model to start from."""
        given = json_utils.loads(exec_properties["custom_config"])
        start_from = given.get("start_from", "")
        if input_dict.get("base_model"):
            base = artifact_utils.get_single_instance(input_dict["base_model"])
            start_from = base.get_string_custom_property(warm_start.MODEL_RUN) or base.uri
        [tiles] = input_dict["examples"]
        images = {split: tiles.get_int_custom_property(f"{split}_count") for split in ("train", "eval")}
        config = {
            **given,
            "start_from": start_from,
            "images": images,
        }
        properties = {**exec_properties, "custom_config": json_utils.dumps(config)}
        super().Do(input_dict, output_dict, properties)
        model = artifact_utils.get_single_instance(output_dict["model"])
        folder = artifact_utils.get_single_uri(output_dict["model_run"])
        model.set_string_custom_property(warm_start.MODEL_RUN, folder)


class Trainer(trainer_component.Trainer):
    """TFX's Trainer with this project's executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
