"""What is done between steps, each called as Keras calls it."""

import logging
import math
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

from tests.unet.training.tiny import SETTINGS
from unet.training.callbacks import CheckpointCallback, NotFinite, TensorBoard, TimeLimit, TrainingProgress
from unet.training.checkpoint import Checkpoints
from unet.training.schedule import rate_factor
from unet.training.validation import WholeImageValidation


def network(optimizer=None):
    made = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Cropping2D(20), keras.layers.Conv2D(2, 1)]
    )
    made.compile(optimizer or keras.optimizers.SGD(1.0, momentum=0.5))
    made.optimizer.build(made.trainable_variables)
    made.stop_training = False
    return made


def course(optimizer=None, **changes):
    made = TrainingProgress(SETTINGS.model_copy(update=changes), "training")
    made.set_model(network(optimizer))
    made.on_train_begin()
    return made


def step(callback, batch, loss=1.0, norm=1.0):
    callback.on_train_batch_begin(batch)
    callback.on_train_batch_end(batch, {"loss": loss, "gradient_norm": norm})


def rate(callback):
    return float(callback.model.optimizer.learning_rate)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test lets pass by itself."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("schedule", ["cosine", "polynomial", "constant"])
def test_each_step_has_the_rate_of_the_schedule(schedule):
    callback = course(schedule=schedule, steps=4, learning_rate=0.5)
    rates = []
    for batch in range(4):
        step(callback, batch)
        rates.append(rate(callback))
    expected = [0.5 * rate_factor(schedule, number / 4, number) for number in range(4)]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_it_ends_with_the_last_step():
    callback = course(steps=3)
    stopped = []
    for batch in range(3):
        step(callback, batch)
        stopped.append(callback.model.stop_training)
    assert stopped == [False, False, True]
    assert callback.progress_made == 1


def test_a_row_of_the_curves_is_the_mean_over_its_own_steps():
    callback = course(steps=10, schedule="constant", learning_rate=0.25)
    for batch, loss in enumerate([1.0, 3.0, 5.0]):
        step(callback, batch, loss, 2 * loss)
    callback.on_epoch_end(0, {"loss": 9.0, "val_foreground_iou": 0.5})
    step(callback, 0, 7.0, 8.0)
    callback.on_epoch_end(1, {"val_foreground_iou": 0.75})
    assert callback.curves == {
        "loss": [3.0, 7.0],
        "gradient_norm": [6.0, 8.0],
        "val_foreground_iou": [0.5, 0.75],
        "steps": [3, 1],
        "learning_rate": [0.25, 0.25],
    }


def test_what_is_shown_of_a_step(caplog):
    callback = course(steps=5, validate_every=2)
    with caplog.at_level(logging.INFO, "unet.progress"):
        step(callback, 0, 1.0)
        step(callback, 1, 4.0)
        callback.on_epoch_end(0, {"val_foreground_iou": 0.5})
        step(callback, 0, 3.0)
    shown = [(r.step, r.steps, r.values) for r in caplog.records]
    assert shown == [
        (1, 5, {"loss": 1.0}),
        (2, 5, {"loss": 2.5}),
        (3, 5, {"loss": 3.0, "IoU": 0.5}),
    ]


def test_a_budget_in_minutes_is_spent_by_time(clock, caplog):
    callback = course(minutes=2, steps=1, schedule="polynomial", learning_rate=1.0, validate_every=10)
    clock[0] += 30
    with caplog.at_level(logging.INFO, "unet.progress"):
        step(callback, 0)
    assert callback.progress_made == 0.25
    assert rate(callback) == pytest.approx(rate_factor("polynomial", 0.25, 0))
    assert [(r.step, r.steps) for r in caplog.records] == [(1, 4)]  # as many as seem to fit
    assert not callback.model.stop_training
    callback.on_epoch_end(0)
    assert callback.seconds == 30
    callback.on_train_begin()
    clock[0] += 90
    assert callback.progress_made == 1
    step(callback, 0)
    assert callback.model.stop_training


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("name", "said"), [("loss", "loss"), ("gradient_norm", "gradient norm")])
def test_what_is_not_finite_is_named_with_its_step(name, said, value):
    callback = course()
    step(callback, 0)
    logs = {"loss": 1.0, "gradient_norm": 1.0} | {name: value}
    with pytest.raises(NotFinite, match=f"^the {said} is {value} at step 2$") as caught:
        callback.on_train_batch_end(1, logs)
    assert caught.value.step == 1


