"""Nights of a root: runs that push a model, with files in every output and versions in the serving folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.commands.rollback import rollback
from pipeline.history.lineage import lineage, run_of_version
from pipeline.history.runs import load, runs
from pipeline.history.summary import summarize
from pipeline.metadata.store import open_store
from pipeline.report.page import write_report
from pipeline.retention.plan import Plan, make_plan
from pipeline.retention.removal import delete
from pipeline.retention.settings import Retention
from pipeline.root import Root
from tests.pipeline.recorded_runs import CACHED, COMPLETE, HASH, NODES, RecordedRuns
from unet.registry.model_card import write_card
from unet.registry.versions import versions

_FACTS = {
    "data_sha256": HASH,
    "images": {},
    "data_licence": "",
    "code": "unknown",
    "configuration": "unknown",
}
_ALL_CACHED = {**dict.fromkeys(NODES, CACHED), "Pusher": COMPLETE}


def version_of(number: int) -> int:
    return 100 + number


def run_id(number: int) -> str:
    return f"202611{number // 24 + 1:02d}-{number % 24:02d}0000Z"


def night(
    recorded: RecordedRuns,
    number: int,
    pushes: bool = True,
    classes: str = "cells",
    states: dict[str, int] | None = None,
    **more: object,
) -> str:
    """Adds a run; a night on unchanged data makes no outputs, one that pushes adds a version."""
    name = run_id(number)
    before = {a.uri for a in recorded.store.get_artifacts()}
    started = f"2026-11-{number // 24 + 1:02d}T{number % 24:02d}:00:00+0000"
    arguments = {"version": version_of(number) if pushes else 0, "iou": 0.8 if pushes else 0.1, **more}
    recorded.add(name, states=states, started=started, **arguments)  # type: ignore[arg-type]
    for artifact in recorded.store.get_artifacts():
        folder = Path(artifact.uri)
        if artifact.uri in before:
            continue
        if artifact.type == "Model":
            serving = folder / "Format-Serving"
            (serving / "assets.extra").mkdir(parents=True)
            (serving / "saved_model.pb").write_text(f"model {number} " * 100)
            (serving / "assets.extra" / "training.json").write_text(json.dumps({"classes": [classes]}))
            if pushes:
                version = recorded.root.serving / str(version_of(number))
                shutil.copytree(serving, version)
                write_card(version, version_of(number), {**_FACTS, "run": name}, {})
        elif artifact.type not in ("ModelEvaluation", "ModelBlessing", "PushedModel"):
            (folder / "data").write_text(f"{artifact.type} {number} " * 100)
    return name


def unchanged_night(recorded: RecordedRuns, number: int) -> str:
    return night(recorded, number, pushes=False, states=_ALL_CACHED, status="unchanged")


def plan_of(root: Root, keep_runs: int = 3, keep_versions: int = 2) -> Plan:
    return make_plan(root, Retention(keep_runs=keep_runs, keep_versions=keep_versions))


def clean(root: Root, keep_runs: int = 3, keep_versions: int = 2) -> Plan:
    plan = plan_of(root, keep_runs, keep_versions)
    delete(root, plan)
    return plan


def size(root: Root) -> int:
    """Bytes of everything but ML Metadata, whose rows stay."""
    files = (p for p in root.path.rglob("*") if p.is_file() and p.name != root.metadata.name)
    return sum(path.stat().st_size for path in files)


def ids(root: Root) -> list[str]:
    return [run.id for run in runs(root.path)]


def assert_whole(root: Root) -> None:
    """All that is left can be used: outputs, reports, versions."""
    for artifact in open_store(root).get_artifacts():
        if artifact.state != mlmd.Artifact.DELETED:
            assert Path(artifact.uri).is_dir(), artifact.uri
        else:
            assert not Path(artifact.uri).exists(), artifact.uri
    for run in runs(root.path):
        assert not run.problems
        assert summarize(run).run_id == run.id
        assert lineage(root.path, run).model or run.status == "failed"
        assert write_report(root, run.id).is_file()
        for node in run.nodes:
            for artifact in (a for artifacts in node.outputs.values() for a in artifacts):
                assert artifact.path.is_dir()
    for version in versions(root.serving):
        run, _ = run_of_version(root.path, version)
        assert load(root.path, run.id).artifact("Trainer", "model")
    assert not root.deleted.exists()


def roll_back(root: Root, version: int | None = None) -> None:
    assert rollback(root.path, version) == 0
