"""The Pusher: puts a model that passed every gate into service."""

# No `from __future__ import annotations` here: TFX reads the annotations of a component function as objects.

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel
from tfx.utils import path_utils

from components.versions import push


@component
def Pusher(  # type: ignore[no-untyped-def]
    model: InputArtifact[Model],
    model_blessing: InputArtifact[ModelBlessing],
    infra_blessing: InputArtifact[InfraBlessing],
    pushed_model: OutputArtifact[PushedModel],
    folder: Parameter[str],
):
    """Pushes a model that both gates blessed, unless the newest version already is this model.

    `pushed_model` says what happened: the custom properties `pushed` (0 or 1) and, where the model is in
    service afterwards, `pushed_destination`.
    """
    pushed_model.set_int_custom_property("pushed", 0)
    if not all(b.get_int_custom_property("blessed") == 1 for b in (model_blessing, infra_blessing)):
        return
    target, is_new = push(Path(path_utils.serving_model_path(model.uri)), Path(folder))
    pushed_model.set_int_custom_property("pushed", int(is_new))
    pushed_model.set_string_custom_property("pushed_destination", str(target))
