"""The training loop, which Tuner and Trainer share."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from unet.errors import TrainingFailed
from unet.progress import Interrupted, deferred
from unet.training.batches import names_of_batch, training_batches
from unet.training.build import build_network
from unet.training.callbacks import (
    CheckpointCallback,
    Curves,
    NotFinite,
    TensorBoard,
    TimeLimit,
    TrainingProgress,
)
from unet.training.checkpoint import Checkpoints
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles
from unet.training.validation import WholeImageValidation


def set_seed(settings: TrainSettings) -> None:
    """Seeds all random generators, so that the same settings give the same weights."""
    keras.utils.set_random_seed(settings.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()


def fit(
    network: keras.Model,
    settings: TrainSettings,
    train: Tiles,
    validation: Tiles,
    title: str,
    *,
    checkpoints: Checkpoints | None = None,
    tensorboard: str = "",
    limit: float | None = None,
) -> tuple[keras.Model, Curves]:
    """Trains until the budget is spent, validating every `settings.validate_every` steps.

    Args:
        network: network that `compile_network` returned.
        settings: settings of the training.
        train: tiles of the training split.
        validation: tiles of the validation split, by which the best weights are chosen.
        title: name of the training in progress reports.
        checkpoints: checkpoints to write and to resume from; None: no checkpoints.
        tensorboard: folder of TensorBoard's event files; empty: no event files.
        limit: minutes after which the training ends even if budget is left; None: no limit.

    Returns:
        A network for any valid input size with the best weights, returning probabilities; and the curves by
        name.

    Raises:
        TrainingFailed: the loss or the gradients became NaN or infinite; the message names the images.
        KeyboardInterrupt: the process was asked to end; a checkpoint holds all steps done.
    """
    best = WholeImageValidation(
        build_network(settings, train.channels, None, "softmax", "float32"), validation, settings
    )
    progress = TrainingProgress(settings, title)
    watchers: list[keras.callbacks.Callback] = [best, progress]
    if limit:
        watchers.append(TimeLimit(limit))
    if tensorboard:
        watchers.append(TensorBoard(tensorboard, best, progress))
    keeper = CheckpointCallback(checkpoints, best, progress) if checkpoints else None
    if keeper:
        keeper.restore(network, settings)
        watchers.append(keeper)
    every = settings.validate_every if settings.minutes else min(settings.validate_every, settings.steps)

    def train_on(steps: int, one_epoch: bool = False) -> None:
        done = len(progress.curves.get("steps", []))
        data = training_batches(train, settings, start_batch=progress.step)
        network.fit(
            data,
            initial_epoch=done,
            epochs=done + 1 if one_epoch else np.iinfo(np.int32).max,
            steps_per_epoch=steps,
            callbacks=watchers,
            verbose=0,
        )

    with deferred():
        try:
            network.stop_training = bool(settings.patience and best.stale >= settings.patience)
            if begun := progress.steps_of_epoch:  # an interruption cut the epoch short
                if begun < every and progress.progress_made < 1:
                    train_on(every - begun, one_epoch=True)
                else:
                    _validate(network, watchers)
            if progress.progress_made < 1 and not network.stop_training:
                train_on(every)
        except Interrupted:
            if keeper:
                progress.stop_clock()
                keeper.save()
            raise
        except NotFinite as error:
            names = names_of_batch(train, settings, error.step)
            where = f"; the last good weights are in {checkpoints.folder}" if checkpoints else ""
            raise TrainingFailed(
                f"{error}, with patches of {', '.join(names)}: look at these images, or lower the learning "
                f"rate{where}"
            ) from None
    return best.restore_best(), progress.curves


def _validate(network: keras.Model, watchers: list[keras.callbacks.Callback]) -> None:
    """Does what Keras does at the end of an epoch."""
    logs: dict[str, float] = {}
    for watcher in watchers:  # all of them, before one may be interrupted
        watcher.set_model(network)
    for watcher in watchers:
        watcher.on_epoch_end(0, logs)
