"""The section about the images of the run: statistics of each split, anomalies and drift.

The scalars are those of `components.example_gen.executor`; `components.statistics` has TFDV take their mean
over the images of a split, so that each image counts once. Reads the statistics with `tensorflow_metadata`:
TFDV's own reader needs TensorFlow, which a report does without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from pipeline.report import charts
from pipeline.report.artifacts import Missing, NotReached, RunArtifacts
from pipeline.report.formats import short

_SPLIT = "Split-"
_ORDER = ("train", "eval", "test")


def build(artifacts: RunArtifacts) -> dict[str, Any]:
    """Builds a table for each statistic with a row for each split, and sentences about findings."""
    sets = _load(artifacts.folder("StatisticsGen", "statistics"))
    findings = _findings(artifacts)
    before = artifacts.run.artifact("BlessedStatistics", "baseline")
    note = ""
    if before:
        try:
            sets |= {f"{split}, last blessed": values for split, values in _load(Path(before.uri)).items()}
        except Missing as missing:
            note = f"The images of the last blessed model cannot be shown. {missing}"
    columns = {name: _numeric(values) for name, values in sets.items()}
    counts = {name: int(values.datasets[0].num_examples) for name, values in sets.items()}
    features = dict.fromkeys(feature for values in columns.values() for feature in values)
    return {
        "findings": findings,
        "note": note,
        "counts": list(counts.items()),
        "features": [_feature(name, columns, counts) for name in features],
    }


def _load(folder: Path) -> dict[str, Any]:
    """Loads the statistics by split."""
    found = {}
    paths = sorted(folder.glob(f"{_SPLIT}*/FeatureStats.pb"), key=lambda path: _rank(path.parent.name))
    for path in paths:
        statistics = statistics_pb2.DatasetFeatureStatisticsList()
        try:
            statistics.ParseFromString(path.read_bytes())
        except (OSError, DecodeError) as error:
            raise Missing(f"{path} cannot be read: {error}.") from None
        if not statistics.datasets:
            raise Missing(f"{path} holds no statistics.")
        found[path.parent.name.removeprefix(_SPLIT)] = statistics
    if not found:
        raise Missing(f"{folder} holds no statistics.")
    return found


def _rank(folder: str) -> tuple[int, str]:
    split = folder.removeprefix(_SPLIT)
    return (_ORDER.index(split) if split in _ORDER else len(_ORDER), split)


def _numeric(statistics: Any) -> dict[str, Any]:
    """Returns the numeric features of one split by name."""
    return {
        feature.path.step[0] if feature.path.step else feature.name: feature.num_stats
        for feature in statistics.datasets[0].features
        if feature.HasField("num_stats")
    }


def _findings(artifacts: RunArtifacts) -> list[str]:
    """Lists a sentence for each anomaly or difference that the run found."""
    sentences = []
    report = artifacts.run.artifact("DistributionValidator", "report")
    if report:
        sentences += str(report.properties.get("warnings", "")).splitlines()
    if artifacts.run.status == "bad_input":
        sentences += artifacts.run.reason.splitlines()
    try:
        folder = artifacts.folder("ExampleValidator", "anomalies")
    except NotReached:
        return sentences
    except Missing as missing:
        return [*sentences, str(missing)]
    for path in sorted(folder.glob(f"{_SPLIT}*/SchemaDiff.pb")):
        anomalies = anomalies_pb2.Anomalies()
        try:
            anomalies.ParseFromString(path.read_bytes())
        except (OSError, DecodeError) as error:
            sentences.append(f"{path} cannot be read: {error}.")
            continue
        split = path.parent.name.removeprefix(_SPLIT)
        sentences += [
            f"{split}: {name}: {info.description}" for name, info in sorted(anomalies.anomaly_info.items())
        ]
    return sentences


def _feature(
    name: str, columns: Mapping[str, Mapping[str, Any]], counts: Mapping[str, int]
) -> dict[str, Any]:
    """Returns the rows of one statistic, on one axis."""
    present = {split: values[name] for split, values in columns.items() if name in values}
    low, high = min(v.min for v in present.values()), max(v.max for v in present.values())
    rows = []
    for split, v in present.items():
        numbers = [short(value) for value in (v.min, v.mean, v.median, v.max, v.std_dev)]
        missing = counts[split] - int(v.common_stats.num_non_missing)
        title = f"Histogram of {name} of {split}"
        rows.append((split, numbers, missing, charts.spark(title, _bars(v), low, high)))
    return {"name": name.replace("_", " "), "low": short(low), "high": short(high), "rows": rows}


def _bars(values: Any) -> Sequence[tuple[float, float, float]]:
    """Returns the bars of TFDV's histogram with equal widths."""
    buckets: Sequence[Any] = next((h.buckets for h in values.histograms if h.type == h.STANDARD), [])
    return [(b.low_value, b.high_value, b.sample_count) for b in buckets]
