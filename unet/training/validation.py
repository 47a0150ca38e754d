"""Validation on whole images during training, with the metrics of the gate."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet.images.stacking import composite
from unet.masks.labels import IGNORE
from unet.metrics.confusion import summarize
from unet.metrics.names import goodness
from unet.progress import end_if_requested
from unet.tiling import Geometry
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles, validation_tiles


class WholeImageValidation(keras.callbacks.Callback):
    """Validates on whole images after every epoch and keeps the weights of the best `select_by`."""

    def __init__(self, network: keras.Model, tiles: Tiles, settings: TrainSettings):
        """Stores the validation tiles and traces the prediction.

        Args:
            network: network for any valid input size; its weights are overwritten with the trained ones.
            tiles: tiles of the validation split.
            settings: settings of the training.
        """
        super().__init__()
        self._network, self._tiles, self._settings = network, tiles, settings
        # One trace serves all sizes of tiles and all validations.
        self._predict = tf.function(
            lambda x: tf.argmax(network(x, training=False)[0], -1, tf.int32),  # [h, w]
            input_signature=[tf.TensorSpec([1, None, None, tiles.channels], tf.float32)],
            autograph=False,
        )
        self.best_score = -math.inf
        self.best_weights: list[NDArray] = []
        self.stale = 0  # number of validations since the best one

    def confusion(self) -> NDArray[np.int64]:
        """Confusion matrix over all images, [classes, classes], row = ground truth, column = prediction.

        The images keep the size to which `scale` resized them; only the exported model resizes back.
        """
        count = len(self._settings.classes)
        total = np.zeros(count * count, np.int64)  # [classes * classes]
        for x, ground_truth, rows, columns in validation_tiles(self._tiles, Geometry.of(self._settings)):
            counted = ground_truth != IGNORE  # [rows, columns] bool
            predicted = self._predict(x).numpy()[:rows, :columns]  # [rows, columns]
            pairs = ground_truth[counted].astype(np.int32) * count + predicted[counted]  # [counted pixels]
            total += np.bincount(pairs, minlength=count * count)  # [classes * classes]
            end_if_requested()
        return total.reshape(count, count)  # [classes, classes]

    def pictures(self, count: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yields name and picture of one tile per image, for `count` images.

        The picture shows image, ground truth and prediction side by side: [H, 3 W, 1 or 3] from 0 to 1.
        """
        seen: set[str] = set()
        highest = len(self._settings.classes) - 1
        geometry = Geometry.of(self._settings)
        parts = validation_tiles(self._tiles, geometry)
        for encoded, (x, ground_truth, rows, columns) in zip(
            self._tiles.features["name"], parts, strict=True
        ):
            if len(seen) == count:
                return
            if (name := encoded.decode()) in seen:
                continue
            seen.add(name)
            # [H, W, 1 or 3]
            image = composite(x[0, geometry.halo :, geometry.halo :][:rows, :columns])
            image = (image - image.min()) / max(np.ptp(image), 1e-6)
            masks = (np.minimum(ground_truth, highest), self._predict(x).numpy()[:rows, :columns])  # [H, W]
            gray = [np.repeat(mask[..., None] / highest, image.shape[-1], -1) for mask in masks]  # as image
            yield name, np.concatenate([image, *gray], 1).astype(np.float32)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Validates, and adds all metrics of `unet.metrics.confusion` to the logs as `val_NAME`.

        In a refit, nothing is measured, and the last weights count as the best.
        """
        self._network.set_weights(self.model.get_weights())
        if self._settings.refit:  # these images were trained on: their score would choose, and tell, nothing
            self.best_weights = self._network.get_weights()
            return
        values = summarize(self.confusion(), list(self._settings.classes), self._settings.first_foreground)
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in values.items()})
        score = goodness(self._settings.select_by, values[self._settings.select_by])
        self.stale += 1
        # The first validation always counts as the best: an untrained network may score NaN.
        if not self.best_weights or score > self.best_score:
            self.best_score = -math.inf if math.isnan(score) else score
            self.best_weights = self._network.get_weights()
            self.stale = 0
        if self.stale == self._settings.patience > 0:
            self.model.stop_training = True

    def restore_best(self) -> keras.Model:
        """Returns the network for any valid input size, with the weights of the best validation."""
        self._network.set_weights(self.best_weights)
        return self._network
