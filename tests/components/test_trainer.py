"""What the Trainer tells of a training, and when it resumes one."""

import importlib.metadata
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfx.components.trainer import executor as trainer_executor
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.types.standard_artifacts import Examples, Model, ModelRun
from tfx.utils import json_utils

from components.trainer import Executor, best_step, checkpoint_name, learned_from, run_fn
from tests.unet.training.tiny import SETTINGS, SIZES
from unet.errors import ImagesLost
from unet.training import build
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.2, 0.8, 0.8], 20), ([0.2, 0.8, 0.9], 25), ([math.nan, 0.1, 0.0], 20), ([math.nan] * 3, 10)],
    ids=["the first of equals", "the last", "no number", "no number at all"],
)
def test_the_best_step_is_that_of_the_weights_that_are_kept(scores, best):
    curves = {"steps": [10, 10, 5], "val_foreground_iou": scores}
    assert best_step(curves, "foreground_iou") == {"steps": 25, "best_step": best, "declined": False}


@pytest.mark.parametrize(
    ("scores", "declined"),
    [
        ([0.2, 0.8, 0.6, 0.61, 0.6, 0.61], True),
        ([0.5, 0.81, 0.79, 0.8, 0.79, 0.8], False),  # a plateau: they differ by chance
        ([0.5, 0.8, 0.5, 0.8, 0.5, 0.79], False),  # noise
        ([0.2, 0.8, 0.3], False),  # too few to tell
        ([0.1, 0.2, 0.3, 0.4, 0.5], False),
        ([0.0] * 6, False),
    ],
)
def test_a_training_declined_if_its_end_is_worse_by_more_than_chance(scores, declined):
    curves = {"steps": [1] * len(scores), "val_foreground_iou": scores}
    assert best_step(curves, "foreground_iou")["declined"] == declined


@pytest.mark.parametrize(
    ("select_by", "best"), [("foreground_iou", 10), ("pixel_error", 20), ("iou_border", 30)]
)
def test_the_best_step_is_that_of_the_metric_that_was_chosen(select_by: str, best: int):
    curves: dict[str, list[float]] = {
        "steps": [10, 10, 10],
        "val_foreground_iou": [0.9, 0.8, 0.8],
        "val_pixel_error": [0.3, 0.1, 0.2],
        "val_iou_border": [0.0, 0.1, 0.2],
    }
    assert best_step(curves, select_by)["best_step"] == best


def test_a_refit_keeps_its_last_weights():
    assert best_step({"steps": [10, 10, 5], "loss": [0.3, 0.2, 0.9]}, "foreground_iou") == {
        "steps": 25, "best_step": 25, "declined": False,
    }  # fmt: skip


@pytest.mark.parametrize("refit", [False, True])
def test_a_refit_learns_from_the_tiles_of_both_splits(refit: bool):
    def tiles(*names: str) -> Tiles:
        constants = np.full((len(names), 1), len(names), np.float32)
        return Tiles({"name": np.array(names)}, constants, constants)

    found = learned_from(TrainSettings(refit=refit), tiles("a", "b"), tiles("c"))
    assert list(found.features["name"]) == ["a", "b", "c"][: 3 if refit else 2]
    assert found.mean[:, 0].tolist() == found.stddev[:, 0].tolist() == [2, 2, 1][: 3 if refit else 2]


def name_of_checkpoints(start: str = "", pixel: int = 1, **changes: Any) -> str:
    constants = np.zeros((1, 1), np.float32)
    train = Tiles({"tile": np.array([pixel])}, constants, constants)
    return checkpoint_name(TrainSettings(**changes), start, train, train)


@pytest.mark.parametrize(
    ("edited", "resumes"),
    [
        ("components/trainer.py", False),
        ("unet/training/warm_start.py", False),
        ("unet/training/losses.py", False),
        ("unet/network.py", False),
        ("unet/export/graph.py", True),  # rooms that training does not reach
        ("unet/training/export.py", True),
        ("unet/inference/tiled.py", True),
        ("components/tuner.py", True),
    ],
)
def test_a_training_resumes_only_with_the_code_that_trains(checkout: Path, edited: str, resumes: bool):
    before = name_of_checkpoints()
    (checkout / edited).write_text((checkout / edited).read_text() + "\nedited = 1\n")
    assert (name_of_checkpoints() == before) == resumes


def test_a_training_resumes_only_with_its_start_data_libraries_and_precision(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build.tf.config, "list_physical_devices", lambda kind: [])
    names = {name_of_checkpoints(), name_of_checkpoints("from others"), name_of_checkpoints(pixel=2)}
    version = importlib.metadata.version
    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", lambda name: "0" if name == "keras" else version(name))
        names.add(name_of_checkpoints())
    monkeypatch.setattr(build, "_cpu_flags", lambda: frozenset({"amx_bf16"}))
    names.add(name_of_checkpoints())
    monkeypatch.setattr(build, "_cpu_flags", frozenset)
    names.add(name_of_checkpoints())
    assert len(names) == 5  # one of the two kinds of processors is this one


def test_the_number_of_steps_is_no_part_of_the_name_where_a_training_may_go_on():
    constant: dict[str, Any] = {"schedule": "constant"}
    assert name_of_checkpoints(steps=5, **constant) == name_of_checkpoints(steps=9, **constant)
    assert name_of_checkpoints(steps=5) != name_of_checkpoints(steps=9)
    assert name_of_checkpoints(steps=5, minutes=1, **constant) != name_of_checkpoints(
        steps=9, minutes=1, **constant
    )


def test_it_is_told_how_many_images_it_must_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []
    monkeypatch.setattr(trainer_executor.GenericExecutor, "Do", lambda self, *given: seen.append(given[2]))
    tiles, model, model_run = Examples(), Model(), ModelRun()
    model_run.uri = str(tmp_path)
    tiles.set_int_custom_property("train_count", 120)
    tiles.set_int_custom_property("eval_count", 24)
    written = {"model": [model], "model_run": [model_run]}
    Executor().Do({"examples": [tiles]}, written, {"custom_config": json_utils.dumps({"train": "{}"})})
    [given] = seen
    assert json_utils.loads(given["custom_config"])["images"] == {"train": 120, "eval": 24}


@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_training_without_all_images_is_not_begun(patterns: list[str], split: str):
    config = {
        "train": SETTINGS.model_dump_json(),
        "images": {"train": len(SIZES), "eval": len(SIZES), split: len(SIZES) + 1},
    }
    with pytest.raises(ImagesLost, match=f"tiles of {len(SIZES)} images, {len(SIZES) + 1} were read"):
        run_fn(FnArgs(train_files=patterns, eval_files=patterns, custom_config=config))
