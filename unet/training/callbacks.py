"""Callbacks of a training: learning-rate schedule, curves, budget, checkpoints, progress and TensorBoard."""

from __future__ import annotations

import math
import time

import keras
import numpy as np
import tensorflow as tf

from unet.errors import TrainingFailed
from unet.progress import end_if_requested, report
from unet.training.checkpoint import Checkpoints
from unet.training.schedule import comes_through, rate_factor
from unet.training.settings import TrainSettings
from unet.training.validation import WholeImageValidation

Curves = dict[str, list[float]]


class NotFinite(TrainingFailed):
    """The loss or the gradient norm became NaN or infinite."""

    def __init__(self, what: str, value: float, step: int):
        """Args: what: "loss" or "gradient norm"; value: its value; step: number of the step, from 0."""
        super().__init__(f"the {what} is {value} at step {step + 1}")
        self.step = step


class TrainingProgress(keras.callbacks.Callback):
    """Sets the learning rate of each step, reports progress, and ends the training with its budget.

    Attributes:
        step: number of steps done.
        seconds: time of all steps and validations, summed over all processes that ran this training.
        curves: values by name, one for each epoch.
        sums: loss and gradient norm, summed over the steps of the epoch at work.
    """

    def __init__(self, settings: TrainSettings, title: str):
        """Args: settings: settings of the training; title: name of the task in progress reports."""
        super().__init__()
        self.step, self.seconds, self.curves = 0, 0.0, Curves()
        self.sums: dict[str, float] = {}
        self._settings, self._title = settings, title
        self._since = time.monotonic()

    @property
    def steps_of_epoch(self) -> int:
        """Number of steps done since the last row of the curves."""
        return self.step - sum(map(int, self.curves.get("steps", [])))

    def stop_clock(self) -> None:
        """Adds the time since the last call to `seconds`."""
        self.seconds, self._since = self.seconds + time.monotonic() - self._since, time.monotonic()

    @property
    def progress_made(self) -> float:
        """Share of the budget of steps or minutes that is used up, 0 to 1."""
        if self._settings.minutes is None:
            return self.step / self._settings.steps
        return (self.seconds + time.monotonic() - self._since) / (60 * self._settings.minutes)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._since = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the learning rate of the step by the learning-rate schedule."""
        factor = rate_factor(self._settings.schedule, self.progress_made, self.step)
        self.model.optimizer.learning_rate = self._settings.learning_rate * factor

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Reports the step; raises `NotFinite` if loss or gradient norm are NaN or infinite."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        for name, value in values.items():
            # With a scaled loss, the optimizer itself skips a step with infinite gradients.
            scaled = name == "gradient_norm" and hasattr(self.model.optimizer, "dynamic_scale")
            if not (math.isfinite(value) or scaled):
                raise NotFinite(name.replace("_", " "), value, self.step)
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.step += 1
        if self.progress_made >= 1:
            self.model.stop_training = True  # this cuts the last epoch short; its validation still runs
        shown = {"loss": self.sums["loss"] / self.steps_of_epoch}
        if best := self.curves.get("val_foreground_iou"):
            shown["IoU"] = best[-1]
        # With a budget in minutes, the total number of steps is an estimate.
        steps = (
            self._settings.steps if self._settings.minutes is None else round(self.step / self.progress_made)
        )
        report(self._title, self.step, steps, shown)
        end_if_requested()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds a row to the curves: means over its steps, rate of the last one, validation metrics."""
        steps = self.steps_of_epoch
        row = {name: total / steps for name, total in self.sums.items()}
        row |= {name: float(value) for name, value in (logs or {}).items() if name.startswith("val_")}
        row |= {"steps": steps, "learning_rate": float(self.model.optimizer.learning_rate)}
        for name, value in row.items():
            self.curves.setdefault(name, []).append(value)
        self.sums = {}
        self.stop_clock()


class TimeLimit(keras.callbacks.Callback):
    """Ends a training that exceeds a time limit; the weights reached by then are validated."""

    def __init__(self, minutes: float):
        """Args: minutes: time limit, counted from the end of the first step, in which TensorFlow traces."""
        super().__init__()
        self._seconds, self._since = 60 * minutes, math.inf

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock after the first step, and ends the training once the time is over."""
        now = time.monotonic()
        self._since = min(self._since, now)
        if now - self._since >= self._seconds:
            self.model.stop_training = True


class CheckpointCallback(keras.callbacks.Callback):
    """Writes a checkpoint after every epoch and at an interruption, and resumes from the newest one."""

    def __init__(
        self, checkpoints: Checkpoints, validation: WholeImageValidation, progress: TrainingProgress
    ):
        """Stores the objects whose state makes up a checkpoint.

        Args:
            checkpoints: checkpoints of this training.
            validation: validation callback of the training; its best weights and score are saved.
            progress: progress callback of the training; its step, time and curves are saved.
        """
        super().__init__()
        self._checkpoints, self._validation, self._progress = checkpoints, validation, progress

    def restore(self, network: keras.Model, settings: TrainSettings) -> None:
        """Restores network, optimizer and callbacks from the newest checkpoint on its way, if any."""
        if not (found := self._checkpoints.load(lambda state: comes_through(settings, state))):
            return
        arrays, state = found
        for variables, values in ((network.variables, "network"), (network.optimizer.variables, "optimizer")):
            for variable, value in zip(variables, arrays.get(values, []), strict=True):
                variable.assign(value)
        self._validation.best_weights = arrays.get("best", [])  # none before the first validation
        self._validation.best_score, self._validation.stale = state["best_score"], state["stale"]
        self._progress.step, self._progress.seconds = state["step"], state["seconds"]
        self._progress.curves, self._progress.sums = state["curves"], state["sums"]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the complete state of the training."""
        self.save()

    def save(self) -> None:
        """Saves the complete state of the training, as it is between two steps."""
        network, validation, progress = self.model, self._validation, self._progress
        arrays = {
            "network": [np.asarray(variable) for variable in network.variables],
            "optimizer": [np.asarray(variable) for variable in network.optimizer.variables],
            "best": validation.best_weights,
        }
        state = {
            "best_score": validation.best_score,
            "stale": validation.stale,
            "step": progress.step,
            "seconds": progress.seconds,
            "curves": progress.curves,
            "sums": progress.sums,
        }
        self._checkpoints.save(progress.step, arrays, state)


class TensorBoard(keras.callbacks.Callback):
    """Writes curves and validation images for TensorBoard; a resumed training writes its past curves, too."""

    def __init__(
        self, folder: str, validation: WholeImageValidation, progress: TrainingProgress, images: int = 3
    ):
        """Opens the event files.

        Args:
            folder: folder of the event files.
            validation: validation callback, the source of the images.
            progress: progress callback, the source of the curves.
            images: number of validation images to write.
        """
        super().__init__()
        self._writer = tf.summary.create_file_writer(folder)
        self._validation, self._progress, self._images = validation, progress, images
        self._rows = 0  # of the curves, that were written

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Writes the curves of earlier processes, which a checkpoint restored."""
        self._write()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the newest values of the curves, and the predictions of some images."""
        self._write()
        with self._writer.as_default(self._progress.step):
            for name, picture in self._validation.pictures(self._images):
                tf.summary.image(name, picture[None])
        self._writer.flush()

    def _write(self) -> None:
        curves = self._progress.curves
        for row in range(self._rows, len(curves.get("steps", []))):
            with self._writer.as_default(int(sum(curves["steps"][: row + 1]))):
                for name, values in curves.items():
                    tf.summary.scalar(name, values[row])
            self._rows = row + 1
