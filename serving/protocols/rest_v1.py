"""TensorFlow Serving's REST predict call: its requests and responses.

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

from serving.errors import bad_request
from serving.model.loaded import DEFAULT_SIGNATURE, Cancellation, LoadedModel


@dataclass(frozen=True)
class PredictRequest:
    """A parsed predict request, before it is checked against a model."""

    signature: str
    rows: list[Any] | None
    columns: Any

    @staticmethod
    def parse(body: bytes) -> PredictRequest:
        """Parses the JSON of a request; refuses malformed ones."""
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise bad_request(f"the body is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise bad_request('the body must be a JSON object, as in {"instances": [{"b64": "..."}]}')
        signature = content.get("signature_name") or DEFAULT_SIGNATURE
        if not isinstance(signature, str):
            raise bad_request("signature_name must be a string")
        if ("instances" in content) == ("inputs" in content):
            raise bad_request('the body must hold either "instances" or "inputs"')
        rows, columns = content.get("instances"), content.get("inputs")
        if "instances" in content:
            if not isinstance(rows, list) or not rows:
                raise bad_request('"instances" must be a list with at least one element')
        elif columns in (None, [], {}):
            raise bad_request('"inputs" is empty')
        return PredictRequest(signature, rows, columns)

    def answer(self, model: LoadedModel, cancel: Cancellation) -> bytes:
        """Runs the model; returns the JSON of the response."""
        specs = model.signature(self.signature).inputs
        feed = self._by_row(specs) if self.rows is not None else self._by_column(specs)
        outputs = model.call(self.signature, feed, cancel)
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


def _names(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def _from_json(value: Any, spec: tf.TensorSpec, name: str) -> Any:
    """Converts the strings of a JSON value to bytes; TensorFlow converts numbers."""
    if spec.dtype != tf.string:
        return value
    try:
        return _to_bytes(value, name)
    except RecursionError:
        raise bad_request(f"input {name!r} is nested too deeply") from None


def _to_bytes(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_to_bytes(element, name) for element in value]
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, dict) or set(value) != {"b64"} or not isinstance(value["b64"], str):
        raise bad_request(f'input {name!r} takes bytes, as {{"b64": "..."}}, or strings')
    return decoded(value["b64"], name)


def decoded(text: str, name: str) -> bytes:
    """Decodes base64; refuses invalid base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_request(f"input {name!r} is not valid base64: {str(error).lower()}") from None


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
