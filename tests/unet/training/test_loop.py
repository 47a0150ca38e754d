"""A training learns, repeats itself, goes on after a kill, and stops at a loss that is no number."""

import dataclasses
import itertools
import logging
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tests.unet.training.tiny import SETTINGS
from unet import progress
from unet.errors import TrainingFailed
from unet.images.reader import decode, encode_png
from unet.masks.labels import IGNORE
from unet.progress import shown_by
from unet.training import callbacks
from unet.training.build import compile_network
from unet.training.checkpoint import Checkpoints
from unet.training.loop import _validate, fit, set_seed
from unet.training.validation import WholeImageValidation


def train(tiles, checkpoints=None, **changes):
    settings = SETTINGS.model_copy(update=changes)
    set_seed(settings)
    network = compile_network(settings, tiles)
    return fit(network, settings, tiles, tiles, "test", checkpoints=checkpoints)


# Building and tracing take most of the time of a training, whatever its steps: tests compare with this one.
WHOLE = {"steps": 25, "validate_every": 10, "schedule": "constant"}


class Steps(logging.Handler):
    """Keeps the steps that trainings report."""

    def __init__(self):
        super().__init__()
        self.done = []

    def emit(self, record):
        self.done.append(record.step)


@pytest.fixture(scope="module")
def whole(tiles):
    """A training of `WHOLE` that nothing stops: its network, curves and steps."""
    with shown_by(steps := Steps()):
        network, curves = train(tiles, **WHOLE)
    return network, curves, steps.done


@pytest.fixture(scope="module")
def learned(tiles):
    return train(tiles)


def assert_same(found, expected):
    """Compares networks and curves of trainings to the bit."""
    assert found[1] == expected[1]
    for a, b in zip(found[0].get_weights(), expected[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_learns(learned):
    _, curves = learned
    assert curves["loss"][-1] < curves["loss"][0]
    assert max(curves["val_foreground_iou"]) > 0.5


def test_the_same_seed_gives_the_same_weights(tiles, whole):
    assert_same(train(tiles, **WHOLE), whole)


def test_the_best_weights_are_kept_and_score_what_the_curve_says(tiles, learned):
    best, curves = learned
    confusion = WholeImageValidation(best, tiles, SETTINGS).confusion()
    assert confusion.sum() == 2 * 32 * 32
    score = confusion[1, 1] / (confusion[1].sum() + confusion[:, 1].sum() - confusion[1, 1])
    assert score == pytest.approx(max(curves["val_foreground_iou"]))


def test_a_refit_returns_the_last_weights_and_scores_no_image_that_it_learned_from(tiles, tmp_path):
    checkpoints = Checkpoints(tmp_path / "here")
    network, curves = train(tiles, checkpoints, steps=30, validate_every=10, refit=True)
    assert set(curves) == {"loss", "gradient_norm", "steps", "learning_rate"}
    assert curves["steps"] == [10, 10, 10]
    found = checkpoints.load(lambda state: state["step"] == 30)
    assert found
    trained = [array for array in found[0]["network"] if array.dtype == np.float32]  # not the seed of dropout
    for kept, last in zip(network.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(kept, last)


def test_the_budget_of_steps_is_kept_where_validations_do_not_divide_it(whole):
    _, curves, steps = whole
    assert steps == list(range(1, 26))
    assert len(curves["val_foreground_iou"]) == 3


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_images(tiles, tmp_path):
    checkpoints = Checkpoints(tmp_path / "here")
    with pytest.raises(
        TrainingFailed, match=r"is (nan|inf) at step \d+, with patches of (0|1|0, 1): "
    ) as error:
        train(tiles, checkpoints, learning_rate=1e20, optimizer="sgd", schedule="constant")
    assert str(checkpoints.folder) in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {
            "optimizer": "adamw",
            "clip": 1.0,
            "schedule": "polynomial",
            "loss": {"dice": 1.0, "focal": 0.5, "tversky": 0.5},
            "class_weights": "balanced",
        },
        {
            "optimizer": "sgd",
            "momentum": 0.99,
            "schedule": "constant",
            "class_weights": {"cell": 3.0},
            "precision": "mixed_bfloat16",
        },
        {"precision": "mixed_float16"},
    ],
)
def test_every_way_of_training_lowers_its_loss(tiles, changes):
    _, curves = train(tiles, steps=60, validate_every=20, **changes)
    assert curves["loss"][-1] < curves["loss"][0]
    assert np.isfinite(curves["gradient_norm"]).all()


def test_a_budget_in_minutes_ends_in_time_with_the_schedule_at_its_end(tiles, monkeypatch):
    # By a real clock, a busy machine takes most of the budget for the first step.
    readings = itertools.count(0, 0.1)
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: next(readings)))
    _, curves = train(tiles, minutes=0.25, validate_every=20)
    assert next(readings) == pytest.approx(15, abs=1)
    assert curves["learning_rate"][-1] < 0.1 * SETTINGS.learning_rate
    assert 15 < sum(curves["steps"]) < 150


