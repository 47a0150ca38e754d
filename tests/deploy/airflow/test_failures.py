"""What an exit code leads to, and who is told: in Airflow's environment."""

import http.server
import json
import socketserver
import threading

import pytest

from pipeline.process.exit_codes import BAD_INPUT, FAILED, INTERRUPTED
from tests.deploy.airflow.environment import answer, needs_airflow

pytestmark = [pytest.mark.airflow, needs_airflow]

DECIDE = """
import json
from deploy.airflow.failures import ByExitCode
told = "Bash command failed. The command returned a non-zero exit code {}."
policy = ByExitCode(60)
found = {}
for code in CODES:
    decision = policy.evaluate(RuntimeError(told.format(code)), 1, 3)
    delay = decision.retry_delay.total_seconds() if decision.retry_delay else None
    found[code] = [decision.action.value, delay, decision.reason]
found["none"] = [policy.evaluate(ConnectionError("reset"), 1, 3).action.value]
print(json.dumps(found))
"""
TELL = """
import json, types
from deploy.airflow.failures import on_failure
from deploy.airflow.settings import load
dag, task = types.SimpleNamespace(dag_id="unet"), types.SimpleNamespace(task_id="train")
context = {"dag": dag, "run_id": "night-1", "ti": task}
for tell in on_failure(load()):
    tell(context)
print("null")
"""


def test_what_was_interrupted_or_killed_is_repeated_and_nothing_else(tmp_path):
    codes = [INTERRUPTED, FAILED, BAD_INPUT, -9, 137, 99]
    found = answer(DECIDE.replace("CODES", str(codes)), tmp_path)
    assert {code: told[:2] for code, told in found.items()} == {
        "75": ["retry", 60],
        "1": ["fail", None],
        "2": ["fail", None],
        "-9": ["retry", 60],
        "137": ["retry", 60],
        "99": ["fail", None],
        "none": ["default"],
    }
    assert "bad input (2)" in found["2"][2]


class Webhook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.got = self.rfile.read(int(self.headers["Content-Length"]))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class MailServer(socketserver.StreamRequestHandler):
    """As much of SMTP as takes one mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        lines, in_mail = [], False
        for line in self.rfile:
            lines.append(line)
            if in_mail:
                in_mail = line != b".\r\n"
                self.wfile.write(b"" if in_mail else b"250 taken\r\n")
            elif line.upper().startswith(b"DATA"):
                in_mail = True
                self.wfile.write(b"354 go on\r\n")
            else:
                self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 yes\r\n")
        self.server.got = b"".join(lines)  # type: ignore[attr-defined]


def received(server: socketserver.TCPServer, folder, **settings) -> bytes:
    """What a server got when a run failed."""
    answering = threading.Thread(target=server.handle_request)
    with server:
        answering.start()
        answer(TELL, folder, root=str(folder / "root"), **settings)
        answering.join(30)
    return server.got  # type: ignore[attr-defined]


def test_a_webhook_gets_the_run_its_task_and_its_summary(tmp_path):
    run = tmp_path / "root/runs/night-1"
    run.mkdir(parents=True)
    (run / "summary.json").write_text('{"status": "failed", "reason": "no space"}')
    server = http.server.HTTPServer(("127.0.0.1", 0), Webhook)
    got = json.loads(received(server, tmp_path, webhook=f"http://127.0.0.1:{server.server_port}/hook"))
    assert got == {
        "dag": "unet",
        "task": "train",
        "airflow": "http://127.0.0.1:8080/dags/unet/runs/night-1",
        "run": "night-1",
        "status": "failed",
        "reason": "no space",
        "pushed": "",
    }


def test_a_mail_says_the_same(tmp_path):
    server = socketserver.TCPServer(("127.0.0.1", 0), MailServer)
    port = server.server_address[1]
    got = received(server, tmp_path, mail_to=["nurse@localhost"], smtp=f"127.0.0.1:{port}").decode()
    assert "to:<nurse@localhost>" in got.lower()
    assert "Subject: unet: run night-1 failed" in got
    assert "task: train" in got
