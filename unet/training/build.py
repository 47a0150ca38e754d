"""Builds the network for training: layers, optimizer, precision and loss."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import keras
import tensorflow as tf

from unet.network import create_unet
from unet.training import losses
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles


def build_network(
    settings: TrainSettings, channels: int, side: int | None, activation: str | None, precision: str
) -> keras.Model:
    """Builds the U-Net of these settings for square inputs of `side` pixels (None: any valid size)."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return create_unet(
            (side, side, channels),
            classes=len(settings.classes),
            base_filters=settings.base_filters,
            depth=settings.depth,
            decoder=settings.decoder,
            dropout=settings.dropout,
            stem_stride=settings.stem_stride,
            normalization_layer=settings.normalization_layer,
            residual=settings.residual,
            activation=activation,
        )
    finally:
        keras.config.set_dtype_policy(before)


def make_optimizer(settings: TrainSettings) -> keras.optimizers.Optimizer:
    """Builds the optimizer; `TrainingProgress` sets its learning rate before every step."""
    rate, clip = settings.learning_rate, settings.clip or None
    if settings.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=settings.momentum, global_clipnorm=clip)
    elif settings.optimizer == "adamw":
        decay = settings.weight_decay
        optimizer = keras.optimizers.AdamW(rate, weight_decay=decay, global_clipnorm=clip)
    else:
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=clip)
    # Without loss scaling, small gradients would underflow in half precision.
    scaled = precision_of(settings.precision) == "mixed_float16"
    return keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer


def precision_of(setting: str) -> str:
    """The Keras dtype policy of the setting `precision`; "auto" is mixed if the hardware has units for it."""
    if setting != "auto":
        return setting
    for device in tf.config.list_physical_devices("GPU"):
        capability = tf.config.experimental.get_device_details(device).get("compute_capability", (0, 0))
        return "mixed_bfloat16" if capability >= (8, 0) else "float32"
    return "mixed_bfloat16" if _cpu_flags() & {"amx_bf16", "avx512_bf16"} else "float32"


def _cpu_flags() -> frozenset[str]:
    """The processor's feature flags as Linux lists them; empty where the list cannot be read."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("flags"):
                return frozenset(line.split())
    return frozenset()


class TrainingModel(keras.Model):
    """A network in training, whose step also returns the norm of the gradients."""

    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """Trains on one batch and returns its loss and gradient norm, without averaging over batches."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        norm = tf.linalg.global_norm(gradients) * (loss / scaled if scaled is not loss else 1.0)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, "gradient_norm": norm}


class Crop(keras.layers.Cropping2D):
    """A cropping layer whose gradient is a padding.

    The gradient of a strided slice, as in Keras' own layer, takes an eighth of a training step on CPUs.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Crops [B, H, W, C] to [B, H - top - bottom, W - left - right, C]."""
        (top, bottom), (left, right) = self.cropping
        batch, height, width, channels = tf.unstack(tf.shape(inputs))
        size = [batch, height - top - bottom, width - left - right, channels]
        cropped = tf.slice(inputs, [0, top, left, 0], size)  # [B, H - top - bottom, W - left - right, C]
        return tf.ensure_shape(cropped, self.compute_output_shape(inputs.shape))


def _training_model(network: keras.Model) -> TrainingModel:
    """Copies a network with `Crop` for its cropping layers; the saved network has Keras' own layers alone."""
    network = keras.models.clone_model(
        network,
        clone_function=lambda layer: (
            Crop.from_config(layer.get_config()) if isinstance(layer, keras.layers.Cropping2D) else layer
        ),
    )
    return TrainingModel(network.inputs, network.outputs[0])


def compile_network(settings: TrainSettings, train: Tiles) -> keras.Model:
    """Builds and compiles a network for training on `train`; it returns logits and uses all GPUs."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    strategy = tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()
    with strategy.scope():
        network = _training_model(
            build_network(
                settings, train.channels, settings.patch_size, None, precision_of(settings.precision)
            )
        )
        loss = losses.SegmentationLoss(
            settings.loss,
            class_weights(settings, train),
            settings.border_weight,
            settings.first_foreground,
        )
        network.compile(make_optimizer(settings), loss)
        # A training step that made these variables would be traced twice, which takes seconds.
        network.optimizer.build(network.trainable_variables)
    return network


def class_weights(settings: TrainSettings, train: Tiles) -> list[float]:
    """Class weights w_c of the paper's equation 2, for each class."""
    if settings.class_weights == "balanced":
        return losses.balanced_weights(train.features["class_pixels"].sum(0).tolist())
    if isinstance(settings.class_weights, Mapping):
        return [settings.class_weights.get(name, 1.0) for name in settings.classes]
    return [1.0] * len(settings.classes)
