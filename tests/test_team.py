"""Two roots at once on one database of a real server, which restarts while a run is at work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from data.synthetic import write_cells
from pipeline.history.runs import load, runs
from pipeline.metadata.settings import PASSWORD
from tests.databases import needs_mariadb, needs_postgresql
from tools import database_servers as servers

CHECKOUT = Path(__file__).parent.parent
pytestmark = [pytest.mark.server, needs_mariadb, needs_postgresql]
TINY = {
    "classes": "{ surroundings = 0, cell = 255 }",
    "base_filters": 4,
    "depth": 2,
    "patch_size": 76,
    "steps": 5,
    "validate_every": 5,
    "batch_size": 2,
    "tune": "never",
    "warm_start": "latest",
    "thresholds": "{ pixel_error = 1.0 }",
}


def begin(place: Path, root: str, server: servers.Server, *words: str, **settings: Any) -> subprocess.Popen:
    """Begins a run in a process of its own, which knows the password."""
    values = {**TINY, "metadata": server.table(), **settings}
    words += tuple(word for key, value in values.items() for word in ("--set", f"{key}={value}"))
    words += ("--data", str(place / "data"), "--root", str(place / root))
    return subprocess.Popen(
        [sys.executable, CHECKOUT / "run_pipeline.py", "run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, PASSWORD: servers.PASSWORD},
    )


def end(process: subprocess.Popen, code: int = 0) -> str:
    said = str(process.communicate(timeout=900)[0])
    assert process.returncode == code, said
    return said


def summary_of(root: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "runs" / run / "summary.json").read_text())
    return found


def test_two_roots_on_mariadb_are_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No longer than until both know their data; the rest is the same on every server."""
    monkeypatch.setenv(PASSWORD, servers.PASSWORD)
    write_cells(tmp_path / "data", 8, (96, 96), seed=1)
    with servers.MariaDB() as server:
        words = ("--only", "ingest", "--run-id", "night-1")
        for process in [begin(tmp_path, root, server, *words) for root in ("a", "b")]:
            end(process)
        for root in (tmp_path / "a", tmp_path / "b"):
            [run] = runs(root)
            assert (run.id, run.status, run.problems) == ("night-1", "waiting", [])
            assert not any(part["cached"] for part in summary_of(root, "night-1")["components"].values())
            found = [a.path for node in run.nodes for several in node.outputs.values() for a in several]
            assert len(found) > 3
            assert all(folder.is_relative_to(root) for folder in found)


def test_two_roots_on_one_database_are_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PASSWORD, servers.PASSWORD)
    write_cells(tmp_path / "data", 8, (96, 96), seed=1)
    a, b = tmp_path / "a", tmp_path / "b"
    with servers.PostgreSQL() as server:
        # The same data, settings and id, at once: each makes all of it itself.
        both = [begin(tmp_path, root, server, "--run-id", "night-1") for root in ("a", "b")]
        for process in both:
            end(process)
        for root in (a, b):
            [run] = runs(root)
            assert (run.id, run.status, run.problems) == ("night-1", "pushed", [])
            assert not any(part["cached"] for part in summary_of(root, "night-1")["components"].values())
            folders = {
                found.path for node in run.nodes for several in node.outputs.values() for found in several
            }
            assert len(folders) > 10
            assert all(folder.is_relative_to(root) for folder in folders)
            assert servers.PASSWORD not in (root / "metadata.json").read_text()
            assert servers.PASSWORD not in (root / "runs" / "night-1" / "run.json").read_text()
            assert not (root / "metadata.sqlite").exists()
        assert "Unchanged since run night-1" in end(begin(tmp_path, "a", server))

        # The server is killed while the next model is trained, and comes back.
        process = begin(tmp_path, "a", server, "--run-id", "night-2", steps=6)
        assert process.stdout
        for line in process.stdout:
            if "Trainer" in line or "training:" in line:
                break
        server.kill()
        back = threading.Timer(5, server.start)
        back.start()
        end(process)
        back.join()
        second = load(a, "night-2")
        assert second.status == "pushed"
        made = {name for name, part in summary_of(a, "night-2")["components"].items() if part["cached"]}
        assert {"ImageMaskExampleGen", "StatisticsGen", "Transform"} <= made
        model = load(a, "night-1").artifact("Trainer", "model")
        assert model
        [baseline] = second.node("BlessedBaseline").outputs["model"]  # type: ignore[union-attr]
        [start] = second.node("WarmStart").outputs["model"]  # type: ignore[union-attr]
        assert baseline.id == start.id == model.id
        assert [run.id for run in runs(b)] == ["night-1"]

        # It is gone, does not know the user, or is another one: nothing begins.
        said = end(begin(tmp_path, "b", server, metadata='{ backend = "sqlite" }'), 2)
        assert "what its runs did is in" in said
        monkeypatch.setattr(servers, "PASSWORD", "another")
        assert f"is {PASSWORD} right" in end(begin(tmp_path, "b", server), 2)
        server.kill()
        said = end(begin(tmp_path, "b", server), 75)
        assert "does not answer" in said
        assert "Traceback" not in said
        assert [run.status for run in runs(b)] == ["pushed"]  # what the folders tell
