"""Runs that never ran: the folders and the ML Metadata that real ones leave, made in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.history.record import RunRecord
from pipeline.root import Root
from unet.evaluation.results import write_verdict

NODES = ("ImageMaskExampleGen", "Trainer", "Evaluator", "Pusher")
CONFIG = {"data": "/cells", "steps": 30, "thresholds": {"foreground_iou": 0.5}}
HASH = "bccaa1f4a3d5c085"
COMPLETE, CACHED, FAILED, RUNNING = (
    mlmd.Execution.COMPLETE, mlmd.Execution.CACHED, mlmd.Execution.FAILED, mlmd.Execution.RUNNING
)  # fmt: skip
_OUTPUTS = {
    "ImageMaskExampleGen": [("examples", "Examples")],
    "Trainer": [("model", "Model"), ("model_run", "ModelRun")],
    "Evaluator": [("evaluation", "ModelEvaluation"), ("blessing", "ModelBlessing")],
    "Pusher": [("pushed_model", "PushedModel")],
}
_INPUTS = {
    "Trainer": ["examples"],
    "Evaluator": ["examples", "model"],
    "Pusher": ["model", "blessing"],
}


class RecordedRuns:
    """Adds runs to a root; each of its components reads what the one before it wrote."""

    def __init__(self, root: Path):
        """Args: root: created where missing."""
        self.root = Root(root)
        root.mkdir(parents=True, exist_ok=True)
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(self.root.metadata)
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = MetadataStore(config)
        self._artifacts: dict[str, int] = {}

    def add(
        self,
        run_id: str,
        states: dict[str, int] | None = None,
        status: str = "pushed",
        version: int = 0,
        iou: float = 0.8,
        **record: Any,
    ) -> Path:
        """Adds a run.

        Args:
            run_id: of the run.
            states: of the components that began; None: all of them are complete.
            status: that it ended with; "running": it did not end.
            version: that it pushed; 0: none.
            iou: that the Evaluator found.
            record: other fields of its `RunRecord`.

        Returns:
            Its folder.
        """
        folder = self.root.run(run_id)
        folder.mkdir(parents=True)
        values: dict[str, Any] = {
            "started": "2026-11-25T01:05:46+0000",
            "profile": "default",
            "config": CONFIG,
            "nodes": list(NODES),
            "status": status,
            "seconds": 0.0 if status == "running" else 100.0,
        }
        RunRecord(run_id, **{**values, **record}).write(folder)
        (folder / "log.txt").write_text("words\n")
        context = self._context("pipeline_run", run_id)
        for name, state in (dict.fromkeys(NODES, COMPLETE) if states is None else states).items():
            self._execute(name, state, context, version, iou)
        return folder

    def promote(self, run_id: str, version: int, reason: str) -> None:
        """A person put the model of a run into service."""
        from pipeline.history.promotion import Promotion, Record
        from pipeline.history.runs import load

        run = load(self.root.path, run_id)
        inputs = {"model": run.artifact("Trainer", "model")}
        promotion = Promotion(run_id, reason, "ada", "2026-11-26T09:00:00+0000")
        Record(self.root, promotion, inputs).done(self.root.serving / str(version))  # type: ignore[arg-type]

    def close(self) -> None:
        """Lets go of the file."""
        del self.store

    def _execute(self, name: str, state: int, run: int, version: int, iou: float) -> None:
        execution = mlmd.Execution(
            type_id=self.store.put_execution_type(mlmd.ExecutionType(name=name)), last_known_state=state
        )
        outputs = []
        if state == CACHED:
            outputs = [(key, self._artifacts[key]) for key, _ in _OUTPUTS[name]]
        elif state == COMPLETE:
            for key, kind in _OUTPUTS[name]:
                self._artifacts[key] = self._write(name, key, kind, version, iou)
                outputs.append((key, self._artifacts[key]))
        inputs = [(key, self._artifacts[key]) for key in _INPUTS.get(name, []) if key in self._artifacts]
        contexts = [
            mlmd.Context(
                id=self._context("node", f"unet.{name}"), type_id=self._kind("node"), name=f"unet.{name}"
            )
        ]
        [run_context] = self.store.get_contexts_by_id([run])
        pairs = []
        for event, entries in ((mlmd.Event.INPUT, inputs), (mlmd.Event.OUTPUT, outputs)):
            for key, artifact in entries:
                path = mlmd.Event.Path(steps=[mlmd.Event.Path.Step(key=key), mlmd.Event.Path.Step(index=0)])
                [found] = self.store.get_artifacts_by_id([artifact])
                pairs.append((found, mlmd.Event(type=event, artifact_id=artifact, path=path)))
        self.store.put_execution(execution, pairs, [*contexts, run_context])

    def _write(self, name: str, key: str, kind: str, version: int, iou: float) -> int:
        folder = self.root.artifacts / name / key / str(len(self.store.get_artifacts()))
        folder.mkdir(parents=True)
        properties: dict[str, str | int] = {}
        if key == "examples":
            properties = {"fingerprint": HASH, "train_count": 6, "eval_count": 2, "test_count": 2}
        elif key == "evaluation":
            write_verdict(folder, verdict(iou))
        elif key == "blessing":
            properties = {"blessed": int(iou >= 0.5)}
            if model := self._artifacts.get("model"):
                [found] = self.store.get_artifacts_by_id([model])
                properties |= {"current_model": found.uri, "current_model_id": model}
        elif key == "pushed_model" and version:
            properties = {"pushed": 1, "pushed_destination": str(self.root.serving / str(version))}
        artifact = mlmd.Artifact(
            type_id=self.store.put_artifact_type(mlmd.ArtifactType(name=kind)), uri=str(folder)
        )
        for property_name, value in properties.items():
            told = artifact.custom_properties[property_name]
            if isinstance(value, int):
                told.int_value = value
            else:
                told.string_value = value
        [number] = self.store.put_artifacts([artifact])
        return int(number)

    def _kind(self, kind: str) -> int:
        return int(self.store.put_context_type(mlmd.ContextType(name=kind)))

    def _context(self, kind: str, name: str) -> int:
        type_id = self._kind(kind)
        if found := self.store.get_context_by_type_and_name(kind, name):
            return int(found.id)
        [number] = self.store.put_contexts([mlmd.Context(type_id=type_id, name=name)])
        return int(number)


def verdict(iou: float) -> dict[str, Any]:
    """What the gate says of a model."""
    passed = iou >= 0.5
    return {
        "blessed": passed,
        "reason": "" if passed else f"foreground_iou is {iou:.4f}, the threshold is 0.5000",
        "classes": ["background", "foreground"],
        "images": 2,
        "baseline": {"state": "none", "why": "no model was blessed yet", "model_id": None},
        "checks": [],
        "metrics": {"foreground_iou": {"value": iou, "low": iou, "high": iou, "baseline": None}},
        "slices": {},
        "confusion": [[1, 0], [0, 1]],
        "calibration": {"bins": [], "ece": None},
    }
