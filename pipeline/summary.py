"""The summary of a run: what the gate saw and decided, as JSON for programs and as a table for people."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from components.metrics import LOWER_IS_BETTER
from pipeline.config import PipelineConfig


@dataclasses.dataclass
class Summary:
    """Everything about one run that a person or a scheduler asks for first.

    Attributes:
        status: running, pushed, unchanged, not_blessed, failed, bad_input or interrupted.
        components: for each finished component, `seconds` and whether it was `cached`.
        images: number of images in each split.
        metrics, baseline: metrics of the candidate and of the last blessed model on the test split.
        verdict: blessed, not_blessed, or empty before the gate.
        learning_rate: what the Tuner chose, and why.
        trials: file with what became of each trial of the search, empty where none was made.
        trials_plot: file with its plot, score against learning rate, as SVG.
        start: what the training started from, where a warm start was asked for.
        model: folder of the SavedModel that the Trainer wrote.
        data_hash: fingerprint of the content of the data and its splits.
        pushed: folder of the version that holds the model, or empty.
        warnings: sentences about the data that did not stop the run.
    """

    run_id: str
    config: dict[str, Any]
    started: str = dataclasses.field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    status: str = "running"
    reason: str = ""
    seconds: float = 0.0
    components: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    images: dict[str, int] = dataclasses.field(default_factory=dict)
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    baseline: dict[str, float] = dataclasses.field(default_factory=dict)
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)
    verdict: str = ""
    learning_rate: str = ""
    trials: str = ""
    trials_plot: str = ""
    start: str = ""
    model: str = ""
    data_hash: str = ""
    pushed: str = ""
    warnings: list[str] = dataclasses.field(default_factory=list)
    peak_memory_mb: int = 0
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, run_id: str, config: PipelineConfig) -> Summary:
        """The summary of a run that begins."""
        libraries = ("tfx", "tensorflow", "keras", "apache-beam")
        return cls(
            run_id,
            config.model_dump(mode="json"),
            thresholds=config.thresholds,
            versions={"python": sys.version.split()[0]}
            | {name: importlib.metadata.version(name) for name in libraries},
        )

    def write(self, folder: Path) -> None:
        """Writes summary.json, whole or not at all."""
        # The largest of this process and of its children, the InfraValidator's among them.
        peaks = [
            resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        self.peak_memory_mb = max(peaks) // 1024
        part = folder / "summary.json.part"
        with part.open("w", encoding="utf-8") as file:
            content = dataclasses.asdict(self)
            for key in ("metrics", "baseline"):  # JSON has no NaN
                content[key] = {k: None if math.isnan(v) else v for k, v in content[key].items()}
            json.dump(content, file, indent=2, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / "summary.json")


def print_metrics(summary: Summary, console: Console) -> None:
    """The table of the gate: each metric beside its threshold and the last blessed model's."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    count = round(summary.metrics["example_count"])
    images = f"{count} test image{'' if count == 1 else 's'}"
    for column in (images, "model", "threshold", "last blessed", ""):
        table.add_column(column, justify="left" if column == images else "right")
    for name, value in summary.metrics.items():
        if name == "example_count":
            continue
        bound = summary.thresholds.get(name)
        limit = passed = ""
        if bound is not None:
            lower = name in LOWER_IS_BETTER
            limit = f"{'<=' if lower else '>='} {bound:.3f}"
            passed = "pass" if (value <= bound if lower else value >= bound) else "FAIL"
        before = summary.baseline.get(name)
        table.add_row(name, f"{value:.4f}", limit, "" if before is None else f"{before:.4f}", passed)
    console.print(table)
