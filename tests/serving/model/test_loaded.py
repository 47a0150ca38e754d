"""One version in memory: what it takes, and what is said of what it does not take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.errors import Refused
from serving.model.loaded import LoadedModel
from serving.model.turns import Cancelled, Work
from tests.serving.conftest import ROOMY, encoded, noise

TAKES = "input 'x' takes float32 of shape [any, 2]"


class Adder(tf.Module):
    """Adds one; refuses what is negative."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def add(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.debugging.assert_non_negative(x, "x must not be negative")
        return {"y": x + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def size(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"length": tf.strings.length(image_bytes)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "7"
    adder = Adder()
    tf.saved_model.save(adder, str(path), {"serving_default": adder.add, "size": adder.size})
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return LoadedModel(folder, max_pixels=50 * 70 + 20 * 30)


def call(model: LoadedModel, signature: str = "serving_default", **feed: Any) -> dict[str, np.ndarray]:
    return model.call(signature, feed, Work())


def test_its_version_is_the_name_of_its_folder(model: LoadedModel):
    assert model.version == 7


def test_it_answers(model: LoadedModel):
    assert call(model, x=[[1, 2], [3, 4]])["y"].tolist() == [[2, 3], [4, 5]]
    assert call(model, x=np.zeros([0, 2]))["y"].shape == (0, 2)


@pytest.mark.parametrize(
    ("signature", "feed", "message"),
    [
        ("none", {}, "there is no signature 'none', only serving_default, size"),
        ("serving_default", {}, "signature 'serving_default' takes the inputs x; received: none"),
        ("size", {"b": [], "a": []}, "signature 'size' takes the inputs image_bytes; received: a, b"),
        (
            "serving_default",
            {"x": [[1, 2, 3]]},
            f"{TAKES}; received: [1, 3]",
        ),
        ("serving_default", {"x": [[1, 2], [3]]}, f"{TAKES}; the value is"),
        ("serving_default", {"x": [["a", "b"]]}, f"{TAKES}; the value is"),
        ("serving_default", {"x": [[-1.0, 2.0]]}, "x must not be negative"),
    ],
)
def test_what_it_does_not_take_is_told(
    model: LoadedModel, signature: str, feed: dict[str, Any], message: str
):
    with pytest.raises(Refused) as refused:
        call(model, signature, **feed)
    assert refused.value.status == 400
    assert refused.value.message.startswith(message)
    assert "\n" not in refused.value.message


def test_the_pixels_that_images_claim_are_counted_together(model: LoadedModel):
    fits = [encoded(noise(50, 70)), encoded(noise(20, 30))]
    assert call(model, "size", image_bytes=fits)["length"].tolist() == [*map(len, fits)]
    with pytest.raises(Refused, match=r"0\.0 million pixels; at most 0\.0041 million") as refused:
        call(model, "size", image_bytes=[*fits, encoded(noise(1, 1))])
    assert refused.value.status == 400


def test_a_call_that_was_cancelled_before_it_began_ends_as_it_begins(model: LoadedModel):
    work = Work()
    work.cancel()
    with pytest.raises(Cancelled):
        model.call("serving_default", {"x": [[1.0, 2.0]]}, work)


def test_a_model_without_signatures_is_none(tmp_path: Path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    with pytest.raises(ValueError, match="it has no signature"):
        LoadedModel(tmp_path / "1", 10)


def test_what_is_not_offered_is_as_if_the_model_had_none(folder: Path):
    model = LoadedModel(folder, 10, offered=["size", "x"])
    assert sorted(model.signature_defs) == ["size"]
    with pytest.raises(Refused, match="there is no signature 'serving_default', only size"):
        model.signature()
    with pytest.raises(ValueError, match=r"none of its signatures is offered: serving_default, size \("):
        LoadedModel(folder, 10, offered=["x"])


class Stopping(Work):
    """Is cancelled after some turns, and counts them."""

    def __init__(self, turns: int = 10**9) -> None:
        super().__init__(10**6)
        self.turns, self._most = 0, turns

    def take_turn(self, function: Callable[[], Any], pixels: int) -> Any:
        if self.turns == self._most:
            self.cancel()
        self.turns += 1
        return super().take_turn(function, pixels)


@pytest.mark.parametrize("signature", ["serving_default", "colored", "probabilities"])
def test_the_tiles_of_an_exported_model_take_turns_and_give_the_bytes_of_the_signature(
    exported: dict[int, Path], signature: str
):
    model = LoadedModel(exported[1], 10**6)
    images = [encoded(noise(90, 120)), encoded(noise(20, 30))]
    work = Stopping()
    answer = model.call(signature, {"image_bytes": images}, work)
    assert work.turns > 8
    whole = model.signature(signature).call(image_bytes=tf.constant(images))
    assert [value.dtype for value in answer.values()] == [object]
    assert {key: value.tolist() for key, value in answer.items()} == {
        key: value.numpy().tolist() for key, value in whole.items()
    }


class Fine(Stopping):
    """Tiny requests take turns with it."""

    fine = True


def test_beside_tiny_requests_a_large_image_has_fine_tiles_and_the_same_mask(exported: dict[int, Path]):
    model, image = LoadedModel(exported[ROOMY], 10**6), encoded(noise(300, 200))
    works = Stopping(), Fine()
    whole, fine = (model.call("serving_default", {"image_bytes": [image]}, work) for work in works)
    assert works[0].turns == 1
    assert works[1].turns > 4
    assert whole == fine


def test_a_large_image_ends_at_the_tile_at_which_it_is_cancelled(exported: dict[int, Path]):
    work = Stopping(turns=3)
    with pytest.raises(Cancelled):
        LoadedModel(exported[1], 10**6).call(
            "serving_default", {"image_bytes": [encoded(noise(300, 300))]}, work
        )
    assert work.turns == 4


class Stepper(tf.Module):
    """A model of another origin, whose steps are called otherwise than those of an exported model."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = tf.Module()
        self.steps.begin = tf.function(lambda encoded: {}, input_signature=[tf.TensorSpec([], tf.string)])
        self.steps.serving_default_tile = self.steps.begin

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def size(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"length": tf.strings.length(image_bytes)}


def test_steps_of_another_kind_are_left_alone(tmp_path: Path):
    stepper = Stepper()
    tf.saved_model.save(stepper, str(tmp_path / "1"), {"serving_default": stepper.size})
    image = encoded(noise(5, 7))
    found = LoadedModel(tmp_path / "1", max_pixels=35).call(
        "serving_default", {"image_bytes": [image]}, Work()
    )
    assert found["length"].tolist() == [len(image)]
