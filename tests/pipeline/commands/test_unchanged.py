"""What a run says to which nothing is new, and with which exit code it ends."""

from __future__ import annotations

import pytest

from pipeline.cli import main
from pipeline.commands.unchanged import answer_unchanged
from pipeline.history.record import read_json, read_record
from pipeline.history.runs import load
from pipeline.process.exit_codes import NOT_BLESSED, OK
from pipeline.reuse import unchanged


def test_the_answer_stands_as_long_as_nothing_changes(place, capsys):
    found = place.answer()
    run_id = max(path.name for path in place.root.run("").iterdir())
    assert (found.run_id, found.status) == (run_id, "pushed")
    assert found.model == str(place.version(2))
    before = sorted(place.root.path.rglob("*"))
    for times in (1, 2):
        assert answer_unchanged(place.config, place.root) == OK
        assert unchanged.again(place.root.run(run_id))[0] == times
    [line, *_] = capsys.readouterr().out.splitlines()
    assert line == f"Unchanged since run {run_id} of {found.started}, pushed: nothing to do"
    assert {*place.root.path.rglob("*")} - {*before} == {place.root.run(run_id) / unchanged.AGAIN}
    assert main(["runs", "--root", str(place.root.path)]) == OK
    assert "in service, unchanged 2 times since, last 20" in capsys.readouterr().out
    assert main(["runs", "show", "--root", str(place.root.path)]) == OK
    assert "  again      unchanged 2 times since, last 20" in capsys.readouterr().out


@pytest.mark.parametrize("setting", ["push_to", "prometheus_file"])
def test_what_every_run_brings_up_to_date_elsewhere_needs_one(place, setting):
    assert answer_unchanged(place.config.model_copy(update={setting: "/elsewhere"}), place.root) is None


def test_a_model_that_was_not_blessed_is_not_blessed_again(place, capsys):
    place.complete(3, pushes=False, status="not_blessed", reason="too bad")
    assert answer_unchanged(place.config, place.root) == NOT_BLESSED
    told = capsys.readouterr().out
    assert "not blessed (too bad): nothing to do" in told
    assert "Format-Serving" in told


def test_a_run_with_an_id_leaves_a_record_that_its_later_parts_find(place, capsys):
    found = place.answer()
    assert answer_unchanged(place.config, place.root, stage="ingest", run_id="night+3") == OK
    assert f"Unchanged since run {found.run_id}" in capsys.readouterr().out
    folder = place.root.run("night+3")
    told = read_json(folder / "summary.json")
    assert (told["status"], told["reason"]) == ("unchanged", f"nothing is new since run {found.run_id}")
    assert told["pushed"] == found.model
    assert all(component["cached"] for component in told["components"].values())
    assert (folder / "report.html").read_text() == "a page"
    run = load(place.root.path, "latest")
    assert run.id == "night+3"
    assert {node.same_as for node in run.nodes if node.outputs} == {found.run_id}
    assert place.answer() == found  # the record changes nothing
    words = ["run", "--only", "push", "--run-id", "night+3", "--root", str(place.root.path)]
    assert main(words) == OK
    assert capsys.readouterr().out == (
        f"Run night+3 is finished: unchanged (nothing is new since run {found.run_id}); nothing was done\n"
    )
    assert answer_unchanged(place.config, place.root, stage="ingest", run_id="night+3") is None
    assert answer_unchanged(place.config, place.root, stage="ingest", run_id="night+4") == OK
    assert read_record(place.root.run("night+4")).same_as == found.run_id


def test_a_run_with_an_id_is_not_blessed_where_the_last_one_was_not(place):
    run_id = place.complete(3, pushes=False, status="not_blessed", reason="too bad")
    assert answer_unchanged(place.config, place.root, stage="ingest", run_id="night+3") == NOT_BLESSED
    record = read_record(place.root.run("night+3"))
    assert (record.status, record.reason) == ("not_blessed", f"too bad; nothing is new since run {run_id}")


def test_an_id_as_the_project_makes_them_is_for_a_run_to_refuse(place):
    assert answer_unchanged(place.config, place.root, run_id="20261125-020000Z") is None
