"""The search of settings: Keras Tuner's oracles propose, short trainings answer."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf

from unet.errors import TrainingFailed
from unet.training.build import compile_network
from unet.training.loop import fit, set_seed
from unet.training.search_settings import TuneSettings
from unet.training.settings import TrainSettings, with_choice
from unet.training.tiles import Tiles

DIVERGED = -1.0  # score of a trial whose loss became NaN or infinite: below any IoU
COMPLETED, CUT, NOT_FINITE, FAILED = "completed", "cut short", "diverged", "failed"
# Into how many units Hyperband cuts the longest trial, and what all its trials cost, in such longest ones.
HYPERBAND_COST = {27: 17, 9: 10, 3: 4}
_DEATHS = 2  # processes that may die in a trial before it is left out
_OBJECTIVE = "foreground_iou"


@dataclasses.dataclass(frozen=True)
class Trial:
    """What became of a trial.

    Attributes:
        choice: the values tried, by setting.
        steps: training steps that it was given.
        status: completed, cut short (scored, by what it was when its time was over), diverged or failed.
        score: foreground IoU on the whole eval images; None unless completed or cut short.
        reason: why it is not completed, or empty.
    """

    trial: str
    choice: dict[str, Any]
    steps: int
    status: str
    score: float | None
    reason: str


class Bayesian(keras_tuner.oracles.BayesianOptimizationOracle):
    """Keras Tuner's, except that a search that was killed proposes what one that was not would have."""

    trials: dict[str, Any]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next trial."""
        # Neither the state of this generator nor the order of the trials is kept on disk.
        self._random_state = np.random.RandomState(self.seed + len(self.trials))
        self.trials = dict(sorted(self.trials.items()))
        return super().populate_space(trial_id)


def make_oracle(search: TuneSettings, seed: int) -> keras_tuner.Oracle:
    """What proposes the trials; the same seed makes it propose the same ones."""
    space = keras_tuner.HyperParameters()
    space.Float("learning_rate", *search.tune_range, sampling="log")
    for name, values in search.tune_over.items():
        space.Choice(name, values)
    arguments: dict[str, Any] = {
        "objective": keras_tuner.Objective(_OBJECTIVE, "max"),
        "hyperparameters": space,
        "seed": 1000 * seed + 17,  # 0 means "any" to Keras Tuner; neighbouring seeds share their draws
        "max_consecutive_failed_trials": sys.maxsize,  # `choose` judges when all have run
    }
    if search.tune_search == "hyperband":
        units = next(units for units, cost in HYPERBAND_COST.items() if cost <= search.tune_trials)
        return keras_tuner.oracles.HyperbandOracle(max_epochs=units, factor=3, **arguments)
    kind = Bayesian if search.tune_search == "bayesian" else keras_tuner.oracles.RandomSearchOracle
    return kind(max_trials=search.tune_trials, **arguments)


class Search(keras_tuner.Tuner):
    """Trials are short trainings from the same first weights, scored on whole validation images.

    A trial that Hyperband promotes is trained anew, with its longer budget: its learning rate follows the
    schedule of that budget from the start, as it will in the Trainer, and nothing but scores has to be kept.
    """

    def __init__(self, settings: TrainSettings, search: TuneSettings, folder: Path):
        """Args: settings: of a training; search: of the search; folder: of its trials, found again there."""
        self._settings, self._search = settings, search
        self._outcomes: dict[str, tuple[str, str]] = {}  # status and reason, by the trial's id
        oracle = make_oracle(search, settings.seed)
        super().__init__(oracle=oracle, directory=str(folder.parent), project_name=folder.name)

    def trial_settings(self, values: dict[str, Any]) -> TrainSettings:
        """The settings of the training that a trial is; `values`: of its hyperparameters."""
        steps = self._search.tune_steps
        if epochs := values.get("tuner/epochs"):
            steps = math.ceil(steps * epochs / self.oracle.max_epochs)
        budget = {"steps": steps, "minutes": None, "validate_every": steps, "patience": 0}
        return with_choice(self._settings, _choice(values)).model_copy(update=budget)

    def run_trial(self, trial: Any, train: Tiles, validation: Tiles) -> dict[str, float]:
        """Trains one network; one that diverges or finds no memory is recorded, and the search goes on."""
        settings = self.trial_settings(trial.hyperparameters.values)
        try:
            with self._survived(trial.trial_id):
                keras.utils.clear_session()  # the networks of the trials before
                # Every trial starts from the same weights: only what is searched differs.
                set_seed(settings)
                network = compile_network(settings, train)
                _, curves = fit(
                    network,
                    settings,
                    train,
                    validation,
                    f"trial {int(trial.trial_id) + 1}"
                    + (f"/{self.oracle.max_trials}" if self.oracle.max_trials else ""),
                    limit=self._search.tune_minutes,
                )
        except TrainingFailed as error:
            # A score, not a failure: Bayesian optimisation learns to keep away.
            self._outcomes[trial.trial_id] = NOT_FINITE, str(error)
            return {_OBJECTIVE: DIVERGED}
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            first = next(iter(str(error).splitlines()), "")
            self._outcomes[trial.trial_id] = FAILED, f"out of memory: {first}".removesuffix(": ")
            raise keras_tuner.errors.FailedTrialError("out of memory") from None
        except keras_tuner.errors.FailedTrialError as error:
            self._outcomes[trial.trial_id] = FAILED, str(error)
            raise
        except Exception as error:
            # Keras Tuner would take it for one bad trial more.
            raise keras_tuner.errors.FatalRuntimeError(f"{type(error).__name__}: {error}") from error
        steps = int(sum(curves["steps"]))
        if steps < settings.steps:
            said = f"{self._search.tune_minutes:g} minutes were over after {steps} steps"
            self._outcomes[trial.trial_id] = CUT, said
        # NaN: neither the masks nor the network hold any foreground.
        return {_OBJECTIVE: float(np.nan_to_num(max(curves["val_foreground_iou"])))}

    def on_trial_end(self, trial: Any) -> None:
        """Keeps what became of the trial where its score is kept."""
        trial.message = json.dumps(self._outcomes.get(trial.trial_id, (COMPLETED, "")))
        super().on_trial_end(trial)

    def rows(self) -> list[Trial]:
        """What became of each trial, in their order."""
        rows = []
        for name, trial in sorted(self.oracle.trials.items()):
            values = trial.hyperparameters.values
            status, reason = json.loads(trial.message or f'["{FAILED}", "it did not end"]')
            score = trial.score if status in (COMPLETED, CUT) else None
            rows.append(
                Trial(name, _choice(values), self.trial_settings(values).steps, status, score, reason)
            )
        return rows

    @contextlib.contextmanager
    def _survived(self, trial_id: str) -> Iterator[None]:
        """Counts the processes that died within: the system kills one that takes too much memory unasked.

        Raises:
            FailedTrialError: it happened twice in this trial, and would again.
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


