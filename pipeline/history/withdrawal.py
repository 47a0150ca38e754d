"""Tells ML Metadata which models rollbacks withdrew, so that no resolver takes such a model.

The serving folder holds the record that counts, since a rollback must work without ML Metadata, and several
roots may share the folder.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.resolvers import mlmd as lineage
from pipeline.history.executions import MODEL_HASH, require_readable
from pipeline.history.outcome import SERVED
from pipeline.history.promotion import int_of, text_of
from pipeline.metadata.place import StoreError
from pipeline.metadata.store import open_store
from pipeline.root import Root
from unet.registry.records import digest
from unet.registry.versions import settle


def tell_withdrawn(root: Root) -> None:
    """Completes an interrupted rollback, and marks the blessings and pushes of withdrawn models.

    The marks of models that are no longer withdrawn are removed. If the record in the serving folder is gone,
    the marks restore it. The caller holds the lock of the root.

    Args:
        root: root folder of the pipeline; it may be without ML Metadata.

    Raises:
        StoreError: ML Metadata cannot be read; the rollback is completed all the same.
    """
    if not root.has_metadata:
        settle(root.serving)
        return
    try:
        require_readable(root)
    except BaseException:
        settle(root.serving)
        raise
    store = open_store(root)
    kinds = {kind.name for kind in store.get_artifact_types()}
    blessings = store.get_artifacts_by_type("ModelBlessing") if "ModelBlessing" in kinds else []
    blessings = [blessing for blessing in blessings if int_of(blessing, "blessed") == 1]
    marked = [blessing for blessing in blessings if int_of(blessing, lineage.WITHDRAWN) == 1]
    withdrawn = settle(root.serving, {text_of(blessing, MODEL_HASH) for blessing in marked})
    if not withdrawn and not marked:
        return  # the rule: nothing to hash
    pushes = _pushes(store) if "PushedModel" in kinds else {}
    for blessing in blessings:
        pushed = pushes.get(int_of(blessing, "current_model_id"), [])
        is_new = not text_of(blessing, MODEL_HASH)
        is_withdrawn = _hash(blessing, pushed) in withdrawn
        if is_withdrawn != (int_of(blessing, lineage.WITHDRAWN) == 1):
            for artifact in (blessing, *pushed):
                artifact.custom_properties[lineage.WITHDRAWN].int_value = int(is_withdrawn)
            store.put_artifacts([blessing, *pushed])
        elif is_new:
            store.put_artifacts([blessing])  # with the hash, so that each model is read once


def try_to_tell(root: Root) -> None:
    """Does as `tell_withdrawn`, after what a person asked for is done: an error is told, and ends nothing."""
    try:
        tell_withdrawn(root)
    except (OSError, StoreError) as error:
        print(f"{error} (the next run that can read it takes note of this)", file=sys.stderr)


def _pushes(store: Any) -> dict[int, list[mlmd.Artifact]]:
    """The artifacts of pushed versions by the id of the model that they hold."""
    found: dict[int, list[mlmd.Artifact]] = {}
    for pushed in store.get_artifacts_by_type("PushedModel"):
        if int_of(pushed, "pushed") == 1:
            pushers = lineage.executions(store, [pushed.id], lineage.OUTPUT)
            for model in lineage.artifacts(store, pushers, lineage.INPUT, "model"):
                found.setdefault(model, []).append(pushed)
    return found


def _hash(blessing: mlmd.Artifact, pushed: list[mlmd.Artifact]) -> str:
    """The hash of a blessed model or, once its files are gone, of a version that holds it; empty without."""
    if not text_of(blessing, MODEL_HASH):
        model = Path(text_of(blessing, "current_model"), SERVED)
        versions = [Path(text_of(artifact, "pushed_destination")) for artifact in pushed]
        there = next((path for path in (model, *versions) if (path / "saved_model.pb").is_file()), None)
        if there is None:
            return ""
        blessing.custom_properties[MODEL_HASH].string_value = digest(there)
    return text_of(blessing, MODEL_HASH)
