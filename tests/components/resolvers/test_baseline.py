"""Which model the gate compares with, and what it says of one that it cannot."""

import json
import shutil
from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tensorflow.core.protobuf import saved_model_pb2
from tfx.types.standard_artifacts import Model, ModelBlessing

from components.resolvers import baseline
from components.resolvers import mlmd as lineage
from unet.export.signatures import EVALUATE, EVALUATE_OUTPUTS
from unet.registry.records import TRAINING_RECORD


def saved(outputs=EVALUATE_OUTPUTS):
    model = saved_model_pb2.SavedModel()
    signature = model.meta_graphs.add().signature_def[EVALUATE]
    for name in outputs:
        signature.outputs[name].name = name
    return model.SerializeToString()


@pytest.fixture
def artifacts(tmp_path):
    """Four models, the last one of other classes; blessed were 2, 1, 2 again and 4, in this order."""
    models, blessings = {}, []
    for number in (1, 2, 3, 4):
        model = models[number] = Model()
        model.id, model.uri = number, str(tmp_path / str(number))
        folder = tmp_path / str(number) / "Format-Serving"
        for name in (TRAINING_RECORD, "variables/variables.index"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        classes = ["a", "b"] if number < 4 else ["a", "b", "c"]
        (folder / TRAINING_RECORD).write_text(json.dumps({"classes": classes}))
        (folder / "variables/variables.index").touch()
        (folder / "saved_model.pb").write_bytes(saved())
    for number, (model_id, blessed) in enumerate([(2, 1), (1, 1), (2, 1), (3, 0), (4, 1)], 10):
        blessing = ModelBlessing()
        blessing.id = number
        blessing.set_int_custom_property("current_model_id", model_id)
        blessing.set_int_custom_property("blessed", blessed)
        blessings.append(blessing)
    return models, blessings


def store_of(order):
    """ML Metadata in memory, with an execution for each id of an artifact that wrote it."""
    config = mlmd.ConnectionConfig()
    config.fake_database.SetInParent()
    store = MetadataStore(config)
    kind = store.put_artifact_type(mlmd.ArtifactType(name="ModelBlessing"))
    store.put_artifacts(
        [mlmd.Artifact(type_id=kind, uri=str(i)) for i in range(1, max(order, default=0) + 1)]
    )
    kind = store.put_execution_type(mlmd.ExecutionType(name="Evaluator"))
    for artifact in order:
        [execution] = store.put_executions([mlmd.Execution(type_id=kind)])
        event = mlmd.Event(artifact_id=artifact, execution_id=execution, type=mlmd.Event.OUTPUT)
        store.put_events([event])
    return store


def resolve(artifacts, candidate, count, again=()):
    models, blessings = artifacts
    written = [*(blessing.id for blessing in blessings[:count]), *again]
    resolved = baseline.BlessedBaselineStrategy().resolve_artifacts(
        store_of(written),
        {"candidate": [models[candidate]], "model": [*models.values()], "model_blessing": blessings[:count]},
    )
    return resolved["model"]


def folder(model):
    return Path(model.uri, "Format-Serving")


@pytest.mark.parametrize(
    ("candidate", "blessings", "expected"),
    [(3, 4, [2]), (2, 4, [1]), (1, 2, [2]), (1, 0, []), (3, 5, [4, 2]), (4, 5, [2, 4])],
)
def test_it_is_the_most_recently_blessed_other_model(artifacts, candidate, blessings, expected):
    assert [model.id for model in resolve(artifacts, candidate, blessings)] == expected


def test_a_cached_evaluation_blesses_anew(artifacts):
    assert [model.id for model in resolve(artifacts, 3, 4, again=[11])] == [1]


def test_a_model_that_a_person_accepted_is_its_own_baseline_until_another_is_blessed(artifacts):
    models, blessings = artifacts
    blessings[1].set_string_custom_property(lineage.ACCEPTED, "promotion")
    assert [m.id for m in resolve(artifacts, 1, 2)] == [1]
    about, chosen = baseline.choose_baseline(models[1], [models[1]], rebaseline=False)
    assert about["state"] == "rebaselined"
    assert chosen is None
    assert [m.id for m in resolve(artifacts, 1, 3)] == [2]


def test_a_withdrawn_model_is_no_baseline(artifacts):
    _, blessings = artifacts
    for index in (0, 2):  # of model 2
        blessings[index].set_int_custom_property(lineage.WITHDRAWN, 1)
    assert [m.id for m in resolve(artifacts, 3, 4)] == [1]


def damage(model):
    (folder(model) / "saved_model.pb").write_bytes(b"\xff\xff")


def empty(model):
    (folder(model) / "saved_model.pb").write_bytes(b"")


def tear(model):
    (folder(model) / TRAINING_RECORD).write_text("{")


def age(model):
    (folder(model) / "saved_model.pb").write_bytes(saved(["confusion"]))


def tell_a_threshold(model):
    (folder(model) / "saved_model.pb").write_bytes(saved([*EVALUATE_OUTPUTS, "threshold"]))


def change_classes(model):
    (folder(model) / TRAINING_RECORD).write_text(json.dumps({"classes": ["x", "y"]}))


def remove(model):
    shutil.rmtree(model.uri)


def remove_weights(model):
    shutil.rmtree(folder(model) / "variables")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (remove, "the files of model 2 are gone"),
        (remove_weights, "the files of model 2 are gone"),
        (damage, "model 2 is damaged"),
        (empty, "model 2 is damaged"),
        (tear, "model 2 is damaged"),
        (age, "evaluated in another way"),
        (tell_a_threshold, "evaluated in another way"),
        (change_classes, "has the classes x, y, this one a, b"),
    ],
)
def test_one_that_cannot_be_compared_is_told_and_the_one_before_it_is_taken(artifacts, harm, words):
    models, _ = artifacts
    harm(models[2])
    found = resolve(artifacts, 3, 4)
    assert [model.id for model in found] == [2, 1]
    about, chosen = baseline.choose_baseline(models[3], found, rebaseline=False)
    assert chosen is not None
    assert chosen.id == about["model_id"] == 1
    assert about["state"] == "compared"
    assert words in about["why"]
    harm(models[1])
    found = resolve(artifacts, 3, 4)
    # Not what is found once the files are back: the Evaluator's cache must see the difference.
    assert [model.id for model in found] == [2, 3]
    about, chosen = baseline.choose_baseline(models[3], found, rebaseline=False)
    assert chosen is None
    assert about["state"] == "incomparable"
    assert words in about["why"]


