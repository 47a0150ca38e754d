"""The Evaluator: TFMA measures the exported model on whole images, and `unet.evaluation.gate` decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.utils import json_utils, path_utils, proto_utils

from components.evaluator import loading, tfma_metric
from components.resolvers import baseline, mlmd
from unet.errors import ImagesLost
from unet.evaluation import gate, pictures
from unet.evaluation.results import Verdict, write_images, write_picture_index, write_verdict
from unet.evaluation.rows import Measuring, predicted_of
from unet.evaluation.settings import GateSettings
from unet.export.signatures import EVALUATE
from unet.images.reader import decode
from unet.masks.labels import IGNORE
from unet.metrics import measurement

SPLIT = "test"


class Executor(tfx_evaluator.Executor):
    """Runs TFMA without any threshold of its own; `unet.evaluation.gate` decides and gives the reasons."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the verdict, the table of the images, the example pictures and the blessing.

        Raises:
            ImagesLost: not every image of the test split was measured.
        """
        settings = GateSettings.model_validate_json(exec_properties["settings"])
        [candidate] = input_dict["model"]
        about, chosen = baseline.choose_baseline(
            candidate, input_dict.get("baseline_model", []), bool(exec_properties["rebaseline"])
        )
        names = settings.class_names
        config = tfma_metric.eval_config(
            names, settings.slices, Measuring.of(settings, len(names), IGNORE, settings.first)
        )
        inputs = {key: input_dict[key] for key in ("examples", "model")}
        if chosen is not None:
            inputs["baseline_model"] = [chosen]
        properties = {
            **{key: value for key, value in exec_properties.items() if key not in ("settings", "rebaseline")},
            "eval_config": proto_utils.proto_to_json(config),
            "example_splits": json_utils.dumps([SPLIT]),
            "custom_eval_shared_model": f"{loading.__name__}.{loading.load_once.__name__}",
        }
        super().Do(inputs, output_dict, properties)

        folder = artifact_utils.get_single_uri(output_dict["evaluation"])
        measured = _measured(folder, chosen is not None)
        [examples] = input_dict["examples"]
        expected = examples.get_int_custom_property(f"{SPLIT}_count")
        if len(measured) != expected:
            raise ImagesLost(f"{len(measured)} of {expected} images arrived at the Evaluator: run again")
        verdict = gate.decide(measured, settings, about)
        rows = gate.table(measured, settings.class_names)
        write_images(folder, rows)
        split = artifact_utils.get_split_uri([examples], SPLIT)
        model = loading.loaded[path_utils.serving_model_path(candidate.uri)]
        _write_pictures(Path(folder), rows, model, split, settings.first)
        loading.loaded.clear()
        write_verdict(folder, verdict)
        [blessing] = output_dict["blessing"]
        _bless(blessing, verdict, candidate, chosen)


def _measured(folder: str, compared: bool) -> list[gate.ImageScores]:
    before = {}
    if compared:
        rows = tfma_metric.read_rows(folder, tfma.BASELINE_KEY)
        before = {row["name"]: row["measured"] for row in rows}
    found: list[Any] = []
    for row in tfma_metric.read_rows(folder, tfma.CANDIDATE_KEY):
        if compared and row["name"] not in before:
            continue  # counted as lost
        candidate = row.pop("measured")
        found.append({**row, "candidate": candidate, "baseline": before[row["name"]] if compared else None})
    return found


def _write_pictures(folder: Path, rows: Sequence[Any], model: Any, split: str, first: int) -> None:
    """Predicts the few images that the report shows and writes their pictures."""
    picked = {row["name"]: (number, row) for number, row in enumerate(pictures.pick(rows))}
    evaluate = model.signatures[EVALUATE]
    files = sorted(tf.io.gfile.glob(f"{split}/*"))
    index = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        name = features["name"].bytes_list.value[0].decode()
        if name not in picked:
            continue
        number, row = picked[name]
        outputs = evaluate(examples=tf.constant([record]))
        maps = np.concatenate([decode(png) for png in outputs["probabilities_bytes"][0].numpy()], -1)
        predicted, confidence = measurement.most_likely(maps)
        if (decided := predicted_of(outputs)) is not None:
            predicted = decided
        foreground = np.minimum(maps.sum(-1, dtype=np.uint32), measurement.FULL).astype(np.uint16)
        written = pictures.write_pictures(
            folder,
            number,
            row,
            decode(features["image"].bytes_list.value[0], features["channels"].int64_list.value[0]),
            decode(outputs["ground_truth_bytes"][0].numpy())[..., 0],
            predicted,
            foreground if first else confidence,
            IGNORE,
            first,
        )
        index.append((number, written))
    write_picture_index(folder, [written for _, written in sorted(index)])


def _bless(blessing: Any, verdict: Verdict, candidate: Any, compared: Any) -> None:
    """Writes the files and custom properties of a blessing, as TFX's Evaluator does."""
    good = verdict["blessed"]
    blessing.set_string_custom_property("current_model", candidate.uri)
    blessing.set_int_custom_property("current_model_id", candidate.id)
    if compared is not None:
        blessing.set_string_custom_property("baseline_model", compared.uri)
        blessing.set_int_custom_property("baseline_model_id", compared.id)
    blessing.set_int_custom_property("blessed", int(good))
    if verdict["baseline"]["state"] == "rebaselined":
        blessing.set_string_custom_property(mlmd.ACCEPTED, "rebaseline")
    path = Path(blessing.uri, "BLESSED" if good else "NOT_BLESSED")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


class EvaluatorSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of `Evaluator`."""

    PARAMETERS = {
        "settings": component_spec.ExecutionParameter(type=str),
        "rebaseline": component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """Measures a model and the last blessed one on the test images, and blesses the model or not."""

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: BaseChannel,
        model: BaseChannel,
        baseline_model: BaseChannel,
        settings: GateSettings,
        rebaseline: bool = False,
    ):
        """Declares the component.

        Args:
            examples: the examples, with a test split.
            model: the candidate model.
            baseline_model: the models that `BlessedBaselineStrategy` resolves.
            settings: the settings of the gate.
            rebaseline: whether to skip the comparison with the last blessed model; the verdict records it.
        """
        super().__init__(
            EvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                settings=settings.model_dump_json(),
                rebaseline=int(rebaseline),
                evaluation=Channel(type=standard_artifacts.ModelEvaluation),
                blessing=Channel(type=standard_artifacts.ModelBlessing),
            )
        )
