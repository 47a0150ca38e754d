"""One version of a model in memory: its signatures, and calls of them that can be cancelled."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import cancellation

from serving.errors import Refused, bad_request
from serving.model.image_size import declared_pixels, unbounded_work
from serving.model.warmup import warmup_requests

DEFAULT_SIGNATURE = "serving_default"
# Lines that TensorFlow adds around the reason of an error.
NOISE = re.compile(r"(Graph execution error|Detected at node|<stack traces|\s*\[\[|\d+ root error)|\s*$")


class Cancelled(Exception):
    """A call was cancelled before it returned."""


class Cancellation:
    """Cancels the call that received this object."""

    def __init__(self) -> None:
        self._manager = cancellation.CancellationManager()

    def cancel(self) -> None:
        """Cancels the call from any thread; a call that has not begun ends as soon as it begins."""
        self._manager.start_cancel()

    def scope(self) -> AbstractContextManager[None]:
        """Opens a context in which TensorFlow calls can be cancelled."""
        return cancellation.CancellationManagerContext(self._manager)


@dataclass(frozen=True)
class Signature:
    """A function of a SavedModel, with its inputs and outputs by name."""

    call: Callable[..., dict[str, tf.Tensor]]
    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]


class LoadedModel:
    """A SavedModel that is ready to predict."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        """Loads a version and warms it up; raises TensorFlow's errors for a damaged one.

        Args:
            folder: folder of the SavedModel; its name is the number of the version.
            max_pixels: limit for the declared pixels of all images of one request.
        """
        self.version = int(folder.name)
        self._max_pixels = max_pixels
        # The functions are valid as long as the loaded object exists.
        self._model = tf.saved_model.load(str(folder))
        self._signatures = {
            name: Signature(function, function.structured_input_signature[1], function.structured_outputs)
            for name, function in self._model.signatures.items()
        }
        if not self._signatures:
            raise ValueError("it has no signature")
        self._compile()
        for name, feed in warmup_requests(folder):
            self.call(name, feed, Cancellation())

    def signature(self, name: str = DEFAULT_SIGNATURE) -> Signature:
        """Returns a signature by name; refuses the request if there is none."""
        if name not in self._signatures:
            raise bad_request(f"there is no signature {name!r}, only {', '.join(sorted(self._signatures))}")
        return self._signatures[name]

    def call(self, name: str, feed: Mapping[str, Any], cancel: Cancellation) -> dict[str, np.ndarray]:
        """Runs a signature for one request.

        Args:
            name: name of the signature.
            feed: the value of each input: an array, or nested lists; strings as bytes.
            cancel: object that can cancel the call.

        Raises:
            Refused: the request is invalid.
            Cancelled: the call was cancelled.
        """
        signature = self.signature(name)
        if set(feed) != set(signature.inputs):
            wanted, got = (", ".join(sorted(names)) or "none" for names in (signature.inputs, feed))
            raise bad_request(f"signature {name!r} takes the inputs {wanted}; received: {got}")
        tensors = {key: _tensor(key, value, signature.inputs[key]) for key, value in feed.items()}
        self._check_pixels(tensors)
        try:
            with cancel.scope():
                return {key: value.numpy() for key, value in signature.call(**tensors).items()}
        except tf.errors.CancelledError:
            raise Cancelled from None
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.DataLossError) as error:
            raise bad_request(_reason(error)) from None
        except tf.errors.ResourceExhaustedError as error:
            raise Refused(413, f"too large for the memory of this server: {_reason(error)}") from None

    def _check_pixels(self, tensors: Mapping[str, tf.Tensor]) -> None:
        values = [value for t in tensors.values() if t.dtype == tf.string for value in t.numpy().ravel()]
        pixels = sum(map(declared_pixels, values))
        if pixels > self._max_pixels:
            raise bad_request(
                f"the images have {pixels / 1e6:.1f} million pixels; at most {self._max_pixels / 1e6:g} "
                "million are accepted in one request"
            )
        if found := next(filter(None, map(unbounded_work, values)), ""):
            raise bad_request(found)

    def _compile(self) -> None:
        """Runs each signature on an empty batch, which builds its graph and computes nothing."""
        for name, signature in self._signatures.items():
            shapes = {key: spec.shape.as_list() for key, spec in signature.inputs.items() if spec.shape.rank}
            if len(shapes) < len(signature.inputs) or any(shape[0] is not None for shape in shapes.values()):
                continue
            feed = {
                key: np.zeros([0, *(side or 1 for side in shape[1:])], spec.dtype.as_numpy_dtype)
                for key, shape, spec in zip(shapes, shapes.values(), signature.inputs.values(), strict=True)
            }
            # Some models cannot process an empty batch; their first request takes longer.
            with contextlib.suppress(Refused, tf.errors.OpError):
                self.call(name, feed, Cancellation())


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
