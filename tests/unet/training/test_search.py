"""A search repeats itself, goes on after a kill, survives bad trials, and says what it chose and why."""

import math

import pytest
import tensorflow as tf

from pipeline.config.settings import PipelineConfig
from unet.errors import TrainingFailed
from unet.training import search as search_module
from unet.training.search import (
    COMPLETED,
    CUT,
    FAILED,
    HYPERBAND_COST,
    NOT_FINITE,
    Search,
    Trial,
    choose,
    make_oracle,
)
from unet.training.search_settings import TuneSettings
from unet.training.settings import TrainSettings

TINY = {
    "classes": {"background": 0, "cell": 255}, "base_filters": 2, "depth": 2, "patch_size": 72, "steps": 500,
    "precision": "float32", "tune_steps": 6, "tune_trials": 3, "tune_range": (1e-4, 1e-2), "seed": 0,
}  # fmt: skip


def settings(**changes) -> tuple[TrainSettings, TuneSettings]:
    config = PipelineConfig(**{**TINY, **changes})
    return TrainSettings.of(config), TuneSettings.of(config)


def run(tiles, folder, absurd=None, **changes):
    train, search = settings(**changes)
    # No configuration is read with these values.
    search = Search(train.model_copy(update=absurd), search.model_copy(update=absurd), folder)
    search.search(train=tiles, validation=tiles)
    return search.rows()


def test_a_search_repeats_itself_and_goes_on_where_it_was_stopped(tiles, tmp_path, monkeypatch, capsys):
    # Of the whole search, the second trial takes the network of the first, made new; later, one of its own.
    whole = run(tiles, tmp_path / "whole", tune_trials=2, dropout=0.3)
    assert [row.status for row in whole] == [COMPLETED] * 2
    fit, calls = search_module.fit, []

    def fit_and_die(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **kwargs)

    monkeypatch.setattr(search_module, "fit", fit_and_die)
    with pytest.raises(KeyboardInterrupt):
        run(tiles, tmp_path / "stopped", tune_trials=2, dropout=0.3)
    assert run(tiles, tmp_path / "stopped", tune_trials=2, dropout=0.3) == whole
    assert len(calls) == 2 + 1  # the first trial is not run again, the second one is


def propose(search, dies_at=None):
    """Plays a search whose trials are scored by a formula; its process may die in one of them."""
    while (trial := search.oracle.create_trial("tuner0")).status == "RUNNING":
        if trial.trial_id == dies_at:
            break
        values = trial.hyperparameters.values
        score = 0.5 - (math.log10(values["learning_rate"]) + 3) ** 2 / 10 - values["dropout"] / 10
        search.oracle.update_trial(trial.trial_id, {"goodness": score})
        trial.status = "COMPLETED"
        search.on_trial_end(trial)
    return search.rows()


@pytest.mark.parametrize(
    ("kind", "trials", "dies_at"),
    [("random", 6, "3"), ("bayesian", 12, "06"), ("bayesian", 12, "09"), ("hyperband", 10, "0010")],
)
def test_a_search_that_was_killed_proposes_what_it_would_have(tmp_path, capsys, kind, trials, dies_at):
    def search(name):
        over = {"dropout": [0.0, 0.3], "base_filters": [2, 4]}
        return Search(*settings(tune_search=kind, tune_trials=trials, tune_over=over), tmp_path / name)

    whole = propose(search("whole"))
    assert len(whole) == (23 if kind == "hyperband" else trials)
    assert propose(search("again")) == whole
    propose(search("killed"), dies_at)
    assert propose(search("killed")) == whole


@pytest.mark.parametrize(("units", "cost"), HYPERBAND_COST.items())
def test_hyperband_costs_what_is_said_and_trains_as_long_as_is_said(tmp_path, capsys, units, cost):
    train, search = settings(tune_search="hyperband", tune_trials=cost, tune_steps=10 * units)
    hyperband = Search(train, search, tmp_path / "x")
    steps = []
    while (trial := hyperband.oracle.create_trial("tuner0")).status == "RUNNING":
        steps.append(hyperband.trial_settings(trial.hyperparameters.values).steps)
        hyperband.oracle.update_trial(trial.trial_id, {"goodness": 0.5})
        trial.status = "COMPLETED"
        hyperband.oracle.end_trial(trial)
    assert max(steps) == 10 * units
    assert min(steps) == 10
    assert math.ceil(sum(steps) / max(steps)) == cost


def test_the_next_seed_proposes_other_trials():
    rates = []
    for seed in (0, 0, 1):
        oracle = make_oracle(settings()[1], seed)
        rates.append([oracle.populate_space(str(i))["values"]["learning_rate"] for i in range(3)])
    assert rates[0] == rates[1]
    assert not set(rates[0]) & set(rates[2])


