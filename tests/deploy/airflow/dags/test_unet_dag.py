"""The DAG as Airflow reads it, in its own environment."""

from typing import Any

import pytest

from pipeline import stages
from tests.deploy.airflow.environment import CHECKOUT, answer, needs_airflow

pytestmark = [pytest.mark.airflow, needs_airflow]

VARIANTS: dict[str, dict[str, Any]] = {
    "braces": {"data": "cells {{x}}/", "root": "cells-run"},
    "approval": {"approval": True},
    "by hand": {"schedule": ""},
    "nightly": {"timezone": "Europe/Berlin"},
    "on arrival": {"schedule": "", "arrival_flag": "cells/READY"},
    "both": {"arrival_flag": "cells/READY"},
    "telling": {"webhook": "http://127.0.0.1:9/", "mail_to": ["a@localhost"], "retries": 3},
}
FILE = CHECKOUT / "deploy/airflow/dags/unet_dag.py"
READ = f"""
import json, runpy, sys
made = runpy.run_path({str(FILE)!r})
from airflow.serialization.serialized_objects import DagSerialization
from deploy.airflow.settings import Settings
def told(dag):
    tasks = {{
        t.task_id: {{
            "after": sorted(t.upstream_task_ids),
            "rule": str(t.trigger_rule.value),
            "command": getattr(t, "bash_command", ""),
            "retries": t.retries,
        }}
        for t in dag.topological_sort()
    }}
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))  # as the scheduler gets it
    return {{
        "tasks": tasks, "catchup": dag.catchup, "active": dag.max_active_runs,
        "schedule": str(stored["dag"]["timetable"]), "callbacks": len(dag.on_failure_callback or []),
    }}
dags = {{name: told(made["make"](Settings.model_validate(s))) for name, s in {VARIANTS!r}.items()}}
print(json.dumps(dags | {{"loaded": sorted({{name.split(".")[0] for name in sys.modules}})}}))
"""


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Airflow makes of each variant of the settings, and what it loads for that."""
    return answer(READ, tmp_path_factory.mktemp("dags"))


def test_there_is_a_task_for_each_stage_in_their_order_and_a_report(dags):
    dag = dags["braces"]
    assert list(dag["tasks"]) == [*stages.NAMES, "report"]
    before = [[], *([name] for name in stages.NAMES)]
    assert [task["after"] for task in dag["tasks"].values()] == before
    assert dag["tasks"]["report"]["rule"] == "none_failed"  # also where the push was skipped
    assert {dag["tasks"][name]["rule"] for name in stages.NAMES} == {"all_success"}
    assert (dag["catchup"], dag["active"], dag["callbacks"]) == (False, 1, 0)
    assert dag["tasks"]["train"]["command"] == (
        "{% raw %}exec setpriv --pdeathsig TERM -- "
        f"{CHECKOUT}/.venv/bin/python run_pipeline.py run --only train "
        "--data 'cells {{x}}/' --root cells-run --run-id \"$RUN_ID\"{% endraw %}"
    )
    assert not {"tensorflow", "tfx", "numpy", "keras", "apache_beam"} & set(dags["loaded"])


def test_a_person_is_asked_before_the_push_only_where_wanted(dags):
    assert "approve" not in dags["nightly"]["tasks"]
    tasks = dags["approval"]["tasks"]
    assert tasks["approve"]["after"] == ["evaluate"]
    assert tasks["push"]["after"] == ["approve"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("by hand", ["NullTimetable"]),
        ("nightly", ["CronTriggerTimetable", "0 2 * * *", "Europe/Berlin"]),
        ("on arrival", ["AssetTriggeredTimetable", "unet-data"]),
        ("both", ["AssetOrTimeSchedule", "0 2 * * *", "unet-data"]),
    ],
)
def test_runs_begin_at_fixed_times_or_when_data_arrive(dags, name: str, parts: list[str]):
    assert [part for part in parts if part not in dags[name]["schedule"]] == []


def test_failures_are_told_where_it_is_set(dags):
    assert dags["telling"]["callbacks"] == 2
    assert {dags["telling"]["tasks"][name]["retries"] for name in stages.NAMES} == {3}


def test_wrong_settings_are_an_import_error_of_one_sentence(tmp_path):
    with pytest.raises(AssertionError, match="port: Input should be less than or equal to 65535"):
        answer(READ, tmp_path, port=10**6)
