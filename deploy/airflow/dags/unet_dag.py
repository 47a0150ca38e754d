"""The DAG of Airflow: a task for each stage, and one that tells what came of them."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    chain,
    get_current_context,
    task,
)

from deploy.airflow import results
from deploy.airflow.failures import on_failure
from deploy.airflow.settings import Settings, load
from deploy.airflow.tasks import Approval, Part
from pipeline import stages


def schedule(settings: Settings) -> Any:
    """Returns when a run begins: at fixed times, when data arrive, both, or only when asked for.

    Args:
        settings: the settings of the DAG.
    """
    times = CronTriggerTimetable(settings.schedule, timezone=settings.timezone) if settings.schedule else None
    if not settings.arrival_flag:
        return times
    trigger = FileDeleteTrigger(filepath=str(settings.path(settings.arrival_flag)))
    arrived = Asset("unet-data", watchers=[AssetWatcher(name="unet-arrival", trigger=trigger)])
    return AssetOrTimeSchedule(timetable=times, assets=[arrived]) if times else [arrived]


def make(settings: Settings) -> DAG:
    """Makes the DAG.

    Args:
        settings: what to run, and when.
    """
    # Trouble of Airflow's own (a part has its own policy): a busy database, or a person's answer before the
    # scheduler knows that the task awaits one, which is lost; then it is asked again.
    again = {"retries": 3, "retry_delay": datetime.timedelta(seconds=settings.retry_seconds)}

    @task(trigger_rule="none_failed", **again)
    def report() -> dict[str, Any]:
        """Tells what came of the run, also of one whose model was refused."""
        result = results.of_run(settings.path(settings.root), str(get_current_context()["run_id"]))
        print(results.as_markdown(result))
        return result

    with DAG(
        "unet",
        description="Train, evaluate and push the U-Net",
        schedule=schedule(settings),
        catchup=False,
        max_active_runs=1,
        on_failure_callback=on_failure(settings),
        doc_md=__doc__,
    ) as dag:
        parts: list[Any] = [Part(task_id=name, settings=settings) for name in stages.NAMES]
        if settings.approval:
            parts.insert(-1, Approval(task_id="approve", settings=settings, **again))
        chain(*parts, report())
    return dag


dag = make(load())
