"""TensorFlow Serving's REST: requests and responses of its predict call, and its metadata.

Rows: `{"instances": [value, ...]}`, where a value is that of the only input, or an object with one for each
input; the response is `{"predictions": [...]}`. Columns: `{"inputs": value}` or `{"inputs": {name: value,
...}}`; the response is `{"outputs": ...}`. Bytes are `{"b64": "..."}`, also in outputs whose name ends with
`_bytes`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType

from serving.errors import bad_request, quoted
from serving.model.image_size import declared_pixels
from serving.model.loaded import DEFAULT_SIGNATURE, LoadedModel
from serving.model.turns import Work
from serving.protocols.json_values import parse_json, require_depth

_BLOCK = 1 << 20  # characters of base64, a multiple of four


@dataclass(frozen=True)
class PredictRequest:
    """A parsed predict request, before it is checked against a model."""

    signature: str
    rows: list[Any] | None
    columns: Any
    pixels: int  # that the images declare, and the number of other values

    @staticmethod
    def parse(body: bytes | bytearray) -> PredictRequest:
        """Parses the JSON of a request; refuses malformed ones."""
        content = parse_json(body)
        if not isinstance(content, dict):
            raise bad_request('the body must be a JSON object, as in {"instances": [{"b64": "..."}]}')
        signature = content.get("signature_name") or DEFAULT_SIGNATURE
        if not isinstance(signature, str):
            raise bad_request("signature_name must be a string")
        if ("instances" in content) == ("inputs" in content):
            raise bad_request('the body must hold either "instances" or "inputs"')
        rows, columns = (_unwrapped(content.get(key)) for key in ("instances", "inputs"))
        if "instances" in content:
            if not isinstance(rows, list) or not rows:
                raise bad_request('"instances" must be a list with at least one element')
        elif columns in (None, [], {}):
            raise bad_request('"inputs" is empty')
        return PredictRequest(signature, rows, columns, _pixels(rows) + _pixels(columns))

    def answer(self, model: LoadedModel, work: Work) -> bytes:
        """Runs the model; returns the JSON of the response."""
        specs = model.signature(self.signature).inputs
        feed = self._by_row(specs) if self.rows is not None else self._by_column(specs)
        outputs = model.call(self.signature, feed, work)
        values = {name: _to_json(name, array) for name, array in outputs.items()}
        if self.rows is None:
            answer = {"outputs": next(iter(values.values())) if len(values) == 1 else values}
        elif len(values) == 1:
            answer = {"predictions": next(iter(values.values()))}
        else:
            lengths = {len(array) if array.ndim else None for array in outputs.values()}
            if len(lengths) != 1 or None in lengths:
                raise bad_request('the outputs of this signature are no rows: ask with "inputs"')
            names = list(values)
            answer = {"predictions": [dict(zip(names, row)) for row in zip(*values.values())]}  # noqa: B905
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)

    def _by_row(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
        assert self.rows is not None
        named = [isinstance(row, dict) and set(row) != {"b64"} for row in self.rows]
        if not all(named):
            if any(named) or len(specs) != 1:
                raise bad_request(f"each instance must be an object with the inputs {_names(specs)}")
            name = next(iter(specs))
            return {name: _from_json(self.rows, specs[name], name)}
        keys = {frozenset(row) for row in self.rows}
        if keys != {frozenset(specs)}:
            got = "; ".join(sorted(_names(key) for key in keys))
            raise bad_request(f"each instance must have the inputs {_names(specs)}; received: {got}")
        return {key: _from_json([row[key] for row in self.rows], specs[key], key) for key in specs}

    def _by_column(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
        if isinstance(self.columns, dict) and set(self.columns) != {"b64"}:
            if set(self.columns) != set(specs):
                raise bad_request(f'"inputs" must hold {_names(specs)}; received: {_names(self.columns)}')
            return {key: _from_json(value, specs[key], key) for key, value in self.columns.items()}
        if len(specs) != 1:
            raise bad_request(f'"inputs" must be an object with {_names(specs)}')
        name = next(iter(specs))
        return {name: _from_json(self.columns, specs[name], name)}


def metadata(name: str, model: LoadedModel) -> dict[str, Any]:
    """The response about the signatures of a version.

    Args:
        name: name of the model.
        model: the version.
    """

    def tensors(infos: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: {
                "dtype": DataType.Name(info.dtype),
                "tensor_shape": {
                    "dim": [{"size": str(side.size), "name": side.name} for side in info.tensor_shape.dim],
                    "unknown_rank": info.tensor_shape.unknown_rank,
                },
                "name": info.name,
            }
            for key, info in sorted(infos.items())
        }

    signatures = {
        key: {
            "inputs": tensors(found.inputs),
            "outputs": tensors(found.outputs),
            "method_name": found.method_name,
            "defaults": {},
        }
        for key, found in sorted(model.signature_defs.items())
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def _from_json(value: Any, spec: tf.TensorSpec, name: str) -> Any:
    """Converts the strings of a JSON value to bytes; TensorFlow converts numbers."""
    if spec.dtype != tf.string:
        return value
    return _to_bytes(value, name)


def _to_bytes(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_to_bytes(element, name) for element in value]
    if isinstance(value, str):
        refuse_bare_image(value, name, 'as an object: {"b64": "..."}')
        return value.encode()
    if not isinstance(value, bytes):
        raise bad_request(f'input {quoted(name)} takes bytes, as {{"b64": "..."}}, or strings')
    return value


def _unwrapped(value: Any, depth: int = 1) -> Any:
    """The same value, with bytes for each `{"b64": "..."}` in it."""
    require_depth(depth)
    if isinstance(value, list):
        return [_unwrapped(element, depth + 1) for element in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"b64"} and isinstance(value["b64"], str):
        return decoded(value["b64"], "b64")
    return {key: _unwrapped(element, depth + 1) for key, element in value.items()}


def _pixels(value: Any) -> int:
    if isinstance(value, bytes):
        return declared_pixels(value)
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return 1
    return sum(map(_pixels, value))


def refuse_bare_image(text: str, name: str, how: str) -> None:
    """Refuses a string that is an image in base64 or a data URI, where bytes are due.

    Args:
        text: the string.
        name: name of the input.
        how: how base64 is given.
    """
    if text.startswith(("iVBORw0KGgo", "/9j/", "data:")):
        raise bad_request(f"input {quoted(name)} is an image as text: give its base64 {how}")


def decoded(text: str, name: str) -> bytes:
    """Decodes base64; refuses invalid base64.

    In blocks, as nothing else of the process runs within one.
    """
    if text.startswith("data:"):
        raise bad_request(f"input {quoted(name)} is a data URI: give only what stands behind its comma")
    if "\n" in text or "\r" in text:
        raise bad_request(f"input {quoted(name)} has line breaks in its base64: leave them out (base64 -w0)")
    try:
        if "=" in text[:-2]:
            raise binascii.Error("padding before its end")
        blocks = (text[start : start + _BLOCK] for start in range(0, len(text), _BLOCK))
        return b"".join(base64.b64decode(block, validate=True) for block in blocks)
    except (binascii.Error, ValueError) as error:
        raise bad_request(f"input {quoted(name)} is not valid base64: {str(error).lower()}") from None


def _to_json(name: str, array: np.ndarray) -> Any:
    if array.dtype != object:
        return np.ascontiguousarray(array)
    return _strings(array.tolist(), name.endswith("_bytes"))


def _strings(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_strings(element, as_bytes) for element in value]
    if not as_bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass  # not UTF-8: encoded as base64
    return {"b64": base64.b64encode(value).decode()}
