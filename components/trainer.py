"""The Trainer: trains the U-Net and exports it, with normalisation and tiling inside."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tfx.components.trainer.fn_args_utils import FnArgs

from components import train_settings, training
from components.checkpoint import Checkpoints, identity
from components.export import ExportSettings, export
from components.input_pipeline import read_tiles
from components.train_settings import TrainSettings


def run_fn(fn_args: FnArgs) -> None:
    """Called by TFX.

    `fn_args.custom_config` holds `train` and `export`, the fields of `TrainSettings` and `ExportSettings` as
    JSON, and the folder `checkpoints`. Writes the SavedModel to `fn_args.serving_model_dir`, and the
    Keras model, the curves and what TensorBoard reads to `model_run_dir`. A killed training goes on from its
    last checkpoint.
    """
    settings = TrainSettings(**json.loads(fn_args.custom_config["train"]))
    if fn_args.hyperparameters:
        rate = fn_args.hyperparameters["values"]["learning_rate"]
    else:
        rate = settings.learning_rate
    train, validation = read_tiles(fn_args.train_files), read_tiles(fn_args.eval_files)
    name = identity(settings, rate, data=(train, validation))
    checkpoints = Checkpoints(Path(fn_args.custom_config["checkpoints"], name))
    checkpoints.clear_others()
    training.begin(settings)
    network = training.compile_network(settings, train, rate)
    run_dir = Path(fn_args.model_run_dir)
    best, curves = training.fit(
        network,
        settings,
        train,
        validation,
        "training",
        learning_rate=rate,
        checkpoints=checkpoints,
        tensorboard=str(run_dir),
    )

    export(
        [best],
        settings,
        ExportSettings(**json.loads(fn_args.custom_config["export"])),
        train,
        Path(fn_args.serving_model_dir),
        {"learning_rate": rate, "recipe": train_settings.recipe(settings)},
    )

    run_dir.mkdir(parents=True, exist_ok=True)
    best.save(run_dir / "network.keras")
    with (run_dir / "curves.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *curves])
        writer.writerows(
            [epoch, *values] for epoch, values in enumerate(zip(*curves.values(), strict=True), 1)
        )
