"""The baseline of the gate: the last blessed model, and whether the candidate can be compared with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tfx.dsl.components.common import resolver
from tfx.types.standard_artifacts import Model
from tfx.utils import path_utils

from components.resolvers import mlmd
from unet.evaluation.results import Baseline
from unet.export.signatures import EVALUATE, EVALUATE_OUTPUTS, PREDICTED
from unet.files import files_in, raise_passing
from unet.registry.records import training_record


class BlessedBaselineStrategy(resolver.ResolverStrategy):
    """Resolves the most recently blessed model other than the candidate.

    TFX's own strategy would resolve an unchanged candidate as its own baseline in the next run: the
    evaluation would never come from the cache, and the candidate would be compared with itself.
    """

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Takes `candidate`, `model`, `model_blessing`; returns `model`, the input of `choose_baseline`.

        `model` holds the last blessed model. If the candidate cannot be compared with it, the last comparable
        model follows, or the candidate if there is none. `model` holds the candidate alone if a person
        promoted it and no model was blessed since. A model that the same training made before, whose files
        were damaged, stands for the candidate.
        """
        [candidate] = input_dict["candidate"]
        models = {artifact.id: artifact for artifact in input_dict["model"]}
        chosen: list[Model] = []
        for blessing in mlmd.blessed(store, input_dict["model_blessing"]):
            model = models.get(blessing.get_int_custom_property("current_model_id"))
            if model is None:
                continue
            if model.id == candidate.id or mlmd.same_key(store, model.id, candidate.id):
                if not chosen and blessing.get_string_custom_property(mlmd.ACCEPTED):
                    return {**input_dict, "model": [candidate], "model_blessing": [blessing]}
                continue
            is_comparable = not why_incomparable(model, candidate)
            if is_comparable or not chosen:
                chosen.append(model)
            if is_comparable:
                return {**input_dict, "model": chosen, "model_blessing": [blessing]}
        # The candidate stands for "none": once the files of the other models are back, the input differs, and
        # the Evaluator does not take the verdict without them from the cache.
        return {**input_dict, "model": [*chosen, candidate] if chosen else [], "model_blessing": []}


def choose_baseline(
    candidate: Model, baselines: Sequence[Model], rebaseline: bool
) -> tuple[Baseline, Model | None]:
    """Chooses the model to compare with, if any, and describes the choice for the verdict.

    Args:
        candidate: the model to judge.
        baselines: the models that `BlessedBaselineStrategy` resolved.
        rebaseline: whether the user asked for no comparison.
    """
    if not baselines:
        return {"state": "none", "why": "no other model was blessed before", "model_id": None}, None
    newest = baselines[0]
    if newest.id == candidate.id:
        why = "a person put this very model into service, and no other was blessed since"
        return {"state": "rebaselined", "why": why, "model_id": None}, None
    if rebaseline:
        why = f"--rebaseline leaves out the last blessed model ({newest.id})"
        return {"state": "rebaselined", "why": why, "model_id": newest.id}, None
    others = [model for model in baselines if model.id != candidate.id]
    reasons = {model.id: why_incomparable(model, candidate) for model in others}
    model = next((model for model in others if not reasons[model.id]), None)
    if model is None:
        return {"state": "incomparable", "why": reasons[newest.id], "model_id": newest.id}, None
    why = f"the last blessed model ({model.id})"
    if reasons[newest.id]:
        why = f"model {model.id}, since the last blessed one cannot be compared with: {reasons[newest.id]}"
    return {"state": "compared", "why": why, "model_id": model.id}, model


def why_incomparable(model: Model, candidate: Model) -> str:
    """Says why the gate cannot evaluate a model beside the candidate; empty if it can."""
    folder, ours = (Path(path_utils.serving_model_path(m.uri)) for m in (model, candidate))
    graph = folder / "saved_model.pb"
    if not graph.is_file() or not any(path.stem == "variables" for path in files_in(folder / "variables")):
        return f"the files of model {model.id} are gone from {folder}"
    classes = training_record(ours).get("classes") or []
    try:
        theirs = training_record(folder).get("classes") or []
        saved = saved_model_pb2.SavedModel.FromString(graph.read_bytes())
        signature = saved.meta_graphs[0].signature_def[EVALUATE]
    except (OSError, ValueError, DecodeError, IndexError) as error:  # IndexError: the file is empty
        raise_passing(error)  # else a worse model would be pushed, as if there was nothing to compare with
        return f"model {model.id} is damaged: {folder}"
    if theirs != classes:
        return f"model {model.id} has the classes {', '.join(theirs)}, this one {', '.join(classes)}"
    if set(signature.outputs) - {PREDICTED} != set(EVALUATE_OUTPUTS):
        return f"model {model.id} was exported by a version of this project that evaluated in another way"
    return ""
