"""`runs export --mlflow`, on a real server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from pipeline.history import summary
from pipeline.history.record import read_record
from pipeline.publishing.mlflow import MOST_IN_PARAM, _experiment
from pipeline.publishing.mlflow_server import MlflowServer, ServerError
from tests.command_line import call
from tests.pipeline.publishing.servers import CHECKOUT, Mlflow, mlflow_server, needs_mlflow, stand_in
from tests.pipeline.recorded_runs import CONFIG, HASH, NODES, RUNNING, RecordedRuns

pytestmark = [pytest.mark.server, needs_mlflow]

VERSION = 1795568549
EPOCHS = 700  # of two metrics: more points than one request may hold
MANY = {f"setting_{number:03}": number for number in range(120)}  # more than one request may hold
LONG = "path/" * 200


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


def a_run(recorded: RecordedRuns, run_id: str = "20261125-010000Z", **record) -> str:
    """A run that pushed, with curves, a card, a report and a summary."""
    config = {**CONFIG, **MANY, "long": LONG, "channels": 1}
    given = {"config": config, "versions": {"keras": "3.12"}, "profile": "cells.toml", "version": VERSION}
    folder = recorded.add(run_id, **{**given, **record})
    [curves] = (recorded.root.artifacts / "Trainer/model_run").iterdir()
    rows = [f"{e},{1 / e},{'' if e == 2 else e / EPOCHS},10" for e in range(1, EPOCHS + 1)]
    (curves / "curves.csv").write_text("\n".join(["validation,loss,val_iou_[new],steps", *rows]) + "\n")
    (folder / "report.html").write_text("<p>report</p>" * 100_000)
    card = recorded.root.serving / str(VERSION) / "assets.extra"
    card.mkdir(parents=True, exist_ok=True)
    (card / "model_card.json").write_text("{}")
    (card / "model_card.md").write_text("# Model\n")
    summary.write(recorded.root.path, run_id)
    return run_id


def export(recorded: RecordedRuns, mlflow: Mlflow, *words: str):
    done = call("runs", "export", "--root", recorded.root.path, "--mlflow", f"{mlflow.url}/", *words)
    assert "Traceback" not in done.stderr
    return done


def values(entries: list[dict[str, Any]]) -> dict[str, Any]:
    found = {entry["key"]: entry["value"] for entry in entries}
    assert len(found) == len(entries)
    return found


def test_all_of_a_run_is_there_and_a_repetition_changes_nothing(recorded, mlflow):
    run_id = a_run(recorded)
    first = export(recorded, mlflow, "--experiment", "whole")
    assert (first.returncode, first.stderr) == (0, "")
    [run] = mlflow.runs("whole")
    ids = run["info"]["experiment_id"], run["info"]["run_id"]
    assert first.stdout == f"Exported: {mlflow.url}/#/experiments/{ids[0]}/runs/{ids[1]}\n"
    assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", run_id)
    assert run["info"]["end_time"] - run["info"]["start_time"] == 100_000
    params = values(run["data"]["params"])
    assert params.pop("long") == LONG[: MOST_IN_PARAM - 1] + "…"
    assert params.pop("thresholds") == '{"foreground_iou": 0.5}'
    assert params == {
        "data": "/cells",
        "steps": "30",
        "channels": "1",
        **{k: str(v) for k, v in MANY.items()},
    }
    tags = values(run["data"]["tags"])
    expected = {
        "unet.run_id": run_id, "unet.root": str(recorded.root.path), "unet.status": "pushed",
        "unet.verdict": "blessed", "unet.version": str(VERSION), "unet.data_hash": HASH,
        "unet.profile": "cells.toml", "unet.library.keras": "3.12",
    }  # fmt: skip
    assert expected.items() <= tags.items()
    metrics = values(run["data"]["metrics"])
    expected_metrics = {
        "test/foreground_iou": 0.8,
        "threshold/foreground_iou": 0.5,
        "images/train": 6,
        "seconds/all": 100,
    }
    assert expected_metrics.items() <= metrics.items()
    steps = range(10, 10 * EPOCHS + 1, 10)
    assert mlflow.history(run, "training/loss") == [(step, 10 / step) for step in steps]
    iou = mlflow.history(run, "training/val_iou__new_")
    assert iou == [(step, step / 10 / EPOCHS) for step in steps if step != 20]
    assert mlflow.artifact(run, "report.html") == b"<p>report</p>" * 100_000
    assert json.loads(mlflow.artifact(run, "summary.json"))["run_id"] == run_id
    assert mlflow.artifact(run, "model_card.md") == b"# Model\n"

    second = export(recorded, mlflow, "--experiment", "whole")
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout == first.stdout.replace("Exported", "Brought up to date")
    assert mlflow.runs("whole") == [run]
    assert mlflow.history(run, "training/loss") == [(step, 10 / step) for step in steps]
    assert mlflow.history(run, "test/foreground_iou") == [(0, 0.8)]


def test_the_same_id_under_another_root_is_another_run(recorded, mlflow, tmp_path):
    other = RecordedRuns(tmp_path / 'it\'s "another"')
    for runs in (recorded, other):
        a_run(runs)
        for _ in range(2):
            assert export(runs, mlflow, "--experiment", "roots").returncode == 0
    assert {values(run["data"]["tags"])["unet.root"] for run in mlflow.runs("roots")} == {
        str(recorded.root.path), str(other.root.path)
    }  # fmt: skip
    assert len(mlflow.runs("roots")) == 2


def test_what_an_interrupted_export_left_out_is_added(recorded, mlflow):
    run_id = a_run(recorded)
    created = mlflow.call("experiments/create", name="parts")["experiment_id"]
    tags = [{"key": "unet.run_id", "value": run_id}, {"key": "unet.root", "value": str(recorded.root.path)}]
    begun = mlflow.call("runs/create", experiment_id=created, run_name=run_id, start_time=1, tags=tags)["run"]
    points = [{"key": "training/loss", "value": 10 / step, "timestamp": 1, "step": step} for step in (10, 20)]
    mlflow.call(
        "runs/log-batch",
        run_id=begun["info"]["run_id"],
        metrics=points,
        params=[{"key": "steps", "value": "30"}],
    )
    assert export(recorded, mlflow, run_id, "--experiment", "parts").stdout.startswith("Brought up to date")
    [run] = mlflow.runs("parts")
    assert len(values(run["data"]["params"])) == len(MANY) + len(CONFIG) + 2
    assert [step for step, _ in mlflow.history(run, "training/loss")] == [
        10 * e for e in range(1, EPOCHS + 1)
    ]


def test_a_run_at_work_is_shown_as_such_and_completed_later(recorded, mlflow):
    folder = recorded.add("20261125-010000Z", {"ImageMaskExampleGen": RUNNING}, "waiting")
    done = export(recorded, mlflow, "--experiment", "later")
    assert done.returncode == 0
    assert f"Note: {folder}/report.html is not there and was left out\n" in done.stdout
    shutil.rmtree(folder)
    record = recorded.add("20261125-010000Z", dict.fromkeys(NODES, RUNNING), "failed", reason="no room")
    assert read_record(record).status == "failed"
    assert export(recorded, mlflow, "--experiment", "later").returncode == 0
    [run] = mlflow.runs("later")
    assert run["info"]["status"] == "FAILED"
    assert values(run["data"]["tags"])["unet.reason"] == "no room"
    assert mlflow.history(run, "seconds/all")[-1] == (0, 100.0)
    assert values(run["data"]["metrics"])["seconds/all"] == 100


def test_a_deleted_experiment_is_told(recorded, mlflow):
    a_run(recorded)
    created = mlflow.call("experiments/create", name="deleted")["experiment_id"]
    mlflow.call("experiments/delete", experiment_id=created)
    done = export(recorded, mlflow, "--experiment", "deleted")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is deleted: restore it there, or name another one with --experiment" in done.stderr


class Crowded(MlflowServer):
    """A server on which somebody else creates what was just asked for and not found."""

    def get(self, path: str, **values: str) -> dict[str, Any]:
        try:
            return super().get(path, **values)
        except ServerError:
            super().post("mlflow/experiments/create", name=values["experiment_name"])
            raise


def test_an_experiment_that_somebody_else_creates_at_the_same_moment_is_taken(mlflow):
    created = _experiment(Crowded(mlflow.url), "at once")
    assert created == _experiment(MlflowServer(mlflow.url), "at once")


def test_a_server_that_takes_no_files_is_told(recorded, tmp_path):
    a_run(recorded)
    with mlflow_server(
        tmp_path, "--no-serve-artifacts", "--default-artifact-root", f"{tmp_path}/files"
    ) as server:
        done = export(recorded, server)
    assert done.returncode == 2
    assert "takes no files" in done.stderr
    assert "start it with --serve-artifacts" in done.stderr


@pytest.mark.parametrize("answer", ["{}", '{"experiment": []}', '{"experiment": {"experiment_id": "1"}}'])
def test_a_server_of_another_kind_is_told(recorded, answer):
    a_run(recorded)
    with stand_in(200, answer) as (url, _):
        done = export(recorded, Mlflow(url))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is no MLflow server, as it answers without a usable " in done.stderr


def test_it_loads_no_tensorflow(recorded, mlflow):
    a_run(recorded)
    words = ["runs", "export", "--root", str(recorded.root.path), "--mlflow", mlflow.url]
    code = f"import sys\nfrom pipeline.cli import main\nmain({words!r})\nprint('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr
