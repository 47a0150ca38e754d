"""Airflow as `make airflow` starts it: nights of one run each, and an end that leaves no process."""

from __future__ import annotations

import contextlib
import http.server
import json
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from data.synthetic import write_cells
from pipeline import stages
from tests.deploy.airflow.environment import CHECKOUT, PYTHON, needs_airflow, settings_file
from tests.deploy.airflow.running import Airflow, left, stand_in
from tests.deploy.budget import WORDS

pytestmark = [pytest.mark.airflow, needs_airflow]


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("airflow")
    write_cells(folder / "data", 8, (96, 96), seed=1)
    started = Airflow(folder)
    try:
        started.ready()
        yield started
        started.set(arguments=WORDS)
        started.begin("night-2")
        started.part("ingest")  # one is at work
        started.process.send_signal(signal.SIGHUP)  # as a terminal that is closed
        assert started.process.wait(180) == 0
        assert "no process is left" in started.log.read_text()
        assert not left(folder)
    finally:
        for process in left(folder):
            process.kill()


def test_everything_listens_on_this_machine_alone(airflow: Airflow):
    me = psutil.Process(airflow.process.pid)
    places = set()
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            places |= {c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert {(place.ip, place.port) for place in places} == {("127.0.0.1", airflow.port)}


def test_a_model_that_is_not_blessed_is_not_pushed_and_the_report_comes(airflow: Airflow):
    airflow.set(python=stand_in(airflow.folder, evaluate=3))
    folder = airflow.root / "runs/refused"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text('{"verdict": "not_blessed", "metrics": {"foreground_iou": 0.5}}')
    run = airflow.begin("refused")
    assert airflow.ended(run) == "success", airflow.told()
    states = {task: state for task, (state, _) in airflow.states(run).items()}
    assert states == dict.fromkeys(("ingest", "transform", "train", "report"), "success") | dict.fromkeys(
        ("evaluate", "approve", "push"), "skipped"
    )
    for task in ("evaluate", "report"):
        assert airflow.result(run, task)["verdict"] == "not_blessed"


def test_data_that_arrive_begin_a_run(airflow: Airflow):
    flag = airflow.folder / "READY"
    airflow.set(python=stand_in(airflow.folder, evaluate=3), arrival_flag=str(flag))
    flag.touch()
    arrived = "dags/unet/dagRuns?run_type=asset_triggered"
    run = airflow.wait(lambda: airflow.call(arrived)["dag_runs"])[0]["dag_run_id"]
    assert not flag.exists()
    run = f"dags/unet/dagRuns/{urllib.parse.quote(run)}"
    assert airflow.ended(run) == "success", airflow.told()
    assert airflow.states(run)["report"] == ("success", 1)


def test_bad_input_fails_at_once_and_somebody_is_told(airflow: Airflow):
    got: list[Any] = []

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.handle_request).start()
        airflow.set(
            python=stand_in(airflow.folder, transform=2), webhook=f"http://127.0.0.1:{server.server_port}/"
        )
        run = airflow.begin("bad")
        assert airflow.ended(run) == "failed", airflow.told()
        states = airflow.states(run)
        assert states["ingest"] == ("success", 1)
        assert states["transform"] == ("failed", 1)
        assert {states[task][0] for task in ("train", "push", "report")} == {"upstream_failed"}
        assert airflow.wait(lambda: got)[0]["run"] == "bad"


def test_a_night_trains_is_interrupted_goes_on_is_approved_and_pushes(airflow: Airflow):
    airflow.set(arguments=WORDS)
    run = airflow.begin("night-1")
    airflow.part("transform").send_signal(signal.SIGTERM)  # as a machine that shuts down
    approval = f"{run}/taskInstances/approve/-1/hitlDetails"
    airflow.wait(lambda: airflow.states(run)["approve"][0] not in (None, "scheduled", "queued", "running"))
    body = airflow.call(approval)["body"]
    assert "**blessed**" in body, airflow.told()
    assert f"{airflow.root}/runs/night-1/report.html" in body
    assert not list(airflow.root.glob("serving/unet/[0-9]*"))

    def ended() -> str:
        # Airflow loses an answer that comes within a second of the question, and asks again.
        if airflow.states(run)["approve"][0] == "awaiting_input":
            with contextlib.suppress(urllib.error.HTTPError):  # answered meanwhile
                airflow.call(approval, "PATCH", chosen_options=["Approve"])
        state = str(airflow.call(run)["state"])
        return state if state in ("success", "failed") else ""

    assert airflow.wait(ended) == "success", airflow.told()
    states = airflow.states(run)
    assert {state for state, _ in states.values()} == {"success"}
    assert states["transform"][1] == 2
    [version] = airflow.root.glob("serving/unet/[0-9]*")
    result = airflow.result(run, "report")
    assert (result["status"], result["pushed"]) == ("pushed", str(version))
    assert 0 <= result["metrics"]["foreground_iou"] <= 1
    assert [path.name for path in (airflow.root / "runs").glob("night-*")] == ["night-1"]
    assert set(states) == {*stages.NAMES, "approve", "report"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_every_end_leaves_no_process(tmp_path: Path, number: signal.Signals):
    airflow = Airflow(tmp_path)
    try:
        airflow.wait(lambda: "api-server is healthy" in airflow.log.read_text())
        airflow.process.send_signal(number)
        code = airflow.process.wait(180)
        assert code == (-number if number == signal.SIGKILL else 0), airflow.log.read_text()
        end = time.monotonic() + (60 if number == signal.SIGKILL else 0)
        while left(tmp_path) and time.monotonic() < end:
            time.sleep(0.2)
        assert not left(tmp_path)
    finally:
        for process in left(tmp_path):
            process.kill()


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"prot": 1}, "there is no setting prot"), ({"python": "/no/python"}, "/no/python: no such file")],
)
def test_what_cannot_start_is_one_sentence_and_2(tmp_path: Path, settings: dict[str, Any], told: str):
    config = settings_file(tmp_path, state=f"{tmp_path}/state", **settings)
    done = subprocess.run(
        [PYTHON, "-m", "deploy.airflow", config], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
