"""The Trainer: trains the U-Net and exports it, with normalisation and tiling inside."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tfx.components.trainer.fn_args_utils import FnArgs

from components import training
from components.checkpoint import Checkpoints, identity
from components.input_pipeline import read_tiles
from components.masks import served_values
from components.serving_graph import Segmenter
from components.tiling import Geometry
from components.train_settings import TrainSettings, recipe, with_choice
from components.versions import TRAINING_RECORD


def run_fn(fn_args: FnArgs) -> None:
    """Called by TFX.

    `fn_args.custom_config` holds `train`, the fields of `TrainSettings` as JSON, `serving_stride`,
    `symmetries`, what is searched besides the rate (`tune_over`, as JSON) and the folder
    `checkpoints`. Writes the SavedModel to
    `fn_args.serving_model_dir`, and the Keras model, the curves and what TensorBoard reads to
    `model_run_dir`. A killed training goes on from its last checkpoint.
    """
    configured = TrainSettings(**json.loads(fn_args.custom_config["train"]))
    choice = fn_args.hyperparameters["values"] if fn_args.hyperparameters else {}
    settings = with_choice(configured, choice)
    train, validation = read_tiles(fn_args.train_files), read_tiles(fn_args.eval_files)
    training.begin(settings)
    network = training.compile_network(settings, train, settings.learning_rate)
    name = identity(settings, data=(train, validation))
    checkpoints = Checkpoints(Path(fn_args.custom_config["checkpoints"], name))
    checkpoints.clear_others()
    run_dir = Path(fn_args.model_run_dir)
    best, curves = training.fit(
        network,
        settings,
        train,
        validation,
        "training",
        learning_rate=settings.learning_rate,
        checkpoints=checkpoints,
        tensorboard=str(run_dir),
    )

    Segmenter(
        best,
        geometry=Geometry(settings.depth),
        channels=train.channels,
        mean=train.mean[0] if settings.normalise == "dataset" else None,
        stddev=train.stddev[0] if settings.normalise == "dataset" else None,
        class_values=served_values(settings.classes),
        scale=settings.scale,
        max_stride=fn_args.custom_config["serving_stride"],
        symmetries=bool(fn_args.custom_config["symmetries"]),
    ).export(fn_args.serving_model_dir)
    record = Path(fn_args.serving_model_dir, TRAINING_RECORD)
    record.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "classes": list(settings.classes),
        "value_range": settings.value_range,  # without it, nobody could send it floating-point images
        "learning_rate": settings.learning_rate,
        "tuned": {name: value for name, value in choice.items() if name != "learning_rate"},
        "recipe": recipe(configured, json.loads(fn_args.custom_config["tune_over"])),
    }
    record.write_text(json.dumps(content, indent=2), encoding="utf-8")

    run_dir.mkdir(parents=True, exist_ok=True)
    best.save(run_dir / "network.keras")
    with (run_dir / "curves.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *curves])
        writer.writerows(
            [epoch, *values] for epoch, values in enumerate(zip(*curves.values(), strict=True), 1)
        )
