"""One training of one network: what Tuner and Trainer share."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components import losses, metrics
from components.augment import Augmentation
from components.checkpoint import Checkpoints
from components.errors import TrainingFailed
from components.input_pipeline import Tiles, names_of_batch, training_batches, validation_tiles
from components.masks import IGNORE, Value
from components.schedule import rate_factor
from components.tiling import Geometry
from components.unet import Decoder, create_unet

# Records carry `epoch`, `epochs`, `step`, `steps` and `values`; whoever drives the run may show them.
progress = logging.getLogger("unet.progress")

Curves = dict[str, list[float]]


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
    minutes: float | None
    validate_every: int
    patience: int
    loss: dict[str, float]
    class_weights: str | dict[str, float]
    border_weight: float
    border_sigma: float
    optimizer: str
    momentum: float
    weight_decay: float
    clip: float
    learning_rate: float
    schedule: str
    precision: str
    flip: bool
    warp: float
    rotation: float
    zoom: float
    elastic: float
    grey: float
    rare: float
    normalise: str
    deterministic: bool
    seed: int

    @property
    def augmentation(self) -> Augmentation:
        """How windows are changed at random."""
        names = (field.name for field in dataclasses.fields(Augmentation))
        return Augmentation(**{name: getattr(self, name) for name in names})


def recipe(settings: TrainSettings) -> dict[str, Any]:
    """What a learning rate was found for: with another recipe, another rate is the best one."""
    budget = ("classes", "value_range", "steps", "minutes", "validate_every", "patience", "learning_rate",
              "deterministic", "seed")  # fmt: skip
    return {key: value for key, value in dataclasses.asdict(settings).items() if key not in budget}


def begin(settings: TrainSettings) -> None:
    """Seeds every generator, so that the same settings give the same weights."""
    keras.utils.set_random_seed(settings.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()


def build_network(
    settings: TrainSettings, channels: int, side: int | None, activation: str | None, precision: str
) -> keras.Model:
    """The U-Net of these settings, for inputs of `side` pixels (None: any legal side)."""
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
            activation=activation,
        )
    finally:
        keras.config.set_dtype_policy(before)


def make_optimizer(settings: TrainSettings, learning_rate: float) -> keras.optimizers.Optimizer:
    """The optimizer; its learning rate is set before every step."""
    clip = settings.clip or None
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=settings.momentum, global_clipnorm=clip)
    if settings.optimizer == "adamw":
        return keras.optimizers.AdamW(
            learning_rate, weight_decay=settings.weight_decay, global_clipnorm=clip
        )
    return keras.optimizers.Adam(learning_rate, global_clipnorm=clip)


def precision_of(setting: str) -> str:
    """The Keras policy of a `precision`; "auto" is mixed where the hardware has units for it."""
    if setting != "auto":
        return setting
    for device in tf.config.list_physical_devices("GPU"):
        capability = tf.config.experimental.get_device_details(device).get("compute_capability", (0, 0))
        return "mixed_bfloat16" if capability >= (8, 0) else "float32"
    return "mixed_bfloat16" if "amx_bf16" in _cpu_flags() else "float32"


def _cpu_flags() -> frozenset[str]:
    """What the processor can do, as Linux names it; nothing where that is not told."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("flags"):
                return frozenset(line.split())
    return frozenset()


class Trainee(keras.Model):
    """A network in training, whose step also tells the norm of the gradients."""

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step; loss and norm are those of this batch alone."""
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        norm = tf.linalg.global_norm(gradients) * (loss / scaled if scaled is not loss else 1.0)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, "gradient_norm": norm}


def compile_network(settings: TrainSettings, train: Tiles, learning_rate: float) -> keras.Model:
    """A network that returns logits, compiled to train on windows of `train`; replicated on several GPUs."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    strategy = tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()
    with strategy.scope():
        network = build_network(
            settings, train.channels, settings.window, None, precision_of(settings.precision)
        )
        network = Trainee(network.inputs, network.outputs[0])
        loss = losses.SegmentationLoss(settings.loss, class_weights(settings, train), settings.border_weight)
        network.compile(make_optimizer(settings, learning_rate), loss)
    return network


