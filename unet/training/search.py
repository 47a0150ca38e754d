"""The search for settings: Keras Tuner's oracles propose trials, short trainings score them."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet.errors import TrainingFailed
from unet.files import FULL
from unet.metrics.names import goodness
from unet.training.build import compile_network
from unet.training.loop import fit, set_seed
from unet.training.search_settings import TuneSettings
from unet.training.settings import TrainSettings, with_choice
from unet.training.tiles import Tiles

DIVERGED = -1.0  # score of a trial whose loss became NaN or infinite: below any IoU
COMPLETED, CUT, NOT_FINITE, FAILED = "completed", "cut short", "diverged", "failed"
# Hyperband's number of budget units of the longest trial -> total cost of all trials, in longest trials.
HYPERBAND_COST = {27: 17, 9: 10, 3: 4}
# TensorFlow tells these, too, as a lack of resources.
_OF_FILES = tuple(map(os.strerror, (errno.EMFILE, errno.ENFILE, *FULL)))
_DEATHS = 2  # number of processes that may die in a trial before the trial is skipped
_OBJECTIVE = "goodness"  # of the metric `select_by`; see `unet.metrics.names.goodness`


@dataclasses.dataclass(frozen=True)
class Trial:
    """The outcome of a trial.

    Attributes:
        trial: id of the trial in Keras Tuner.
        choice: the values tried, by setting.
        steps: budget of the trial in training steps.
        status: completed, cut short (scored by its weights at the time limit), diverged or failed.
        score: `select_by` of the whole validation images; None unless completed or cut short.
        reason: why the trial was not completed, or empty.
    """

    trial: str
    choice: dict[str, Any]
    steps: int
    status: str
    score: float | None
    reason: str


class Bayesian(keras_tuner.oracles.BayesianOptimizationOracle):
    """Keras Tuner's oracle, except that a resumed search proposes the same trials as an uninterrupted one."""

    trials: dict[str, Any]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the values of the next trial."""
        # Keras Tuner saves neither the state of this generator nor the order of the trials.
        self._random_state = np.random.RandomState(self.seed + len(self.trials))
        self.trials = dict(sorted(self.trials.items()))
        return super().populate_space(trial_id)


def make_oracle(search: TuneSettings, seed: int) -> keras_tuner.Oracle:
    """Builds the oracle that proposes the trials; the same seed gives the same proposals."""
    space = keras_tuner.HyperParameters()
    space.Float("learning_rate", *search.tune_range, sampling="log")
    for name, values in search.tune_over.items():
        space.Choice(name, values)
    arguments: dict[str, Any] = {
        "objective": keras_tuner.Objective(_OBJECTIVE, "max"),
        "hyperparameters": space,
        "seed": 1000 * seed + 17,  # 0 means "any" to Keras Tuner; neighbouring seeds share their draws
        "max_consecutive_failed_trials": sys.maxsize,  # `choose` handles failures after all trials
    }
    if search.tune_search == "hyperband":
        units = next(units for units, cost in HYPERBAND_COST.items() if cost <= search.tune_trials)
        return keras_tuner.oracles.HyperbandOracle(max_epochs=units, factor=3, **arguments)
    kind = Bayesian if search.tune_search == "bayesian" else keras_tuner.oracles.RandomSearchOracle
    return kind(max_trials=search.tune_trials, **arguments)


class Search(keras_tuner.Tuner):
    """A search by short trainings from equal initial weights, scored on whole validation images.

    A trial that Hyperband promotes is trained anew with its longer budget: its learning rate follows the
    schedule of that budget from the start, as in the Trainer, and only scores have to be stored.
    """

    def __init__(self, settings: TrainSettings, search: TuneSettings, folder: Path):
        """Creates the search, or resumes it.

        Args:
            settings: settings of the training, which each trial changes.
            search: settings of the search.
            folder: folder of the trials; trials that are there already are not repeated.
        """
        self._settings, self._search = settings, search
        self._outcomes: dict[str, tuple[str, str]] = {}  # status and reason, by the trial's id
        self._last: tuple[TrainSettings, keras.Model, list[NDArray]] | None = None
        oracle = make_oracle(search, settings.seed)
        super().__init__(oracle=oracle, directory=str(folder.parent), project_name=folder.name)

    def trial_settings(self, values: dict[str, Any]) -> TrainSettings:
        """The training settings of a trial with these values of its hyperparameters."""
        steps = self._search.tune_steps
        if epochs := values.get("tuner/epochs"):
            steps = math.ceil(steps * epochs / self.oracle.max_epochs)
        budget = {"steps": steps, "minutes": None, "validate_every": steps, "patience": 0}
        return with_choice(self._settings, _choice(values)).model_copy(update=budget)

    def run_trial(self, trial: Any, train: Tiles, validation: Tiles) -> dict[str, float]:
        """Trains and scores one network; the search continues after a divergence or a lack of memory."""
        settings = self.trial_settings(trial.hyperparameters.values)
        try:
            with self._survived(trial.trial_id):
                # Every trial starts from the same weights: only the searched settings differ.
                set_seed(settings)
                _, curves = fit(
                    self._network(settings, train),
                    settings,
                    train,
                    validation,
                    f"trial {int(trial.trial_id) + 1}"
                    + (f"/{self.oracle.max_trials}" if self.oracle.max_trials else ""),
                    limit=self._search.tune_minutes,
                )
        except TrainingFailed as error:
            # A score instead of a failure teaches Bayesian optimisation to avoid these values.
            self._outcomes[trial.trial_id] = NOT_FINITE, str(error)
            return {_OBJECTIVE: DIVERGED}
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            first = next(iter(str(error).splitlines()), "")
            if any(said in first for said in _OF_FILES):  # no trial would do better
                raise keras_tuner.errors.FatalRuntimeError(first) from error
            self._outcomes[trial.trial_id] = FAILED, f"out of memory: {first}".removesuffix(": ")
            raise keras_tuner.errors.FailedTrialError("out of memory") from None
        except keras_tuner.errors.FailedTrialError as error:
            self._outcomes[trial.trial_id] = FAILED, str(error)
            raise
        except Exception as error:
            # Keras Tuner would count any other exception as one more failed trial.
            raise keras_tuner.errors.FatalRuntimeError(f"{type(error).__name__}: {error}") from error
        steps = int(sum(curves["steps"]))
        if steps < settings.steps:
            said = f"{self._search.tune_minutes:g} minutes were over after {steps} steps"
            self._outcomes[trial.trial_id] = CUT, said
        # NaN: neither the masks nor the predictions hold the classes that it measures.
        metric = settings.select_by
        return {_OBJECTIVE: max(float(np.nan_to_num(goodness(metric, v))) for v in curves[f"val_{metric}"])}

    def _network(self, settings: TrainSettings, train: Tiles) -> keras.Model:
        """Compiles the network of a trial, or makes that of the last one new, whose step is traced already.

        Nothing in the traced step depends on the learning rate and the number of steps.
        """
        alike = settings.model_copy(update={"learning_rate": 1.0, "steps": 1, "validate_every": 1})
        if self._last and self._last[0] == alike:
            _, network, values = self._last
            for variable, value in zip(_variables(network), values, strict=True):
                variable.assign(value)
            return network
        self._last = None
        keras.utils.clear_session()  # frees the networks of earlier trials
        network = compile_network(settings, train)
        self._last = (
            alike,
            network,
            [keras.ops.convert_to_numpy(variable) for variable in _variables(network)],
        )
        return network

    def on_trial_end(self, trial: Any) -> None:
        """Stores the outcome of the trial with its score."""
        trial.message = json.dumps(self._outcomes.get(trial.trial_id, (COMPLETED, "")))
        super().on_trial_end(trial)

    def rows(self) -> list[Trial]:
        """The outcomes of all trials, in their order."""
        rows = []
        for name, trial in sorted(self.oracle.trials.items()):
            values = trial.hyperparameters.values
            status, reason = json.loads(trial.message or f'["{FAILED}", "it did not end"]')
            is_scored = status in (COMPLETED, CUT)
            score = goodness(self._settings.select_by, trial.score) if is_scored else None
            rows.append(
                Trial(name, _choice(values), self.trial_settings(values).steps, status, score, reason)
            )
        return rows

    @contextlib.contextmanager
    def _survived(self, trial_id: str) -> Iterator[None]:
        """Counts the processes that died within the block, since the system kills one without free memory.

        Raises:
            FailedTrialError: two processes died in this trial already.
        """
        deaths = Path(self.get_trial_dir(trial_id), "deaths")
        died = len(deaths.read_bytes()) if deaths.exists() else 0
        if died >= _DEATHS:
            raise keras_tuner.errors.FailedTrialError(f"{died} processes died in it: too little memory?")
        deaths.write_bytes(b"x" * (died + 1))
        try:
            yield
        finally:
            deaths.unlink()


def _variables(network: keras.Model) -> list[keras.Variable]:
    """All that a training changes: weights, statistics, moments, and states of random generators."""
    return [*network.variables, *network.optimizer.variables]


def _choice(values: dict[str, Any]) -> dict[str, Any]:
    """The values of searched settings, without Hyperband's own entries."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def choose(rows: list[Trial], settings: TrainSettings) -> tuple[dict[str, Any], str]:
    """Chooses the values for the final training, and describes why.

    Args:
        rows: outcomes of all trials.
        settings: configured settings of the training.

    Raises:
        TrainingFailed: no trial has a score; the message lists the outcomes of the trials.
    """
    metric = settings.select_by
    scored = [(row, goodness(metric, row.score)) for row in rows if row.score is not None]
    lost = {status: [row for row in rows if row.status == status] for status in (NOT_FINITE, FAILED)}
    told = ", ".join(f"{len(found)} {status}" for status, found in lost.items() if found)
    if not scored:
        advice = []
        if lost[NOT_FINITE]:
            advice.append("the loss became NaN or infinite: lower tune_range")
        if failed := lost[FAILED]:
            advice.append(f"{failed[-1].reason}: lower patch, batch_size or base_filters")
        raise TrainingFailed(f"no trial of {len(rows)} can be used ({told}); {'; '.join(advice)}")
    # Hyperband's longest trials are the best of the shorter ones, and more similar to a complete training.
    best, _ = max(scored, key=lambda pair: (pair[0].steps, pair[1]))
    if not any(good for _, good in scored):  # a rare class takes more steps to learn
        choice = {"learning_rate": settings.learning_rate}
        found = "foreground" if metric == "foreground_iou" else metric
        reason = f"{describe(choice)}, the configured one: no trial found any {found}"
    else:
        choice = best.choice
        named = "IoU" if metric == "foreground_iou" else metric
        after = f"{best.steps} steps" if best.status == COMPLETED else best.reason
        reason = f"{describe(choice)}, the best of {len(rows)} ({named} {best.score:.3f} after {after})"
    return choice, f"{reason}; {told}" if told else reason


def describe(choice: dict[str, Any]) -> str:
    """Text that describes the chosen values."""
    rate = f"learning rate {choice['learning_rate']:.2e}"
    return ", ".join(
        [rate, *(f"{name} {value}" for name, value in choice.items() if name != "learning_rate")]
    )