def test_a_limit_in_minutes_ends_it_before_its_steps_do_and_validates(tiles):
    set_seed(SETTINGS)
    network = compile_network(SETTINGS, tiles)
    _, curves = fit(network, SETTINGS, tiles, tiles, "test", limit=1e-6)
    assert curves["steps"] == [2]
    assert len(curves["val_foreground_iou"]) == 1


class Killed(Exception):
    pass


def assert_going_on_changes_nothing(tiles, folder, monkeypatch, expected, changes):
    """Kills a training at step 20, which goes on, and once more when nothing is left to do."""
    checkpoints, saved = Checkpoints(folder / "here"), Checkpoints.save

    def save_and_die(self, step, *content):
        saved(self, step, *content)
        if step == 20:
            raise Killed

    monkeypatch.setattr(Checkpoints, "save", save_and_die)
    with pytest.raises(Killed):
        train(tiles, checkpoints, **changes)
    monkeypatch.undo()
    with shown_by(steps := Steps()):
        assert_same(train(tiles, checkpoints, **changes), expected)
        assert steps.done == [21, 22, 23, 24, 25]
        _, same = train(tiles, checkpoints, **changes)
    assert same == expected[1]
    assert steps.done == [21, 22, 23, 24, 25]


def test_a_training_that_went_on_is_the_one_that_was_never_stopped(tiles, tmp_path, monkeypatch, whole):
    assert_going_on_changes_nothing(tiles, tmp_path, monkeypatch, whole, WHOLE)


def test_another_optimizer_layers_and_schedule_go_on_alike(tiles, tmp_path, monkeypatch):
    changes = {
        **WHOLE,
        "schedule": "cosine",
        "optimizer": "sgd",
        "base_filters": 4,
        "depth": 1,
        "stem_stride": 2,
        "normalization_layer": "batch",
        "residual": True,
    }
    expected = train(tiles, **changes)
    assert_going_on_changes_nothing(tiles, tmp_path, monkeypatch, expected, changes)


def test_a_training_of_more_steps_goes_on_and_is_the_one_of_all_steps(tiles, tmp_path, whole):
    checkpoints = Checkpoints(tmp_path / "here")
    train(tiles, checkpoints, **WHOLE | {"steps": 15})
    with shown_by(steps := Steps()):
        again = train(tiles, checkpoints, **WHOLE)
    assert steps.done == list(range(11, 26))  # the validation at 15 is none of a training of 25 steps
    assert_same(again, whole)


def test_a_training_that_is_interrupted_keeps_every_step(tiles, tmp_path, monkeypatch, whole):
    """Within an epoch, at its last step, while it is validated, and at the last step of all."""
    checkpoints, measure = Checkpoints(tmp_path / "here"), WholeImageValidation.confusion
    asked: list[int | str] = []
    waiting: list[int | str] = [3, 10, 17, "validation", 25]

    def ask(where):
        if waiting and where == waiting[0]:
            asked.append(waiting.pop(0))
            assert progress.request()

    def measured(self):
        ask("validation")
        return measure(self)

    class Asking(logging.Handler):
        def emit(self, record):
            ask(record.step)

    monkeypatch.setattr(WholeImageValidation, "confusion", measured)
    with shown_by(Asking()):
        for left in range(5, 0, -1):
            assert len(waiting) == left
            with pytest.raises(KeyboardInterrupt):
                train(tiles, checkpoints, **WHOLE)
        again = train(tiles, checkpoints, **WHOLE)
    assert asked == [3, 10, 17, "validation", 25]
    assert_same(again, whole)
    assert not progress.request()  # nothing is at work that would end by itself


def test_a_validation_that_is_interrupted_has_given_the_network_to_all():
    class Interrupting(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    network, keeper = keras.Sequential([keras.Input([1])]), keras.callbacks.Callback()
    with pytest.raises(KeyboardInterrupt):
        _validate(network, [Interrupting(), keeper])
    assert keeper.model is network  # so it can save


def test_it_stops_early_when_nothing_improves(tiles):
    _, curves = train(tiles, learning_rate=1e-12, steps=200, validate_every=2, patience=2)
    assert len(curves["steps"]) == 3


def marked(tiles, rows):
    """The same tiles, with the first rows of each mask not to be counted."""
    masks = []
    for encoded in tiles.features["tile_mask"]:
        mask = decode(encoded)[..., 0].copy()
        mask[:rows] = IGNORE
        masks.append(encode_png(mask))
    features = {**tiles.features, "tile_mask": np.array(masks, dtype=object)}
    return dataclasses.replace(tiles, features=features)


@pytest.mark.parametrize(("rows", "counted"), [(30, 2 * 22 * 32), (72, 0)])
def test_ignored_pixels_neither_train_nor_count(tiles, rows, counted):
    unsure = marked(tiles, rows)
    best, curves = train(unsure, ignore=99, steps=20, validate_every=20)
    assert np.isfinite(curves["loss"]).all()
    assert WholeImageValidation(best, unsure, SETTINGS).confusion().sum() == counted
