"""The Trainer: trains the U-Net and exports it, with normalisation and tiling inside."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import keras
from tfx.components.trainer.fn_args_utils import FnArgs

from components import training
from components.input_pipeline import read_tiles
from components.masks import served_values
from components.serving_graph import Segmenter
from components.tiling import Geometry
from components.training import TrainSettings
from components.versions import TRAINING_RECORD


def run_fn(fn_args: FnArgs) -> None:
    """Called by TFX.

    `fn_args.custom_config` holds `train`, the fields of `TrainSettings` as JSON, and `serving_stride`. Writes
    the SavedModel to `fn_args.serving_model_dir`, and the Keras model and the curves to `model_run_dir`.
    """
    settings = TrainSettings(**json.loads(fn_args.custom_config["train"]))
    if fn_args.hyperparameters:
        rate = fn_args.hyperparameters["values"]["learning_rate"]
    else:
        rate = settings.learning_rate
    train, validation = read_tiles(fn_args.train_files), read_tiles(fn_args.eval_files)
    keras.utils.set_random_seed(settings.seed)
    network = training.compile_network(settings, train.channels, rate)
    best, curves = training.fit(network, settings, train, validation, "training")

    Segmenter(
        best,
        geometry=Geometry(settings.depth),
        channels=train.channels,
        mean=train.mean[0] if settings.normalise == "dataset" else None,
        stddev=train.stddev[0] if settings.normalise == "dataset" else None,
        class_values=served_values(settings.classes),
        scale=settings.scale,
        max_stride=fn_args.custom_config["serving_stride"],
    ).export(fn_args.serving_model_dir)
    record = Path(fn_args.serving_model_dir, TRAINING_RECORD)
    record.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "classes": list(settings.classes),
        "value_range": settings.value_range,  # without it, nobody could send it floating-point images
        "learning_rate": rate,
        "recipe": training.recipe(settings),
    }
    record.write_text(json.dumps(content, indent=2), encoding="utf-8")

    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    best.save(run_dir / "network.keras")
    with (run_dir / "curves.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *curves])
        writer.writerows(
            [epoch, *values] for epoch, values in enumerate(zip(*curves.values(), strict=True), 1)
        )