def _choice(values: dict[str, Any]) -> dict[str, Any]:
    """Without what Hyperband keeps among the values."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def choose(rows: list[Trial], settings: TrainSettings) -> tuple[dict[str, Any], str]:
    """The values to train with, and why.

    Args:
        rows: all trials.
        settings: the configured ones.

    Raises:
        TrainingFailed: there is no score to choose by; the message says what became of the trials.
    """
    scored = [row for row in rows if row.score is not None]
    lost = {status: [row for row in rows if row.status == status] for status in (NOT_FINITE, FAILED)}
    told = ", ".join(f"{len(found)} {status}" for status, found in lost.items() if found)
    if not scored:
        advice = []
        if lost[NOT_FINITE]:
            advice.append("the loss became NaN or infinite: lower tune_range")
        if failed := lost[FAILED]:
            advice.append(f"{failed[-1].reason}: lower patch, batch_size or base_filters")
        raise TrainingFailed(f"no trial of {len(rows)} can be used ({told}); {'; '.join(advice)}")
    # Hyperband's longest are the best of the shorter ones, and stand for a whole training better than these.
    best = max(scored, key=lambda row: (row.steps, row.score))
    if not any(row.score for row in scored):  # rare foreground takes longer to be found
        choice = {"learning_rate": settings.learning_rate}
        reason = f"{describe(choice)}, the configured one: no trial found any foreground"
    else:
        choice = best.choice
        after = f"{best.steps} steps" if best.status == COMPLETED else best.reason
        reason = f"{describe(choice)}, the best of {len(rows)} (IoU {best.score:.3f} after {after})"
    return choice, f"{reason}; {told}" if told else reason


def describe(choice: dict[str, Any]) -> str:
    """The values in words."""
    rate = f"learning rate {choice['learning_rate']:.2e}"
    return ", ".join(
        [rate, *(f"{name} {value}" for name, value in choice.items() if name != "learning_rate")]
    )
