"""Runs with files of every kind that a report shows, small and made up, as their real writers write them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from data.synthetic_evaluation import write_evaluation
from pipeline.config.settings import PipelineConfig
from pipeline.history.executions import Artifact, Node
from pipeline.history.record import RunRecord
from pipeline.history.runs import Run
from pipeline.root import Root
from unet.training.files import CURVES, SAMPLES, SAMPLES_INDEX, TRIALS

RUN = "20261125-004505"
OUTPUTS: dict[str, dict[str, dict[str, Any]]] = {
    "ImageMaskExampleGen": {
        "examples": {"fingerprint": "5eed" * 16, "train_count": 6, "eval_count": 2, "test_count": 5}
    },
    "StatisticsGen": {"statistics": {}},
    "ExampleValidator": {"anomalies": {}},
    "DistributionValidator": {"report": {"warnings": ""}},
    "Tuner": {"best_hyperparameters": {"reason": "learning rate 2.0e-03"}, "tuner_results": {}},
    "Trainer": {"model": {}, "model_run": {}},
    "Evaluator": {"evaluation": {}, "blessing": {"blessed": 1}},
    "Pusher": {"pushed_model": {"pushed_destination": "/models/unet/1795557723", "pushed": 1}},
}  # fmt: skip


@dataclasses.dataclass
class Made:
    """A run, and where its files are."""

    root: Root
    run: Run

    def folder(self, node: str, key: str) -> Path:
        artifact = self.run.artifact(node, key)
        assert artifact
        return Path(artifact.uri)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    """Makes a run under one root: `make("a", images=5, ...)`; more arguments are those of the evaluation."""

    def made(run_id: str = RUN, status: str = "pushed", reason: str = "", **evaluation: Any) -> Made:
        root = Root(tmp_path / "root")
        root.run(run_id).mkdir(parents=True)
        config = PipelineConfig(steps=60).model_dump(mode="json")
        record = RunRecord(
            run_id,
            "2026-11-25T00:45:05+0000",
            command="python run_pipeline.py",
            profile="default",
            config={**config, "channels": 3},  # in the place of "auto"
            changed={"steps": 60},
            versions={"python": "3.10"},
            status=status,
            reason=reason,
            seconds=294.0,
        )
        nodes = []
        for number, (name, outputs) in enumerate(OUTPUTS.items(), 1):
            artifacts = {}
            for key, properties in outputs.items():
                folder = root.artifacts / run_id / name / key
                folder.mkdir(parents=True)
                artifacts[key] = [Artifact(number, str(folder), key, dict(properties))]
            nodes.append(Node(name, "done", seconds=float(number), peak_memory_mb=900, outputs=artifacts))
        run = Run(run_id, root.run(run_id), record.started, status, reason, 294.0, nodes, record, [])
        found = Made(root, run)
        (root.run(run_id) / "log.txt").write_text("one line\nand the last one\n")
        write_evaluation(
            found.folder("Evaluator", "evaluation"), **{"images": 5, "size": (64, 80), **evaluation}
        )
        write_statistics(found.folder("StatisticsGen", "statistics"))
        write_anomalies(found.folder("ExampleValidator", "anomalies"), {})
        write_trials(found.folder("Tuner", "tuner_results"))
        write_training(found.folder("Trainer", "model_run"))
        return found

    return made


def write_statistics(folder: Path, **counts: int) -> None:
    """Statistics of one scalar in each split, as TFDV writes them."""
    for split, count in (counts or {"train": 6, "eval": 2, "test": 5}).items():
        statistics = statistics_pb2.DatasetFeatureStatisticsList()
        dataset = statistics.datasets.add(name="all", num_examples=count)
        numbers = dataset.features.add().num_stats
        dataset.features[0].path.step.append("mean")
        numbers.common_stats.num_non_missing = count - 1
        numbers.min, numbers.mean, numbers.median, numbers.max, numbers.std_dev = 10, 21, 20, 33, 9.5
        histogram = numbers.histograms.add()
        histogram.buckets.add(low_value=10, high_value=20, sample_count=2)
        histogram.buckets.add(low_value=20, high_value=33, sample_count=1)
        path = folder / f"Split-{split}" / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(statistics.SerializeToString())


def write_anomalies(folder: Path, found: dict[str, str]) -> None:
    """Anomalies of the split train: a description for each feature."""
    anomalies = anomalies_pb2.Anomalies()
    for name, description in found.items():
        anomalies.anomaly_info[name].description = description
    path = folder / "Split-train" / "SchemaDiff.pb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(anomalies.SerializeToString())


def write_trials(folder: Path) -> None:
    rows = [
        {"trial": f"{i}", "choice": {"learning_rate": rate}, "steps": 60, "status": status, "score": score,
         "reason": why}
        for i, (rate, status, score, why) in enumerate(
            [(2e-3, "completed", 0.8, ""), (5e-3, "diverged", None, "the loss is nan at step 3")]
        )
    ]  # fmt: skip
    (folder / TRIALS).write_text(json.dumps(rows))


def write_training(folder: Path) -> None:
    (folder / CURVES).write_text(
        "validation,loss,val_foreground_iou,val_pixel_error,steps,learning_rate\n"
        "1,0.5,0.61,0.1,30,0.001\n2,0.31,0.78,0.06,30,0.0001\n"
    )
    samples = folder / SAMPLES
    samples.mkdir()
    gray = np.arange(40 * 40, dtype=np.uint8).reshape(40, 40)
    row: dict[str, Any] = {
        "name": "image 0001",
        "weight": "w.png",
        "weight_most": 11.0,
    }
    for key in ("before", "after"):
        Image.fromarray(gray).save(samples / f"{key}.jpg")
        Image.fromarray(gray % 2).save(samples / f"mask_{key}.png")
        row |= {key: f"{key}.jpg", f"mask_{key}": f"mask_{key}.png"}
    Image.fromarray(gray).save(samples / "w.png")
    (samples / SAMPLES_INDEX).write_text(json.dumps([row]))


def damaged(path: Path) -> None:
    """Half of a file is lost."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