def class_weights(settings: TrainSettings, train: Tiles) -> list[float]:
    """w_c of the paper's equation 2 for each class."""
    if settings.class_weights == "balanced":
        return losses.balanced_weights(train.features["class_pixels"].sum(0).tolist())
    if isinstance(settings.class_weights, Mapping):
        return [settings.class_weights.get(name, 1.0) for name in settings.classes]
    return [1.0] * len(settings.classes)


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
        self.best_score = -math.inf
        self.best_weights: list[NDArray] = []
        self.stale = 0  # validations since the best one

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

    def pictures(self, count: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Name, and [H, 3 W, 1 or 3] from 0 to 1 side by side: image, truth, prediction; one tile an image."""
        seen: set[str] = set()
        highest = len(self._settings.classes) - 1
        geometry = Geometry(self._settings.depth)
        parts = validation_tiles(self._tiles, geometry)
        for encoded, (x, truth, rows, columns) in zip(self._tiles.features["name"], parts, strict=True):
            if len(seen) == count:
                return
            if (name := encoded.decode()) in seen:
                continue
            seen.add(name)
            image = x[0, geometry.halo :, geometry.halo :][:rows, :columns]
            image = (image - image.min()) / max(np.ptp(image), 1e-6)
            masks = (np.minimum(truth, highest), self._predict(x).numpy()[:rows, :columns])
            grey = [np.repeat(mask[..., None] / highest, image.shape[-1], -1) for mask in masks]
            yield name, np.concatenate([image, *grey], 1).astype(np.float32)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds all metrics of `components.metrics` to the logs, as `val_NAME`."""
        self._network.set_weights(self.model.get_weights())
        values = metrics.summarize(self.confusion(), list(self._settings.classes))
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in values.items()})
        score = values["foreground_iou"]
        self.stale += 1
        # The first validation always counts: a network that finds nothing yet may score NaN.
        if not self.best_weights or score > self.best_score:
            self.best_score = -math.inf if math.isnan(score) else score
            self.best_weights = self._network.get_weights()
            self.stale = 0
        if self.stale == self._settings.patience > 0:
            self.model.stop_training = True

    def restore_best(self) -> keras.Model:
        """The network of any input size, with the best weights."""
        self._network.set_weights(self.best_weights)
        return self._network


class Course(keras.callbacks.Callback):
    """Drives a training through its budget: the rate of each step, what is shown, when it ends.

    Attributes:
        step: steps done.
        seconds: what they and their validations took, over all processes that worked on this training.
        curves: values by name, one for each epoch.
    """

    def __init__(self, settings: TrainSettings, learning_rate: float, title: str):
        """Args: learning_rate: the highest; title: what is being trained."""
        super().__init__()
        self.step, self.seconds, self.curves = 0, 0.0, Curves()
        self._settings, self._rate, self._title = settings, learning_rate, title
        self._sums: dict[str, float] = {}
        self._since = time.monotonic()

    @property
    def spent(self) -> float:
        """The part of the budget that is spent, 0 to 1."""
        if self._settings.minutes is None:
            return self.step / self._settings.steps
        return (self.seconds + time.monotonic() - self._since) / (60 * self._settings.minutes)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """The clock runs from here."""
        self._since = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the learning rate of the step."""
        factor = rate_factor(self._settings.schedule, self.spent, self.step)
        self.model.optimizer.learning_rate = self._rate * factor

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Raises `NotFinite` when loss or gradients are not finite."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        for name, value in values.items():
            # Where the loss is scaled, the optimizer leaves out a step of infinite gradients by itself.
            scaled = name == "gradient_norm" and hasattr(self.model.optimizer, "dynamic_scale")
            if not (math.isfinite(value) or scaled):
                raise NotFinite(name.replace("_", " "), value, self.step)
            self._sums[name] = self._sums.get(name, 0.0) + value
        self.step += 1
        if self.spent >= 1:
            self.model.stop_training = True  # in the middle of the last epoch; it is validated like any other
        shown = {"loss": self._sums["loss"] / (batch + 1)}
        if best := self.curves.get("val_foreground_iou"):
            shown["IoU"] = best[-1]
        every, done = self._settings.validate_every, len(next(iter(self.curves.values()), []))
        # With a budget in minutes: how many it seems to be enough for.
        steps = self._settings.steps if self._settings.minutes is None else round(self.step / self.spent)
        counts = {"epoch": done + 1, "epochs": -(-steps // every), "step": self.step, "steps": steps}
        progress.info("%s", self._title, extra={**counts, "values": shown})

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds a row to the curves: means of what the steps told, and the validation."""
        steps = self.step - sum(map(int, self.curves.get("steps", [])))
        row = {name: total / steps for name, total in self._sums.items()}
        row |= {name: float(value) for name, value in (logs or {}).items() if name.startswith("val_")}
        row |= {"steps": steps, "learning_rate": float(self.model.optimizer.learning_rate)}
        for name, value in row.items():
            self.curves.setdefault(name, []).append(value)
        self._sums = {}
        self.seconds, self._since = self.seconds + time.monotonic() - self._since, time.monotonic()


