"""The Pusher: deploys a model that passed every gate."""

# No `from __future__ import annotations` here: TFX reads the annotations of a component function as objects.

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import (
    Examples,
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelEvaluation,
    PushedModel,
)
from tfx.utils import path_utils

from unet.dataset.sample import SPLITS
from unet.evaluation.results import metrics_of, read_verdict
from unet.registry.model_card import write_card
from unet.registry.versions import Withdrawn, push


@component
def Pusher(  # type: ignore[no-untyped-def]
    model: InputArtifact[Model],
    model_blessing: InputArtifact[ModelBlessing],
    infra_blessing: InputArtifact[InfraBlessing],
    evaluation: InputArtifact[ModelEvaluation],
    examples: InputArtifact[Examples],
    pushed_model: OutputArtifact[PushedModel],
    folder: Parameter[str],
    facts: Parameter[str],
    run: Parameter[str],
):
    """Deploys a model that both gates blessed, with its card, unless the newest version is this very model.

    The parameters are `folder`, the folder of the versions; `facts`, JSON for the model card with what the
    artifacts do not hold; and `run`, the id of this run. The card holds it, so that the version leads to its
    run even if the process is killed before ML Metadata knows of the push. `pushed_model` records the result
    in custom properties: `pushed` (0 or 1), `withdrawn` (1: a rollback withdrew this model) and, if the model
    is deployed afterwards, `pushed_destination`.
    """
    pushed_model.set_int_custom_property("pushed", 0)
    if not all(b.get_int_custom_property("blessed") == 1 for b in (model_blessing, infra_blessing)):
        return
    known = {
        "data_sha256": examples.get_string_custom_property("fingerprint"),
        "images": {split: examples.get_int_custom_property(f"{split}_count") for split in SPLITS},
        "run": run,
        **json.loads(facts),
    }

    def describe(copy: Path, version: int) -> None:
        write_card(copy, version, known, metrics_of(read_verdict(evaluation.uri)))

    try:
        target, is_new = push(Path(path_utils.serving_model_path(model.uri)), Path(folder), describe)
    except Withdrawn:
        pushed_model.set_int_custom_property("withdrawn", 1)
        return
    pushed_model.set_int_custom_property("pushed", int(is_new))
    pushed_model.set_string_custom_property("pushed_destination", str(target))
