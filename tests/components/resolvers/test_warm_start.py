"""Which blessed model a training starts from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing
from tfx.utils import json_utils

from components.resolvers.warm_start import WarmStartStrategy
from tests.components.resolvers.lineage import empty_store, execute, put
from unet.registry.records import TRAINING_RECORD

CONFIG = {"train": json.dumps({"classes": {"a": 0, "b": 1}}), "checkpoints": "/x"}


class Trainings:
    """Trainings one after another, each with a blessing."""

    def __init__(self, folder: Path):
        self.folder, self.store = folder, empty_store()
        self.models: list[Model] = []
        self.blessings: list[ModelBlessing] = []

    def examples(self) -> Examples:
        found = Examples()
        [found.id] = put(self.store, 1)
        return found

    def train(self, examples: Examples, blessed: int = 1, classes: str = "ab", **config: str) -> Model:
        written, judged = put(self.store, 2)
        properties = {"custom_config": json_utils.dumps({**CONFIG, **config})}
        execute(self.store, {"examples": [examples.id]}, {"model": [written]}, **properties)
        execute(self.store, {"model": [written]}, {"blessing": [judged]})
        model, blessing = Model(), ModelBlessing()
        model.id, model.uri, blessing.id = written, str(self.folder / str(written)), judged
        blessing.set_int_custom_property("blessed", blessed)
        blessing.set_int_custom_property("current_model_id", written)
        record = Path(model.uri, "Format-Serving", TRAINING_RECORD)
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"classes": list(classes)}))
        self.models.append(model)
        self.blessings.append(blessing)
        return model

    def start_of(self, examples: Examples, **config: str) -> list[Any]:
        """What a training that reads these examples starts from."""
        given = {"model": self.models, "blessing": self.blessings, "examples": [examples]}
        strategy = WarmStartStrategy(json_utils.dumps({**CONFIG, **config}))
        found = strategy.resolve_artifacts(self.store, given)
        assert (found["blessing"], found["examples"]) == ([], [])
        return found["model"]


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    return Trainings(tmp_path)


def test_without_a_blessed_model_there_is_nothing_to_start_from(trainings: Trainings):
    assert trainings.start_of(trainings.examples()) == []
    trainings.train(trainings.examples(), blessed=0)
    assert trainings.start_of(trainings.examples()) == []


def test_it_starts_from_the_last_blessed_model(trainings: Trainings):
    trainings.train(trainings.examples())
    newest = trainings.train(trainings.examples())
    trainings.train(trainings.examples(), blessed=0)
    assert trainings.start_of(trainings.examples()) == [newest]


def test_a_model_of_other_classes_is_no_start_and_the_one_before_it_is(trainings: Trainings):
    first = trainings.train(trainings.examples())
    trainings.train(trainings.examples(), classes="abc")
    trainings.train(trainings.examples(), classes="ba")  # their order is their index
    assert trainings.start_of(trainings.examples()) == [first]


def test_a_training_that_is_run_again_starts_where_it_did(trainings: Trainings):
    old, new = trainings.examples(), trainings.examples()
    first = trainings.train(old)
    second = trainings.train(new)
    assert trainings.start_of(new) == [first]
    assert trainings.start_of(new, checkpoints="/other") == [second]
    assert trainings.start_of(old) == [second]


def test_a_model_that_came_from_the_cache_was_made_by_its_first_training(trainings: Trainings):
    examples = trainings.examples()
    model = trainings.train(examples)
    execute(trainings.store, {"examples": [trainings.examples().id]}, {"model": [model.id]})
    assert trainings.start_of(examples) == []


def test_a_model_that_is_gone_is_skipped(trainings: Trainings):
    first = trainings.train(trainings.examples())
    trainings.train(trainings.examples())
    del trainings.models[1]
    assert trainings.start_of(trainings.examples()) == [first]


def test_no_training_starts_from_a_withdrawn_model(trainings: Trainings):
    first = trainings.train(trainings.examples())
    trainings.train(trainings.examples())
    trainings.blessings[1].set_int_custom_property("withdrawn", 1)
    assert trainings.start_of(trainings.examples()) == [first]


@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_model_whose_record_is_damaged_is_named_so_that_it_is_set_aside(trainings: Trainings, kept: float):
    trainings.train(trainings.examples())
    damaged = trainings.train(trainings.examples())
    record = Path(damaged.uri, "Format-Serving", TRAINING_RECORD)
    size = record.stat().st_size
    record.write_bytes(record.read_bytes()[: int(kept * size)].ljust(size, b"\0"))
    assert trainings.start_of(trainings.examples()) == [damaged]
