"""The figures of the last run in Prometheus's text format, for the textfile collector of node_exporter."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.history.record import moment
from pipeline.history.summary import RunSummary
from pipeline.root import Root
from unet.files import atomic_write

_PREFIX = "unet_last_run"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_UNPRINTED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_BYTES = 1 << 20  # of a unit of `peak_memory_mb`
# What each metric says. All have the label `root`, as those of several roots may be collected.
HELP = {
    "info": "The run; its value is always 1.",
    "exit_code": "Exit code of the run: 0 pushed or unchanged, 1 failed, 2 bad input, 3 not blessed, "
    "75 interrupted.",
    "start_timestamp_seconds": "When the run started, in seconds since the epoch.",
    "end_timestamp_seconds": "When the run, or the last part of it, ended, in seconds since the epoch.",
    "duration_seconds": "How long the run took, all of its parts together.",
    "peak_memory_bytes": "Peak resident memory of the run.",
    "component_duration_seconds": "How long a finished component took; about 0 where its result was reused.",
    "images": "Images in a split.",
    "score": "Metric of the model on the test split.",
    "baseline_score": "The same metric of the last blessed model, on the same images.",
    "threshold": "What the gate demands of a metric.",
    "warnings": "Warnings about the data that did not stop the run.",
}
_Sample = tuple[dict[str, str], float | None]


def write_last_run(config: Mapping[str, Any], root: Root, summary: RunSummary, code: int) -> list[str]:
    """Replaces the file that the setting `prometheus_file` names; does nothing without one.

    Args:
        config: every setting of the run by its name.
        root: root folder of the run.
        summary: the summary of the run.
        code: exit code of the run.

    Returns:
        A sentence if the file could not be written, which is no reason to lose a run; else nothing.
    """
    path = config.get("prometheus_file")
    if not path:
        return []
    try:
        with atomic_write(Path(path)) as file:
            file.write(as_text(root, summary, code, time.time()))
    except OSError as error:
        return [f"{path}: the figures for Prometheus could not be written: {error.strerror}"]
    return []


def as_text(root: Root, summary: RunSummary, code: int, end: float) -> str:
    """Formats the figures of a run.

    Args:
        root: root folder of the run.
        summary: the summary of the run.
        code: exit code of the run.
        end: end of the run in seconds since the epoch.
    """
    started = moment(summary.started)
    info = {
        "run": summary.run_id,
        "status": summary.status,
        "verdict": summary.verdict,
        "version": Path(summary.pushed).name,
        "data": summary.data_hash,
    }
    samples: dict[str, list[_Sample]] = {
        "info": [(info, 1)],
        "exit_code": [({}, code)],
        "start_timestamp_seconds": [({}, started.timestamp() if started else None)],
        "end_timestamp_seconds": [({}, end)],
        "duration_seconds": [({}, summary.seconds)],
        "peak_memory_bytes": [({}, summary.peak_memory_mb * _BYTES or None)],
        "component_duration_seconds": [
            ({"component": name, "cached": str(row["cached"]).lower()}, row["seconds"])
            for name, row in summary.components.items()
        ],
        "images": _each("split", summary.images),
        "score": _scores(summary.metrics),
        "baseline_score": _scores(summary.baseline),
        "threshold": _each("metric", summary.thresholds),
        "warnings": [({}, len(summary.warnings))],
    }
    return "".join(_family(name, samples[name], {"root": str(root.path)}) for name in HELP)


def _each(label: str, values: Mapping[str, float | None]) -> list[_Sample]:
    return [({label: name}, value) for name, value in values.items()]


def _scores(values: Mapping[str, float | None]) -> list[_Sample]:
    return _each("metric", {name: value for name, value in values.items() if name != "example_count"})


def _family(name: str, samples: Iterable[_Sample], every: dict[str, str]) -> str:
    """The lines of one metric; none if nothing of it is known."""
    known = [(labels, value) for labels, value in samples if value is not None]
    if not known:
        return ""
    full = f"{_PREFIX}_{name}"
    lines = [f"# HELP {full} {HELP[name]}", f"# TYPE {full} gauge"]
    for labels, value in known:
        inside = ",".join(f'{key}="{_escape(text)}"' for key, text in {**every, **labels}.items())
        lines.append(f"{full}{{{inside}}} {float(value)!r}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    # A path may hold bytes that are no UTF-8, which Python keeps as halves of surrogates.
    plain = text.encode("utf-8", "replace").decode("utf-8")
    return _UNPRINTED.sub("?", plain).translate(_ESCAPES)
