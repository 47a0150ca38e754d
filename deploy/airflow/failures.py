"""What an exit code means to the scheduler, and who is told of a run that failed."""

from __future__ import annotations

import datetime
import json
import re
import smtplib
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from deploy.airflow import results
from deploy.airflow.settings import Settings
from pipeline.process.exit_codes import BAD_INPUT, FAILED, INTERRUPTED

_SECONDS = 30  # patience with the webhook and the mail server
_MEANING = {
    FAILED: "failed (1): the last lines of its log say what to do",
    BAD_INPUT: "bad input (2): an argument, a setting, or the data; the last lines of its log say which",
}


class ByExitCode(RetryPolicy):
    """Repeats what was interrupted or killed, and nothing that would fail again."""

    def __init__(self, seconds: int) -> None:
        """Args: seconds: time before a part is repeated."""
        self._delay = datetime.timedelta(seconds=seconds)

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:
        """Decides by the exit code, which the message of BashOperator's exception ends with."""
        found = re.search(r"exit code (-?\d+)", str(exception))
        if found is None:  # trouble of Airflow's own
            return RetryDecision.default()
        code = int(found[1])
        if code == INTERRUPTED:
            return RetryDecision.retry(self._delay, "interrupted, or another run is at work (75): again soon")
        if code < 0 or code > 128:
            return RetryDecision.retry(self._delay, f"killed ({code}): it goes on from what it kept")
        return RetryDecision.fail(_MEANING.get(code, f"exit code {code}"))

    def serialize(self) -> dict[str, Any]:
        """Returns what the scheduler stores of the policy; it never evaluates it."""
        return {"seconds": self._delay.total_seconds()}


def on_failure(settings: Settings) -> list[Callable[[Any], None]]:
    """Returns what Airflow calls after a run that failed.

    Args:
        settings: where to tell it.
    """
    told: list[Callable[[Any], None]] = []
    if settings.webhook:
        told.append(lambda context: _post(settings, _message(settings, context)))
    if settings.mail_to:
        told.append(lambda context: _mail(settings, _message(settings, context)))
    return told


def _message(settings: Settings, context: Any) -> dict[str, Any]:
    task = context.get("ti")
    return {
        "dag": context["dag"].dag_id,
        "task": task.task_id if task else "",
        "airflow": f"http://127.0.0.1:{settings.port}/dags/{context['dag'].dag_id}/runs/{context['run_id']}",
        **results.of_run(settings.path(settings.root), context["run_id"]),
    }


def _post(settings: Settings, message: dict[str, Any]) -> None:
    request = urllib.request.Request(
        settings.webhook, json.dumps(message).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=_SECONDS).close()


def _mail(settings: Settings, message: dict[str, Any]) -> None:
    mail = EmailMessage()
    mail["Subject"] = f"{message['dag']}: run {message['run']} failed"
    mail["From"], mail["To"] = settings.mail_from, ", ".join(settings.mail_to)
    mail.set_content("\n".join(f"{name}: {value}" for name, value in message.items()))
    host, port = settings.smtp.rsplit(":", 1)
    with smtplib.SMTP(host, int(port), timeout=_SECONDS) as server:
        server.send_message(mail)