def test_a_trial_that_diverges_is_recorded_and_not_the_end(tiles, tmp_path, capsys):
    heavy = {"background": 1e30, "cell": 1e30}
    absurd = {"class_weights": heavy}
    rows = run(tiles, tmp_path / "x", absurd, tune_trials=2, optimizer="sgd", momentum=0.0)
    assert [(row.status, row.score) for row in rows] == [(NOT_FINITE, None)] * 2
    assert "with patches of" in rows[0].reason
    with pytest.raises(TrainingFailed, match=r"no trial of 2 .*\(2 diverged\).*lower tune_range"):
        choose(rows, settings()[0])


def test_a_trial_without_memory_is_recorded_and_not_the_end(tiles, tmp_path, capsys):
    # 158 TB for the second convolution: more than any process can address.
    rows = run(tiles, tmp_path / "x", {"tune_over": {"base_filters": [2, 2**21]}}, tune_trials=2)
    assert {(row.choice["base_filters"], row.status) for row in rows} == {(2, COMPLETED), (2**21, FAILED)}
    [failed] = [row for row in rows if row.status == FAILED]
    assert failed.reason.startswith("out of memory: ")
    with pytest.raises(TrainingFailed, match=r"no trial of 1 .*\(1 failed\).*out of memory.*base_filters"):
        choose([failed], settings()[0])


def test_a_trial_without_room_for_files_ends_the_search(tiles, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        with tf.io.TFRecordWriter("/dev/full") as writer:  # where there is never room
            writer.write(bytes(1 << 20))

    monkeypatch.setattr(search_module, "fit", full)
    with pytest.raises(RuntimeError, match="No space left on device"):
        run(tiles, tmp_path / "x", tune_trials=1)


def test_a_trial_in_which_processes_die_is_left_out_the_third_time(tiles, tmp_path, capsys):
    train, search = settings(tune_trials=2)
    trial = tmp_path / "x" / "trial_0"
    trial.mkdir(parents=True)
    (trial / "deaths").write_bytes(b"xx")  # what two processes leave that had no time to clean up
    tuner = Search(train, search, tmp_path / "x")
    tuner.search(train=tiles, validation=tiles)
    assert [row.status for row in tuner.rows()] == [FAILED, COMPLETED]
    assert "2 processes died in it" in tuner.rows()[0].reason


def test_a_trial_whose_time_is_over_is_scored_by_what_it_was_then(tiles, tmp_path, capsys):
    [row] = run(tiles, tmp_path / "x", absurd={"tune_minutes": 1e-9}, tune_trials=1)
    # The time counts from the end of the first step.
    assert (row.status, row.reason) == (CUT, "1e-09 minutes were over after 2 steps")
    assert row.score is not None


def test_an_error_of_the_program_ends_the_search_and_not_one_trial(tiles, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(search_module, "fit", None)
    with pytest.raises(RuntimeError, match="TypeError: 'NoneType' object is not callable"):
        run(tiles, tmp_path / "x")


def row(rate, score, steps=60, status=COMPLETED, reason="", **choice):
    return Trial("0", {"learning_rate": rate, **choice}, steps, status, score, reason)


@pytest.mark.parametrize(
    ("rows", "chosen", "said"),
    [
        ([row(1e-3, 0.2), row(2e-3, 0.4)], 2e-3, "2.00e-03, the best of 2 (IoU 0.400 after 60 steps)"),
        ([row(1e-3, 0.9, 20), row(2e-3, 0.4, 60)], 2e-3, "the best of 2 (IoU 0.400 after 60 steps)"),
        ([row(1e-3, 0.4, loss="dice"), row(2e-3, 0.2, loss="dice")], 1e-3, "1.00e-03, loss dice, the best"),
        ([row(1e-3, 0.0), row(2e-3, 0.0)], 5e-3, "the configured one: no trial found any foreground"),
        ([row(1e-3, 0.4, status=CUT, reason="time")], 1e-3, "(IoU 0.400 after time)"),
        ([row(1e-3, 0.4), row(2e-3, None, status=NOT_FINITE)], 1e-3, "after 60 steps); 1 diverged"),
    ],
)
def test_the_choice_and_its_reason(rows, chosen, said):
    choice, reason = choose(rows, settings(learning_rate=5e-3)[0])
    assert choice["learning_rate"] == chosen
    assert said in reason


def test_the_choice_is_by_the_metric_that_was_chosen():
    rows = [row(1e-3, 0.4), row(2e-3, 0.2)]
    choice, reason = choose(rows, settings(select_by="pixel_error")[0])
    assert choice["learning_rate"] == 2e-3
    assert "the best of 2 (pixel_error 0.200 after 60 steps)" in reason
