"""What is left behind around a run; runs themselves are in tests/test_end_to_end.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from data.synthetic import write_cells
from pipeline.cli import main
from pipeline.commands.run import write_skipped
from pipeline.process.signals import SECONDS_TO_STOP
from unet.dataset.sample import Problem


def test_a_skipped_file_is_a_line_whatever_its_name(tmp_path: Path) -> None:
    names = ["a\tb.png", "new\nline.png", "back\\n.png", "d\u00e4.png"]
    write_skipped(tmp_path / "skipped.tsv", [Problem(name, "an empty file", "") for name in names])
    lines = (tmp_path / "skipped.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in lines] == [
        [name, "an empty file"] for name in (r"a\tb.png", r"new\nline.png", r"back\\n.png", "d\u00e4.png")
    ]


@pytest.mark.parametrize(
    "content", [b"nonsense" * 500, b"SQLite format 3\0" + bytes(84)], ids=["text", "torn"]
)
def test_a_damaged_metadata_store_is_a_sentence_before_anything_is_loaded(content, tmp_path, capsys):
    write_cells(tmp_path / "data", 6, (32, 32))
    root = tmp_path / "root"
    root.mkdir()
    (root / "metadata.sqlite").write_bytes(content)
    words = ["run", "--data", str(tmp_path / "data"), "--root", str(root)]
    assert main([*words, "--set", "classes={ background = 0, cell = 255 }"]) == 1
    found = capsys.readouterr()
    assert str(root / "metadata.sqlite") in found.out
    assert "Loading" not in found.out
    assert not (root / "runs").exists()
    assert (root / "metadata.sqlite").read_bytes() == content


ENDING = """
import sys
from pathlib import Path
from pipeline.history import runs
from pipeline.process import signals
from pipeline.commands.run import EXIT_CODE_OF, _Work
from pipeline.root import Root
root = Root(Path(sys.argv[1]))
run = runs.load(root.path, "1")
signals.install()
work = _Work(root, run.record, sys.stdout)
signals.watch(work.give_up)
work.nodes = run.nodes
work.end("pushed", "")
sys.exit(EXIT_CODE_OF["pushed"])
"""


@pytest.mark.parametrize(
    ("number", "late"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)]
)
def test_a_signal_while_the_report_is_written_does_not_change_how_the_run_ended(recorded, number, late):
    folder = recorded.add("1", version=7)
    curves = Path(next(recorded.root.artifacts.glob("Trainer/model_run/*")), "curves.csv")
    os.mkfifo(curves)  # keeps who reads it until somebody writes
    recorded.close()
    process = subprocess.Popen(
        [sys.executable, "-c", ENDING, str(recorded.root.path)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout
    impatient = threading.Timer(60, process.kill)
    impatient.start()
    told = process.stdout.readline()
    while not told.endswith("summary.json\n"):  # the last line before the report
        line = process.stdout.readline()
        assert line
        told += line
    assert f"Pushed {recorded.root.serving / '7'}" in told
    time.sleep(SECONDS_TO_STOP + 1 if late else 0.3)
    process.send_signal(number)
    if not late:  # the one who wants it to stop at last gets that
        time.sleep(0.3)
        curves.write_text("step,loss\n1,0.5\n")
    rest, _ = process.communicate()
    impatient.cancel()
    assert process.returncode == 0
    assert (f"report    {folder / 'report.html'}" in rest) == (folder / "report.html").exists() == (not late)
    assert json.loads((folder / "run.json").read_text())["status"] == "pushed"
