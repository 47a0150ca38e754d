"""The file for node_exporter, read by the parser of Prometheus's own library."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.history.runs import load
from pipeline.history.summary import RunSummary, summarize
from pipeline.publishing.prometheus import HELP, as_text, write_last_run
from pipeline.root import Root
from tests.pipeline.recorded_runs import HASH, RUNNING, RecordedRuns

Samples = dict[tuple[str, ...], float]


def parsed(text: str) -> dict[str, Samples]:
    """The samples of each metric by the values of their labels, without that of the root."""
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(text):
        assert (family.type, bool(family.documentation)) == ("gauge", True), family.name
        assert family.name not in found
        found[family.name.removeprefix("unet_last_run_")] = {
            tuple(value for name, value in sample.labels.items() if name != "root"): sample.value
            for sample in family.samples
        }
    return found


def test_all_that_is_known_of_a_run(recorded):
    told = {"(loading)": {"seconds": 9.0}, "Trainer": {"seconds": 61.5, "peak_memory_mb": 1300}}
    recorded.add("1", version=7, components=told, peak_memory_mb=1300)
    root = recorded.root
    found = parsed(as_text(root, summarize(load(root.path, "1")), 0, 1795600000.5))
    assert found["info"] == {("1", "pushed", "blessed", "7", HASH): 1}
    assert found["exit_code"] == {(): 0}
    assert found["start_timestamp_seconds"] == {(): 1795568746}
    assert found["end_timestamp_seconds"] == {(): 1795600000.5}
    assert found["duration_seconds"] == {(): 100}
    assert found["peak_memory_bytes"] == {(): 1300 * 1024 * 1024}
    assert found["component_duration_seconds"]["Trainer", "false"] == 61.5
    assert found["images"] == {("train",): 6, ("eval",): 2, ("test",): 2}
    assert found["score"] == {("foreground_iou",): 0.8}
    assert found["threshold"] == {("foreground_iou",): 0.5}
    assert found["warnings"] == {(): 0}
    assert "baseline_score" not in found


def test_any_name_and_any_number_can_be_read_back():
    names = ['a"b\\n', "line\nbreak", "\u00fc{}=,# ", "tab\tand\x07bell", "\udcff"]
    values = dict(zip(names, (math.nan, math.inf, 1e-300, -0.1, 1e22), strict=True))
    summary = RunSummary("1", {}, metrics={**values, "unknown": None}, reason="x\ny")
    text = as_text(Root(Path('/a "root"\\\n')), summary, 1, 0.0)
    [score] = [f for f in text_string_to_metric_families(text) if f.name == "unet_last_run_score"]
    assert {sample.labels["root"] for sample in score.samples} == {'/a "root"\\\n'}
    plain = [*names[:3], "tab?and?bell", "?"]
    assert [sample.labels["metric"] for sample in score.samples] == plain
    assert repr([sample.value for sample in score.samples]) == repr([*values.values()])


def test_names_have_base_units():
    summary = RunSummary("1", {}, peak_memory_mb=1, metrics={"a": 1}, baseline={"a": 1}, images={"a": 1})
    found = parsed(as_text(Root(Path("/r")), summary, 0, 0.0))
    units = {name.rpartition("_")[2] for name in found if name.endswith(("s", "bytes"))}
    assert units <= {"seconds", "bytes", "images", "warnings"}


def test_without_the_setting_nothing_happens_and_a_folder_that_is_gone_is_a_sentence(tmp_path):
    summary = RunSummary("1", {})
    assert write_last_run({}, Root(tmp_path), summary, 0) == []
    assert write_last_run({"prometheus_file": None}, Root(tmp_path), summary, 0) == []
    path = tmp_path / "gone" / "unet.prom"
    [told] = write_last_run({"prometheus_file": str(path)}, Root(tmp_path), summary, 0)
    assert told == f"{path}: the figures for Prometheus could not be written: No such file or directory"


ENDING = """
import sys
from pathlib import Path
from pipeline.commands.run import _Work
from pipeline.history import runs
from pipeline.process import log
from pipeline.root import Root
root = Root(Path(sys.argv[1]))
with log.captured(root.run("1") / "log.txt") as terminal:
    _Work(root, runs.load(root.path, "1").record, terminal).end(*sys.argv[2:])
"""


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("interrupted", 75)])
def test_each_run_replaces_the_file_at_its_end(tmp_path, status, code):
    path = tmp_path / "unet.prom"
    path.write_text("of an earlier run")
    recorded = RecordedRuns(tmp_path / "root")
    recorded.add("1", {"Trainer": RUNNING}, status="running", config={"prometheus_file": str(path)})
    recorded.close()
    words = [sys.executable, "-c", ENDING, str(recorded.root.path), status, "no room"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = parsed(path.read_text())
    assert found["info"] == {("1", status, "", "", ""): 1}
    assert found["exit_code"] == {(): code}
    assert [name.name for name in tmp_path.iterdir() if name.suffix not in ("", ".prom")] == []


def test_the_page_names_each_metric():
    page = (Path(__file__).parents[3] / "docs/how-to/monitor.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [name for row in rows for name in re.findall(r"`unet_last_run_(\w+)`", row)] == list(HELP)
