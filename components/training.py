"""One training of one network: what Tuner and Trainer share."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components import losses, metrics
from components.errors import TrainingFailed
from components.input_pipeline import Tiles, training_batches, validation_tiles
from components.masks import IGNORE, Value
from components.tiling import Geometry
from components.unet import Decoder, create_unet

# Records carry `epoch`, `epochs`, `step`, `steps` and `values`; whoever drives the run may show them.
progress = logging.getLogger("unet.progress")


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """What shapes a training; see `pipeline.config.PipelineConfig` for the meaning of each."""

    classes: dict[str, Value]
    ignore: Value | None
    value_range: tuple[float, float] | None
    scale: float
    decoder: Decoder
    base_filters: int
    depth: int
    dropout: float
    window: int
    batch_size: int
    steps: int
    validate_every: int
    optimizer: str
    momentum: float
    learning_rate: float
    schedule: str
    grey: float
    normalise: str
    seed: int


def recipe(settings: TrainSettings) -> dict[str, Any]:
    """What a learning rate was found for: with another recipe, another rate is the best one."""
    budget = ("classes", "value_range", "steps", "validate_every", "learning_rate", "seed")
    return {key: value for key, value in dataclasses.asdict(settings).items() if key not in budget}


def build_network(
    settings: TrainSettings, channels: int, side: int | None, activation: str | None
) -> keras.Model:
    """The U-Net of these settings, for inputs of `side` pixels (None: any legal side)."""
    return create_unet(
        (side, side, channels),
        classes=len(settings.classes),
        base_filters=settings.base_filters,
        depth=settings.depth,
        decoder=settings.decoder,
        dropout=settings.dropout,
        activation=activation,
    )


def make_optimizer(settings: TrainSettings, learning_rate: float) -> keras.optimizers.Optimizer:
    """The optimizer with its schedule over `settings.steps`."""
    rate: Any = learning_rate
    if settings.schedule == "cosine":
        # A short warm-up: he_normal weights and Adam's empty moments do not stand the full rate at once.
        warmup = min(50, settings.steps // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            learning_rate / 10 if warmup else learning_rate,
            decay_steps=max(1, settings.steps - warmup),
            warmup_target=learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum)
    return keras.optimizers.Adam(rate)


def compile_network(settings: TrainSettings, channels: int, learning_rate: float) -> keras.Model:
    """A network that returns logits, compiled to train on windows."""
    network = build_network(settings, channels, settings.window, activation=None)
    network.compile(
        make_optimizer(settings, learning_rate), losses.pixel_cross_entropy(settings.ignore is not None)
    )
    return network


class WholeImageValidation(keras.callbacks.Callback):
    """Validates on whole images after every epoch and keeps the weights of the best mean foreground IoU."""

    def __init__(self, network: keras.Model, tiles: Tiles, settings: TrainSettings):
        """Args: network: of any input size; its weights are overwritten with those in training."""
        super().__init__()
        self._network, self._tiles, self._settings = network, tiles, settings
        # One trace for all sizes of tiles and all validations.
        self._predict = tf.function(
            lambda x: tf.argmax(network(x, training=False)[0], -1, tf.int32),
            input_signature=[tf.TensorSpec([1, None, None, tiles.channels], tf.float32)],
        )
        self._best_score = -math.inf
        self._best_weights: list[NDArray] = []

    def confusion(self) -> NDArray[np.int64]:
        """Pixel counts over all whole images, [classes, classes], row = truth, column = prediction.

        The images are as large as the network sees them; `scale` is undone in the exported model alone.
        """
        count = len(self._settings.classes)
        total = np.zeros(count * count, np.int64)
        for x, truth, rows, columns in validation_tiles(self._tiles, Geometry(self._settings.depth)):
            counted = truth != IGNORE
            predicted = self._predict(x).numpy()[:rows, :columns]
            pairs = truth[counted].astype(np.int32) * count + predicted[counted]
            total += np.bincount(pairs, minlength=count * count)
        return total.reshape(count, count)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds all metrics of `components.metrics` to the logs, as `val_NAME`."""
        self._network.set_weights(self.model.get_weights())
        values = metrics.summarize(self.confusion(), list(self._settings.classes))
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in values.items()})
        score = values["foreground_iou"]
        # The first validation always counts: a network that finds nothing yet may score NaN.
        if not self._best_weights or score > self._best_score:
            self._best_score = -math.inf if math.isnan(score) else score
            self._best_weights = self._network.get_weights()

    def restore_best(self) -> keras.Model:
        """The network of any input size, with the best weights."""
        self._network.set_weights(self._best_weights)
        return self._network


class ReportProgress(keras.callbacks.Callback):
    """Logs every step for whoever shows progress, and stops on a loss that is not finite."""

    def __init__(self, epochs: int, steps: int, title: str):
        """Args: epochs, steps: of the whole training; title: what is being trained."""
        super().__init__()
        self._epoch, self._epochs, self._step, self._steps = 1, epochs, 0, steps
        self._title = title
        self._validation: dict[str, float] = {}

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Raises `TrainingFailed` when the loss is NaN or infinite."""
        self._step += 1
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the loss is {loss} at step {self._step} of {self._steps}: a lower learning rate may help"
            )
        if self._step == self._steps:
            self.model.stop_training = True  # in the middle of the last epoch; it is validated like any other
        values = {"loss": loss, **self._validation}
        counts = {"epoch": self._epoch, "epochs": self._epochs, "step": self._step, "steps": self._steps}
        progress.info("%s", self._title, extra={**counts, "values": values})

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers the validation to show it beside the loss."""
        self._epoch = epoch + 2  # Keras counts from 0, and this one is over
        value = (logs or {}).get("val_foreground_iou")
        if value is not None:
            self._validation = {"IoU": value}


def fit(
    network: keras.Model, settings: TrainSettings, train: Tiles, validation: Tiles, title: str
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Trains for `settings.steps` steps, validating every `settings.validate_every`.

    Args:
        network: compiled, with a fixed window.
        settings: of the training.
        train: tiles to learn from.
        validation: tiles to choose the weights by.
        title: what is being trained, for the progress.

    Returns:
        The network of any input size with the best weights, returning probabilities, and the curves by name.

    Raises:
        TrainingFailed: the loss became NaN or infinite.
    """
    data = training_batches(
        train,
        window=settings.window,
        geometry=Geometry(settings.depth),
        batch_size=settings.batch_size,
        seed=settings.seed,
        grey=settings.grey,
    )
    steps = min(settings.validate_every, settings.steps)
    epochs = math.ceil(settings.steps / steps)
    best = WholeImageValidation(
        build_network(settings, train.channels, None, activation="softmax"), validation, settings
    )
    callbacks: list[Callable | keras.callbacks.Callback] = [
        best,
        ReportProgress(epochs, settings.steps, title),
    ]
    history = network.fit(data, epochs=epochs, steps_per_epoch=steps, callbacks=callbacks, verbose=0)
    return best.restore_best(), history.history
