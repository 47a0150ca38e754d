import json
from pathlib import Path
from typing import Any

from deploy.airflow.results import as_markdown, is_in_service, of_run

METRICS = {"foreground_iou": 0.81234, "pixel_error": None}


def write(root: Path, run: str, **values: Any) -> None:
    folder = root / "runs" / run
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"run_id": run, "model": f"m-{run}", **values}))
    (folder / "report.html").touch()


def test_a_result_holds_the_verdict_the_figures_and_what_to_read(tmp_path):
    write(tmp_path, "a", status="not_blessed", verdict="not_blessed", metrics=METRICS, config={"x": 1})
    found = of_run(tmp_path, "a")
    report = str(tmp_path / "runs/a/report.html")
    assert found == {
        "run": "a", "status": "not_blessed", "verdict": "not_blessed", "metrics": METRICS, "report": report,
        "pushed": "",
    }  # fmt: skip


def test_a_run_without_a_summary_has_its_name_only(tmp_path):
    assert of_run(tmp_path, "a") == {"run": "a", "pushed": ""}


def test_a_model_is_in_service_only_while_its_version_is_the_newest(tmp_path):
    serving = tmp_path / "serving/unet"
    serving.mkdir(parents=True)
    write(tmp_path, "a", pushed=str(serving / "7"), model="first")
    write(tmp_path, "b", model="first")
    write(tmp_path, "c", model="second")
    assert not is_in_service(tmp_path, "b")  # nothing is in service
    (serving / "latest.json").write_text('{"path": "7"}')
    assert is_in_service(tmp_path, "b")
    assert not is_in_service(tmp_path, "c")
    (serving / "latest.json").write_text('{"path": "8"}')
    assert not is_in_service(tmp_path, "b")


def test_a_person_sees_verdict_figures_warnings_and_the_report(tmp_path):
    write(
        tmp_path,
        "a",
        verdict="blessed",
        metrics=METRICS,
        baseline={"foreground_iou": 0.8},
        warnings=["drift"],
    )
    shown = as_markdown(of_run(tmp_path, "a"))
    assert "Run `a`: **blessed**" in shown
    assert "| foreground_iou | 0.8123 | 0.8 |" in shown
    assert "| pixel_error |  |  |" in shown
    assert "- drift" in shown
    assert f"Report: `{tmp_path}/runs/a/report.html`" in shown