def test_gradients_alone_may_overflow_where_the_loss_is_scaled():
    callback = course(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0)))
    callback.on_train_batch_end(0, {"loss": 1.0, "gradient_norm": math.inf})
    assert callback.step == 1
    with pytest.raises(NotFinite, match="the loss is inf at step 2"):
        callback.on_train_batch_end(1, {"loss": math.inf, "gradient_norm": 1.0})


@pytest.mark.parametrize(("seconds", "over"), [(89, False), (90, True), (91, True)])
def test_a_limit_counts_from_the_end_of_the_first_step_which_is_traced(clock, seconds, over):
    limit = TimeLimit(1.5)
    limit.set_model(network())
    limit.model.stop_training = False
    clock[0] += 500
    limit.on_train_batch_end(0)
    assert not limit.model.stop_training
    clock[0] += seconds
    limit.on_train_batch_end(1)
    assert limit.model.stop_training == over


def save(folder, tiles):
    """A callback of its own network, which has made one step."""
    made = course(steps=10)
    save = CheckpointCallback(Checkpoints(folder), WholeImageValidation(network(), tiles, SETTINGS), made)
    save.set_model(made.model)
    return save, save._validation, made


def test_a_training_goes_on_from_its_checkpoint(tiles, tmp_path):
    first, validation, before = save(tmp_path, tiles)
    first.restore(first.model, SETTINGS)  # there is none yet
    first.model.optimizer.apply(
        [tf.ones_like(v) for v in first.model.trainable_variables], first.model.trainable_variables
    )
    step(before, 0, 2.0)
    before.on_epoch_end(0, {"val_foreground_iou": 0.5})
    before.seconds = 7.5
    validation.best_weights = [2 * w for w in first.model.get_weights()]
    validation.best_score, validation.stale = 0.5, 3
    first.on_epoch_end(0)

    again, others, after = save(tmp_path, tiles)
    again.restore(again.model, SETTINGS)
    assert (after.step, after.seconds, after.curves) == (1, 7.5, before.curves)
    assert (others.best_score, others.stale) == (0.5, 3)
    pairs = [*zip(others.best_weights, validation.best_weights, strict=True)]
    pairs += zip(again.model.variables, first.model.variables, strict=True)
    pairs += zip(again.model.optimizer.variables, first.model.optimizer.variables, strict=True)
    assert len(pairs) > 6
    for found, expected in pairs:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def events(folder):
    found = []
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            found += [(event.step, value.tag, value.tensor) for value in event.summary.value]
    return found


def test_curves_and_some_images_are_shown_at_their_steps(tiles, tmp_path):
    made = course(steps=10)
    made.step = 5
    made.curves = {"loss": [4.0, 2.0], "steps": [2, 3]}
    progress = TensorBoard(str(tmp_path), WholeImageValidation(network(), tiles, SETTINGS), made, images=1)
    progress.on_train_begin()
    made.curves = {"loss": [4.0, 2.0, 1.0], "steps": [2, 3, 4]}
    made.step = 9
    progress.on_epoch_end(2)
    told = events(tmp_path)
    loss = [(number, float(tf.make_ndarray(tensor))) for number, tag, tensor in told if tag == "loss"]
    assert loss == [(2, 4.0), (5, 2.0), (9, 1.0)]
    [(number, picture)] = [(number, tensor) for number, tag, tensor in told if tag == "0"]
    assert number == 9
    width, height, png = picture.string_val
    assert (int(width), int(height)) == (96, 32)
    assert tf.io.decode_png(png).shape == (32, 96, 1)


def test_a_training_that_begins_has_no_past(tiles, tmp_path):
    progress = TensorBoard(str(tmp_path), WholeImageValidation(network(), tiles, SETTINGS), course(steps=10))
    progress.on_train_begin()
    assert events(tmp_path) == []
