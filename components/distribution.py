"""Compares the images with those that the deployed model was made for: domains, drift and skew.

A schema inferred from the data that it validates finds no anomaly. So the data are compared with the domains
of the profile, with the data of the last blessed model, and with images as they come in service.
"""

# No `from __future__ import annotations` here: TFX reads the annotations of a component function as objects.

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import ExampleAnomalies, ExampleStatistics

from components.statistics import CONTENT, SPLIT, compute, read_table
from unet.dataset.sample import FRACTION_PREFIX, SERVING, SPLITS
from unet.dataset.settings import Drift
from unet.errors import BadInput
from unet.files import files_under

FROZEN = ("bit_depth", "channels")  # new values mean another kind of images, even in few images
COMPARED = ("mean", "stddev", "height", "width")
# The divergence of two small samples of one distribution is far from 0. By resampling the bundled nuclei it
# was at most 0.94 for 6 images, 0.67 for 12 and 0.52 for 28: below max_drift plus this over sqrt(images).
_NOISE = 1.6
_MOST = 0.99  # two sets with disjoint values have a divergence of 1; the threshold stays below it
# Two samples of one distribution may be disjoint if they have fewer images than this. Then the means must
# differ, too, by this many standard deviations.
_FEW, _DEVIATIONS = 30, 2.0
# Fewer new images say nothing: of the bundled nuclei, the mean of three is sometimes two deviations off.
_FEWEST_NEW = 4

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList


def load_statistics(uri: str) -> dict[str, Statistics]:
    """Loads the statistics that StatisticsGen wrote, by split."""
    files = [path for path in files_under(Path(uri)) if path.name == "FeatureStats.pb"]
    return {path.parent.name.removeprefix("Split-"): tfdv.load_stats_binary(str(path)) for path in files}


def numeric(statistics: Statistics) -> dict[str, statistics_pb2.NumericStatistics]:
    """Returns the numeric features of one split by name."""
    return {
        feature.path.step[0]: feature.num_stats
        for dataset in statistics.datasets
        for feature in dataset.features
        if feature.HasField("num_stats")
    }


def outside_domains(
    current: Mapping[str, Statistics], domains: Mapping[str, tuple[float, float]]
) -> list[str]:
    """Lists a sentence for each split and feature with values outside the domain that the profile states."""
    sentences = []
    for split, statistics in current.items():
        for name, values in numeric(statistics).items():
            low, high = domains.get(name, (-math.inf, math.inf))
            if values.min < low or values.max > high:
                sentences.append(
                    f"{split}: {name} of the images goes from {values.min:g} to {values.max:g}, its domain is"
                    f" {low:g} to {high:g}; correct the images, or domains"
                )
    return sentences


def new_kinds(current: Mapping[str, Statistics], baseline: Mapping[str, Statistics]) -> list[str]:
    """Lists a sentence for each frozen feature with values that the last blessed model's data lack."""
    before = [numeric(statistics) for split, statistics in baseline.items() if split in SPLITS]
    sentences = []
    for name in FROZEN:
        known = [values[name] for values in before if name in values]
        for split, statistics in current.items():
            values = numeric(statistics).get(name)
            if split not in SPLITS or not values or not known:
                continue
            low, high = min(v.min for v in known), max(v.max for v in known)
            if values.min < low or values.max > high:
                sentences.append(
                    f"{split}: {name} goes from {values.min:g} to {values.max:g}; the images of the last"
                    f" blessed model had {low:g} to {high:g}"
                )
    return sentences


def divergences(now: Statistics, before: Statistics) -> dict[str, tuple[float, float]]:
    """Measures with TFDV how far the scalars of two sets of images diverge.

    Args:
        now: statistics of one split.
        before: statistics of the split to compare with; features that only one of both has are left out.

    Returns:
        For each feature the Jensen-Shannon divergence, 0 to 1, and the part of it that two samples of so few
        images may have by chance.
    """
    names = [name for name in numeric(now) if name in COMPARED or name.startswith(FRACTION_PREFIX)]
    schema = schema_pb2.Schema()
    for name in names:
        feature = schema.feature.add(name=name, type=schema_pb2.FLOAT)
        feature.drift_comparator.jensen_shannon_divergence.threshold = 1.0
    found = tfdv.validate_statistics(_only(now, names), schema, previous_statistics=_only(before, names))
    fewest = min(s.datasets[0].num_examples for s in (now, before))
    chance = _NOISE / math.sqrt(max(fewest, 1))
    return {
        info.path.step[0]: (measurement.value, chance)
        for info in found.drift_skew_info
        for measurement in info.drift_measurements
    }


