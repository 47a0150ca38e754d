"""The tasks of the DAG: each stage is a process of the pipeline's own interpreter."""

from __future__ import annotations

import datetime
import shlex
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException

from deploy.airflow import results
from deploy.airflow.failures import ByExitCode
from deploy.airflow.settings import CHECKOUT, Settings
from pipeline.process.exit_codes import NOT_BLESSED

_NO_ANSWER = "Reject"


class Part(BashOperator):
    """One part of a run, `run --only STAGE`; its result tells what the run has come to."""

    def __init__(self, *, task_id: str, settings: Settings | None = None, **kwargs: Any) -> None:
        """Makes the task.

        Args:
            task_id: the stage.
            settings: what to run.
            kwargs: what any operator takes.
        """
        if settings is not None:  # Airflow copies a task with its other arguments alone
            # A task runner that is killed takes the process with it: the next try would meet it at work.
            words = ["setpriv", "--pdeathsig", "TERM", "--", str(settings.path(settings.python))]
            words += ["run_pipeline.py", "run", "--only", task_id, *settings.words]
            kwargs |= {
                # Raw, since settings may hold braces; the id by the environment, since it is not ours.
                "bash_command": f'{{% raw %}}exec {shlex.join(words)} --run-id "$RUN_ID"{{% endraw %}}',
                "env": {"RUN_ID": "{{ run_id }}", "PYTHONPATH": ""},
                "append_env": True,
                "cwd": str(CHECKOUT),
                "skip_on_exit_code": NOT_BLESSED,
                "retries": settings.retries,
                "retry_delay": datetime.timedelta(seconds=settings.retry_seconds),
                "retry_policy": ByExitCode(settings.retry_seconds),
            }
        super().__init__(task_id=task_id, **kwargs)
        self.root = settings.path(settings.root) if settings else None

    def execute(self, context: Any) -> dict[str, Any]:
        """Runs the part; a model that is not blessed skips what follows."""
        assert self.root
        try:
            super().execute(context)
        except AirflowSkipException:
            context["ti"].xcom_push("return_value", results.of_run(self.root, context["run_id"]))
            raise
        return results.of_run(self.root, context["run_id"])


class Approval(ApprovalOperator):
    """Asks a person before a model is pushed; not where it is in service already."""

    def __init__(self, *, settings: Settings | None = None, **kwargs: Any) -> None:
        """Makes the task.

        Args:
            settings: what is run.
            kwargs: what any operator takes.
        """
        if settings is not None:
            kwargs |= {
                "subject": "Push the model of run {{ run_id }}?",
                "defaults": _NO_ANSWER,
                "response_timeout": datetime.timedelta(hours=settings.approval_hours),
            }
        super().__init__(**kwargs)
        self.root = settings.path(settings.root) if settings else None

    def execute(self, context: Any) -> Any:
        """Parks the task until somebody answers, or the time is over."""
        assert self.root
        if results.is_in_service(self.root, context["run_id"]):
            self.log.info("The model is in service already: there is nothing to approve")
            return None
        self.body = results.as_markdown(results.of_run(self.root, context["run_id"]))
        return super().execute(context)
