"""JSON is counted before it is parsed."""

from __future__ import annotations

import json
import sys
import tracemalloc

import pytest

from serving.errors import Refused
from serving.protocols.json_values import (
    _BLOCK,
    BYTES_OF_A_VALUE,
    MOST_VALUES,
    count_values,
    has_rare,
    parse_json,
)
from serving.protocols.rest_v1 import PredictRequest


def test_no_value_is_missed():
    content = {"instances": [{"b64": "QUJD"}, [], [[1, 2.5, None]], "text"], "signature_name": "x"}
    text = json.dumps(content).encode()
    values = 1 + 2 + 4 + 1 + 1 + 3  # the object, its members, the rows, and what is in them
    assert values <= count_values(text) <= 2 * values


def test_base64_has_no_values_whatever_it_holds():
    assert count_values(b'{"instances":[{"b64":"' + b"QUJD" * 10**6 + b'"}]}') == 5


@pytest.mark.parametrize("value", [b"{},", b"[],", b"0,", b'{"a":', b"["])
def test_too_many_are_refused_whatever_they_are(value: bytes):
    marks = sum(value.count(mark) for mark in b"[{,:")
    assert count_values(value * (MOST_VALUES // marks)) <= MOST_VALUES
    with pytest.raises(Refused, match="more than 1048576 values") as refused:
        count_values(value * (MOST_VALUES // marks + 1))
    assert refused.value.status == 413


@pytest.mark.parametrize("value", [b'{"a":0}', b"{}", b"[0]", b'"a"', b"0.5"])
def test_a_value_takes_no_more_than_it_counts(value: bytes):
    body = b'{"instances":[' + b",".join([value] * 20_000) + b"]}"
    tracemalloc.start()
    try:
        call = PredictRequest.parse(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert call.rows is not None
    assert len(call.rows) == 20_000
    assert peak < count_values(body) * BYTES_OF_A_VALUE + len(body)


@pytest.mark.parametrize("rare", ["\U0001f600", "\\ud83d\\ude00", "\u0101", "\\u0101"])
@pytest.mark.parametrize("before", [0, *range(_BLOCK - 20, _BLOCK)])
def test_texts_of_rare_characters_are_told(rare: str, before: int):
    body = f'{{"x":"{"a" * before}{rare}"}}'.encode()
    assert sys.getsizeof(parse_json(body)["x"]) > 2 * before  # two or four bytes for each character
    assert has_rare(body)
    assert has_rare(memoryview(body))


@pytest.mark.parametrize("text", ["QUJD", "QQ\\u003d\\u003d", "a\\/b\\n", "caf\\u00e9"])
def test_texts_of_a_byte_for_each_character_are_told(text: str):
    body = f'{{"x":"{text}{"a" * 10**6}"}}'.encode()
    assert sys.getsizeof(parse_json(body)["x"]) < 1.1 * 10**6
    assert not has_rare(body)


@pytest.mark.parametrize(("depth", "said"), [(100, "nested too deeply: at most 64"), (10**6, "is not JSON")])
def test_what_is_nested_too_deeply_is_refused(depth: int, said: str):
    with pytest.raises(Refused, match=said):
        PredictRequest.parse(b'{"instances": ' + b"[" * depth + b"]" * depth + b"}")


def test_what_is_no_json_is_refused():
    with pytest.raises(Refused, match=r"the body is not JSON: .*line 1 column 2"):
        parse_json(b"{")