def test_a_person_may_ask_for_no_comparison(artifacts):
    models, _ = artifacts
    about, chosen = baseline.choose_baseline(models[3], [models[2]], rebaseline=True)
    assert chosen is None
    assert about == {
        "state": "rebaselined",
        "why": "--rebaseline leaves out the last blessed model (2)",
        "model_id": 2,
    }
    assert baseline.choose_baseline(models[3], [], rebaseline=True)[0]["state"] == "none"


def test_a_damaged_model_is_no_baseline_of_the_same_model_made_again(artifacts):
    models, blessings = artifacts
    shutil.rmtree(folder(models[2]))  # blessed last
    store = store_of([*range(1, 5), *(blessing.id for blessing in blessings[:3])])
    kind = store.put_context_type(mlmd.ContextType(name="execution_cache"))
    [key] = store.put_contexts([mlmd.Context(type_id=kind, name="key")])
    makers = [lineage.executions(store, [number], lineage.OUTPUT)[0] for number in (2, 3)]
    inputs = {"candidate": [models[3]], "model": [*models.values()], "model_blessing": blessings[:3]}
    resolved = baseline.BlessedBaselineStrategy().resolve_artifacts(store, inputs)
    assert resolved["model"] == [models[2], models[1]]  # of another training: the gate says that it is gone
    pairs = [mlmd.Association(execution_id=maker, context_id=key) for maker in makers]
    store.put_attributions_and_associations([], pairs)
    resolved = baseline.BlessedBaselineStrategy().resolve_artifacts(store, inputs)
    assert resolved["model"] == [models[1]]