def of_new_images(now: pd.DataFrame, before: pd.DataFrame) -> Statistics | None:
    """Computes the statistics of the images that came since the last blessed model, or got other masks.

    Among many images that were there before, a folder of wrong ones would not be seen.

    Args:
        now: the table of all images of this run, see `components.statistics.read_table`.
        before: the table of the images of the last blessed model.

    Returns:
        None if all images are new, or too few of them to tell anything.
    """
    images = now[now[SPLIT] != SERVING]
    new = images[~images[CONTENT].isin(before[CONTENT])]
    if not _FEWEST_NEW <= len(new) < len(images):
        return None
    return compute(new)


def _only(statistics: Statistics, names: list[str]) -> Statistics:
    """Keeps only the named features, as floats: integers and floats are the same scale here."""
    copy = Statistics()
    copy.CopyFrom(statistics)
    for dataset in copy.datasets:
        kept = [feature for feature in dataset.features if feature.path.step[0] in names]
        del dataset.features[:]
        dataset.features.extend(kept)
        for feature in dataset.features:
            feature.type = statistics_pb2.FeatureNameStatistics.FLOAT
    return copy


def differences(now: Statistics, before: Statistics, max_drift: float, what: str) -> list[str]:
    """Lists a sentence for each scalar whose divergence exceeds `max_drift`; `what` names the two sets."""
    new, old = numeric(now), numeric(before)
    fewest = min(s.datasets[0].num_examples for s in (now, before))
    sentences = []
    for name, (divergence, chance) in divergences(now, before).items():
        allowed = min(max_drift + chance, _MOST)
        shift = abs(new[name].mean - old[name].mean)
        spread = max(new[name].std_dev, old[name].std_dev)
        if divergence > allowed and (fewest >= _FEW or shift > _DEVIATIONS * spread):
            sentences.append(
                f"{name} {what}: {old[name].mean:.3g} before, {new[name].mean:.3g} now on average (divergence"
                f" {divergence:.2f}, allowed {allowed:.2f})"
            )
    return sentences


@component
def DistributionValidator(  # type: ignore[no-untyped-def]
    statistics: InputArtifact[ExampleStatistics],
    settings: Parameter[str],
    report: OutputArtifact[ExampleAnomalies],
    baseline: InputArtifact[ExampleStatistics] = None,
):
    """Stops a run whose images differ from those that the deployed model was made for.

    The parameter `settings` is a `Drift` as JSON; `baseline` is the statistics of the last blessed model's
    data, if there is such a model. Raises `BadInput` with a sentence for each difference. With on_drift =
    "warn" the sentences become the property `warnings` of the report, except for values outside their
    domains.
    """
    options = Drift.model_validate_json(settings)
    current = load_statistics(statistics.uri)
    wrong = outside_domains(current, options.domains)
    changed = []
    if baseline is not None:
        before = load_statistics(baseline.uri)
        what = "drifted from that of the last blessed model's images"
        changed += new_kinds(current, before)
        changed += differences(current["train"], before["train"], options.max_drift, what)
        new = of_new_images(read_table(statistics.uri), read_table(baseline.uri))
        if new is not None:
            what = f"of the {new.datasets[0].num_examples} new images {what}"
            changed += differences(new, before["train"], options.max_drift, what)
    if SERVING in current:
        what = "differs between the images in service (now) and those to train on (before)"
        changed += differences(current[SERVING], current["train"], options.max_drift, what)
    if wrong or (changed and options.on_drift == "stop"):
        advice = "To train on them knowingly: --set on_drift=warn" if changed else ""
        raise BadInput("\n".join(["the images are not what is expected", *wrong, *changed, advice]).strip())
    report.set_string_custom_property("warnings", "\n".join(changed))
    report.split_names = artifact_utils.encode_split_names([])
