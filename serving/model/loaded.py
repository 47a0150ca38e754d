"""One version of a model in memory: its signatures, and calls of them, tile by tile where the model can.

A SavedModel of this project holds its signatures of encoded images in steps, too: `steps.begin` decodes an
image, `<signature>_tile` predicts one tile, `<signature>_end` encodes. A signature without them is one step.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from serving.errors import Refused, bad_request, quoted
from serving.model.card import classes_of
from serving.model.image_size import declared_pixels, unbounded_work
from serving.model.turns import Cancelled, Work
from serving.model.warmup import warmup_requests

DEFAULT_SIGNATURE = "serving_default"
# Lines that TensorFlow adds around the reason of an error.
NOISE = re.compile(r"(Graph execution error|Detected at node|<stack traces|\s*\[\[|\d+ root error)|\s*$")


@dataclass(frozen=True)
class Signature:
    """A function of a SavedModel, with its inputs and outputs by name."""

    call: Callable[..., dict[str, tf.Tensor]]
    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]


class LoadedModel:
    """A SavedModel that is ready to predict."""

    def __init__(self, folder: Path, max_pixels: int, offered: Collection[str] | None = None) -> None:
        """Loads a version and warms it up; raises TensorFlow's errors for a damaged one.

        Args:
            folder: folder of the SavedModel; its name is the number of the version.
            max_pixels: limit for the declared pixels of all images of one request.
            offered: names of the signatures that clients may call, as far as there are any; None for all.
        """
        self.version = int(folder.name)
        self._max_pixels = max_pixels
        self.classes = classes_of(folder)
        # The functions are valid as long as the loaded object exists.
        self._model = tf.saved_model.load(str(folder))
        self._steps = _steps_of(self._model)
        self._signatures = {
            name: Signature(function, function.structured_input_signature[1], function.structured_outputs)
            for name, function in self._model.signatures.items()
            if offered is None or name in offered
        }
        self.signature_defs = _signature_defs(folder, self._signatures)
        if not self._signatures:
            raise ValueError(_without_signatures(sorted(self._model.signatures)))
        first = DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in self._signatures else min(self._signatures)
        if not hasattr(self._steps, f"{first}_tile"):  # or it is never called as a whole
            self._compile(first)
        for name, feed in warmup_requests(folder):
            if name in self._signatures or name not in self._model.signatures:  # not one that is not offered
                self.call(name, feed, Work())

    def signature(self, name: str = DEFAULT_SIGNATURE) -> Signature:
        """Returns a signature by name; refuses the request if there is none."""
        if name not in self._signatures:
            offered = ", ".join(sorted(self._signatures))
            raise bad_request(f"there is no signature {quoted(name)}, only {offered}")
        return self._signatures[name]

    def call(self, name: str, feed: Mapping[str, Any], work: Work) -> dict[str, np.ndarray]:
        """Runs a signature for one request.

        Args:
            name: name of the signature.
            feed: the value of each input: an array, or nested lists; strings as bytes.
            work: the request, which can be cancelled.

        Raises:
            Refused: the request is invalid.
            Cancelled: the call was cancelled.
        """
        signature = self.signature(name)
        if set(feed) != set(signature.inputs):
            wanted, got = (", ".join(sorted(names)) or "none" for names in (signature.inputs, feed))
            raise bad_request(f"signature {name!r} takes the inputs {wanted}; received: {got}")
        tensors = {key: _tensor(key, value, signature.inputs[key]) for key, value in feed.items()}
        pixels = self._check_pixels(tensors)
        try:
            if pixels and hasattr(self._steps, f"{name}_tile"):
                (images,) = tensors.values()
                answers = [
                    self._in_steps(name, image, f"element {i}", work, pixels[i])
                    for i, image in enumerate(images)
                ]
                return {key: tf.stack([answer[key] for answer in answers]).numpy() for key in answers[0]}
            return work.take_turn(
                lambda: {key: value.numpy() for key, value in signature.call(**tensors).items()},
                work.remaining,
            )
        except tf.errors.CancelledError:
            raise Cancelled from None
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.DataLossError) as error:
            raise bad_request(_reason(error)) from None
        except tf.errors.ResourceExhaustedError as error:
            raise Refused(413, f"too large for the memory of this server: {_reason(error)}") from None

    def _in_steps(
        self, name: str, image: tf.Tensor, called: str, work: Work, pixels: int
    ) -> dict[str, tf.Tensor]:
        """Answers for one image; other requests take their turns between its tiles."""
        tile, end = (getattr(self._steps, f"{name}_{part}") for part in ("tile", "end"))
        begun = work.run(lambda: self._steps.begin(image, tf.constant(called), tf.constant(work.fine)))
        seen, mean, stddev = begun["pixels"], begun["mean"], begun["stddev"]
        rows, columns = int(begun["rows"]), int(begun["columns"])
        height, width = seen.shape[:2]
        joined: np.ndarray | None = None  # [height, width, K]
        top = left = 0
        for i in range(rows):
            left = 0
            for j in range(columns):
                index = tf.constant(i), tf.constant(j), begun["area"]
                predict = functools.partial(tile, seen, mean, stddev, *index)
                part = work.take_turn(predict, pixels // (rows * columns)).numpy()  # [h, w, K]
                if joined is None:
                    joined = np.empty((height, width, part.shape[2]), part.dtype)
                target = joined[top : top + part.shape[0], left : left + part.shape[1]]  # [h, w, K]
                target[...] = part[: target.shape[0], : target.shape[1]]
                left += part.shape[1]
            top += part.shape[0]
        return work.run(lambda: end(tf.constant(joined), begun["height"], begun["width"]))

    def _check_pixels(self, tensors: Mapping[str, tf.Tensor]) -> list[int]:
        """Returns the declared pixels of each image."""
        values = [value for t in tensors.values() if t.dtype == tf.string for value in t.numpy().ravel()]
        declared = [declared_pixels(value) for value in values]
        if (pixels := sum(declared)) > self._max_pixels:
            raise bad_request(
                f"the images have {pixels / 1e6:.1f} million pixels; at most {self._max_pixels / 1e6:g} "
                "million are accepted in one request"
            )
        if found := unbounded_work(*values):
            raise bad_request(found)
        return declared

    def as_version(self, version: int) -> LoadedModel:
        """Returns the same model under the number of another version."""
        same = copy.copy(self)
        same.version = version
        return same

    def compile_rest(self) -> None:
        """Compiles the other signatures, too, so that the first request of each does not wait for it."""
        for name in self._signatures:
            self._compile(name)

    def _compile(self, name: str) -> None:
        """Runs a signature on an empty batch, which builds its graph and computes nothing."""
        signature = self._signatures[name]
        shapes = {key: spec.shape.as_list() for key, spec in signature.inputs.items() if spec.shape.rank}
        if len(shapes) < len(signature.inputs) or any(shape[0] is not None for shape in shapes.values()):
            return
        feed = {
            key: np.zeros([0, *(side or 1 for side in shape[1:])], spec.dtype.as_numpy_dtype)
            for key, shape, spec in zip(shapes, shapes.values(), signature.inputs.values(), strict=True)
        }
        # Some models cannot process an empty batch; their first request takes longer.
        with contextlib.suppress(Refused, tf.errors.OpError):
            self.call(name, feed, Work())


def _without_signatures(present: list[str]) -> str:
    """Says why nothing of a model can be called."""
    if not present:
        return "it has no signature"
    return f"none of its signatures is offered: {', '.join(present)} (--signatures)"


def _signature_defs(folder: Path, names: Collection[str]) -> dict[str, Any]:
    """The signatures of those names as the file of the model describes them."""
    saved = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    found = saved.meta_graphs[0].signature_def
    return {name: copy.deepcopy(found[name]) for name in names if name in found}


def _tensor(name: str, value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """Converts a value to the tensor of a signature's input; refuses values that do not fit."""
    takes = f"input {name!r} takes {spec.dtype.name} of shape {_shape(spec.shape)}"
    try:
        tensor = tf.constant(value, spec.dtype)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError):
        raise bad_request(f"{takes}; the value is something else, or its rows differ in length") from None
    if not spec.shape.is_compatible_with(tensor.shape):
        raise bad_request(f"{takes}; received: {_shape(tensor.shape)}")
    return tensor


def _steps_of(model: Any) -> Any:
    """The attribute `steps` of a SavedModel; None if it has none that can be called as this server does."""
    steps = getattr(model, "steps", None)
    functions = getattr(getattr(steps, "begin", None), "concrete_functions", ())
    takes = [spec.dtype for function in functions for spec in function.structured_input_signature[0]]
    return steps if takes == [tf.string, tf.string, tf.bool] else None


def _shape(shape: tf.TensorShape) -> str:
    if shape.rank is None:
        return "any"
    return f"[{', '.join('any' if side is None else str(side) for side in shape)}]"


def _reason(error: tf.errors.OpError) -> str:
    """Returns the reason of an error in one line, without the names of graph nodes."""
    lines = [line for line in error.message.splitlines() if not NOISE.match(line)] or ["the model refuses it"]
    text = re.sub(r"^\s*\(\d+\) [A-Z_ ]+: ", "", lines[0])
    text, assertion = re.subn(r"^assertion failed: ", "", text.strip())
    if not assertion:
        return text
    # The parts of the message: [element 1] [must be ...; received:] [2].
    text = re.sub(r"^\[|\]$", "", re.sub(r"^\[(element \d+)\] \[", r"[\1: ", text))
    return text.replace("] [", " ")
