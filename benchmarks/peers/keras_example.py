"""The U-Net of keras.io's example of image segmentation, in TensorFlow.

Its design ("Image segmentation with a U-Net-like architecture", F. Chollet): separable convolutions, batch
normalization and residual sums around each halving and doubling, and no connection between the two sides.
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

layers = keras.layers


def network(channels: int, classes: int) -> keras.Model:
    """Builds the network: images [B, H, W, channels] of sides that 16 divides to probabilities."""
    inputs = keras.Input((None, None, channels))
    x = layers.Conv2D(32, 3, strides=2, padding="same")(inputs)  # [B, H/2, W/2, 32]
    x = before = layers.Activation("relu")(layers.BatchNormalization()(x))
    for filters in (64, 128, 256):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layers.SeparableConv2D(filters, 3, padding="same")(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)  # half as high and wide
        x = before = x + layers.Conv2D(filters, 1, strides=2, padding="same")(before)
    for filters in (256, 128, 64, 32):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layers.Conv2DTranspose(filters, 3, padding="same")(x))
        residual = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(before))
        x = before = layers.UpSampling2D(2)(x) + residual  # twice as high and wide
    x = layers.Conv2D(classes, 3, padding="same", activation="softmax", dtype="float32")(x)
    return keras.Model(inputs, x)  # [B, H, W, classes]


class KerasExample:
    """A training of it: the example's loss, and Adam and its schedule as the other peers have them.

    Attributes:
        rate: highest learning rate; the example's own, 1e-4, is made for many epochs.
        schedule: name of the learning-rate schedule.
        batch: number of patches in a step.
        parameters: number of trainable parameters.
    """

    rate, schedule, batch = 1e-3, "cosine", 4

    def __init__(self, channels: int, classes: int, bfloat16: bool, seed: int):
        """Makes the network.

        Args:
            channels: number of channels of the images.
            classes: number of classes.
            bfloat16: train in mixed precision.
            seed: seed of the weights.
        """
        keras.utils.set_random_seed(seed)
        keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
        self._network = network(channels, classes)
        self._network.compile(keras.optimizers.Adam(self.rate), "sparse_categorical_crossentropy")
        self.parameters = sum(int(np.prod(weights.shape)) for weights in self._network.trainable_variables)

    def step(self, x: NDArray[np.float32], y: NDArray[np.int64], rate: float) -> None:
        """Trains with patches [B, channels, H, W] and their class indices [B, H, W]."""
        self._network.optimizer.learning_rate.assign(rate)
        self._network.train_on_batch(x.transpose(0, 2, 3, 1), y[..., None])

    def probabilities(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predicts [H, W, classes] of [channels, H, W] as a whole, reflected to sides that 16 divides."""
        height, width = image.shape[1:]
        rims = [(0, 0), (0, -height % 16), (0, -width % 16)]
        x = np.pad(image, rims, "reflect").transpose(1, 2, 0)[None]  # [1, H', W', channels]
        return self._network.predict_on_batch(x)[0, :height, :width]
