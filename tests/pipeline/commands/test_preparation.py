"""Before a run begins: what the machine lacks is told, and nothing is written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from data.synthetic import write_cells
from pipeline.check.check import check
from pipeline.check.findings import Report
from pipeline.cli import main
from pipeline.commands.preparation import choose_plan, earlier, fits
from pipeline.config.profile import load
from pipeline.config.settings import PipelineConfig
from pipeline.history.record import RunRecord
from pipeline.process import memory
from pipeline.root import Root
from pipeline.terminal.console import make_console
from unet.images import capacity


@pytest.fixture(autouse=True)
def _whole_plan_afterwards():
    yield
    capacity.plan_smaller(False)


@pytest.fixture
def little_memory(tmp_path, monkeypatch) -> None:
    """A machine with 100 MB of memory."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 102400 kB\nMemAvailable: 102400 kB\n")
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)


def checked(tmp_path: Path, **settings: Any) -> tuple[PipelineConfig, Report]:
    write_cells(tmp_path / "data", 6, (32, 32))
    config = load(overrides={"data": tmp_path / "data", "classes": {"a": 0, "b": 255}, **settings})
    return config, check(config, Root(tmp_path / "root"))


@pytest.mark.usefixtures("little_memory")
def test_too_little_memory_stops_the_command_before_anything_is_written(tmp_path, capsys):
    write_cells(tmp_path / "data", 6, (32, 32))
    words = ["run", "--data", str(tmp_path / "data"), "--root", str(tmp_path / "root")]
    assert main([*words, "--set", "classes={ background = 0, cell = 255 }"]) == 2
    told = capsys.readouterr().out
    assert "105 MB of memory are free, a run needs about 1." in told
    assert "check_resources=false" in told
    assert "Loading" not in told
    assert not (tmp_path / "root").exists()


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("stops", [True, False])
def test_an_estimate_stops_unless_it_shall_only_be_told(stops, tmp_path):
    config, report = checked(tmp_path, check_resources=stops)
    output = io.StringIO()
    assert fits(config, Root(tmp_path / "root"), report, [], make_console(output)) is not stops
    assert ("Warning: 105 MB" in output.getvalue()) is not stops


@pytest.mark.usefixtures("little_memory")
def test_a_plan_that_is_smaller_is_announced_recorded_and_taken(tmp_path):
    config, report = checked(tmp_path)
    record, output = RunRecord("1", "", config=config.model_dump(mode="json")), io.StringIO()
    choose_plan(record, report, [], make_console(output))
    assert output.getvalue().startswith("Smaller plan: there is less memory than the whole plan needs.\n")
    assert record.smaller_plan
    assert capacity.cores() == 1


def test_the_run_after_one_that_the_kernel_killed_names_it(recorded, tmp_path):
    config, report = checked(tmp_path)
    settings = config.model_dump(mode="json")
    then = {
        "start": memory.machine_start(),
        "kernel_kills": (memory.kernel_kills() or 0) - 1,
        "memory": memory.total(),
    }
    recorded.add("1", status="running", config=settings, machine=then)
    recorded.close()
    record, output = RunRecord("2", "", config=settings), io.StringIO()
    choose_plan(record, report, earlier(recorded.root), make_console(output))
    assert output.getvalue().startswith("Smaller plan: the kernel killed run 1 for lack of memory.\n")
    assert record.machine["killed"] == "1"
    assert capacity.cores() == 1


def test_the_usual_run_is_told_nothing(tmp_path):
    config, report = checked(tmp_path)
    record, output = RunRecord("1", "", config=config.model_dump(mode="json")), io.StringIO()
    assert fits(
        config, Root(tmp_path / "root"), report, earlier(Root(tmp_path / "root")), make_console(output)
    )
    choose_plan(record, report, [], make_console(output))
    assert output.getvalue() == record.smaller_plan == ""
    assert capacity.cache_bytes()