class TensorBoard(keras.callbacks.Callback):
    """Curves, and a few validation images, for TensorBoard; a training that goes on tells its past, too."""

    def __init__(self, folder: str, validation: WholeImageValidation, course: Course, images: int = 3):
        """Args: folder: of the event files; images: how many are shown."""
        super().__init__()
        self._writer = tf.summary.create_file_writer(folder)
        self._validation, self._course, self._images = validation, course, images

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Writes what was before this process."""
        for row in range(len(self._course.curves.get("steps", []))):
            self._write(row)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the newest values and the answers to some images."""
        self._write(len(self._course.curves["steps"]) - 1)
        with self._writer.as_default(self._course.step):
            for name, picture in self._validation.pictures(self._images):
                tf.summary.image(name, picture[None])
        self._writer.flush()

    def _write(self, row: int) -> None:
        curves = self._course.curves
        with self._writer.as_default(int(sum(curves["steps"][: row + 1]))):
            for name, values in curves.items():
                tf.summary.scalar(name, values[row])


class NotFinite(TrainingFailed):  # noqa: N818 - what it says
    """A loss or a gradient became NaN or infinite at a step (from 0)."""

    def __init__(self, what: str, value: float, step: int):
        """Args: what: loss or gradient norm; value: of it."""
        super().__init__(f"the {what} is {value} at step {step + 1}")
        self.step = step


class Save(keras.callbacks.Callback):
    """Writes a checkpoint after every epoch, and goes on from one."""

    def __init__(self, checkpoints: Checkpoints, validation: WholeImageValidation, course: Course):
        """Args: validation, course: whose state belongs to the training."""
        super().__init__()
        self._checkpoints, self._validation, self._course = checkpoints, validation, course

    def restore(self, network: keras.Model) -> None:
        """Goes on from the newest checkpoint, if there is one."""
        with network.distribute_strategy.scope():
            network.optimizer.build(network.trainable_variables)
        if not (found := self._checkpoints.load()):
            return
        arrays, state = found
        for variables, values in ((network.variables, "network"), (network.optimizer.variables, "optimizer")):
            for variable, value in zip(variables, arrays.get(values, []), strict=True):
                variable.assign(value)
        self._validation.best_weights = arrays["best"]
        self._validation.best_score, self._validation.stale = state["best_score"], state["stale"]
        self._course.step, self._course.seconds = state["step"], state["seconds"]
        self._course.curves = state["curves"]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves everything that the training goes on from."""
        network, validation, course = self.model, self._validation, self._course
        arrays = {
            "network": [np.asarray(variable) for variable in network.variables],
            "optimizer": [np.asarray(variable) for variable in network.optimizer.variables],
            "best": validation.best_weights,
        }
        state = {
            "best_score": validation.best_score,
            "stale": validation.stale,
            "step": course.step,
            "seconds": course.seconds,
            "curves": course.curves,
        }
        self._checkpoints.save(course.step, arrays, state)


def fit(
    network: keras.Model,
    settings: TrainSettings,
    train: Tiles,
    validation: Tiles,
    title: str,
    *,
    learning_rate: float,
    checkpoints: Checkpoints | None = None,
    tensorboard: str = "",
) -> tuple[keras.Model, Curves]:
    """Trains until the budget is spent, validating every `settings.validate_every` steps.

    Args:
        network: of `compile_network`.
        settings: of the training.
        train: tiles to learn from.
        validation: tiles to choose the weights by.
        title: what is being trained, for the progress.
        learning_rate: the highest of the schedule.
        checkpoints: where to save, and what to go on from.
        tensorboard: folder of its event files, or empty.

    Returns:
        The network of any input size with the best weights, returning probabilities, and the curves by name.

    Raises:
        TrainingFailed: the loss or the gradients became NaN or infinite; the message names the images.
    """
    best = WholeImageValidation(
        build_network(settings, train.channels, None, "softmax", "float32"), validation, settings
    )
    course = Course(settings, learning_rate, title)
    watchers: list[keras.callbacks.Callback] = [best, course]
    if tensorboard:
        watchers.append(TensorBoard(tensorboard, best, course))
    if checkpoints:
        watchers.append(Save(checkpoints, best, course))
        watchers[-1].restore(network)
    stale = settings.patience and best.stale >= settings.patience
    if course.spent < 1 and not stale:
        every = settings.validate_every if settings.minutes else min(settings.validate_every, settings.steps)
        order = {"batch_size": settings.batch_size, "seed": settings.seed, "rare": settings.rare}
        data = training_batches(
            train,
            window=settings.window,
            geometry=Geometry(settings.depth),
            augmentation=settings.augmentation,
            first=course.step,
            **order,
        )
        try:
            network.fit(
                data,
                initial_epoch=course.step // every,
                epochs=np.iinfo(np.int32).max,
                steps_per_epoch=every,
                callbacks=watchers,
                verbose=0,
            )
        except NotFinite as error:
            names = names_of_batch(train, batch=error.step, **order)
            where = f"; the last good weights are in {checkpoints.folder}" if checkpoints else ""
            raise TrainingFailed(
                f"{error}, with windows of {', '.join(names)}: look at these images, or lower the learning "
                f"rate{where}"
            ) from None
    return best.restore_best(), course.curves
