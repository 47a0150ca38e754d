"""The training loop, which Tuner and Trainer share."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from unet.errors import TrainingFailed
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
    if checkpoints:
        watchers.append(CheckpointCallback(checkpoints, best, progress))
        watchers[-1].restore(network)
    stale = settings.patience and best.stale >= settings.patience
    if progress.progress_made < 1 and not stale:
        every = settings.validate_every if settings.minutes else min(settings.validate_every, settings.steps)
        data = training_batches(train, settings, start_batch=progress.step)
        try:
            network.fit(
                data,
                initial_epoch=progress.step // every,
                epochs=np.iinfo(np.int32).max,
                steps_per_epoch=every,
                callbacks=watchers,
                verbose=0,
            )
        except NotFinite as error:
            names = names_of_batch(train, settings, error.step)
            where = f"; the last good weights are in {checkpoints.folder}" if checkpoints else ""
            raise TrainingFailed(
                f"{error}, with patches of {', '.join(names)}: look at these images, or lower the learning "
                f"rate{where}"
            ) from None
    return best.restore_best(), progress.curves
