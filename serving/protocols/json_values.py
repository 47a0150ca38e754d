"""Parses JSON whose values are counted first: a few bytes of text may become a hundred bytes of memory.

The parser is fast, but nothing else of the process runs meanwhile, and nothing can stop it. So the bytes that
begin a value are counted before: parsing takes a small part of a second then, and memory within a bound.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from serving.errors import Refused, bad_request

MOST_VALUES = 1 << 20  # 700 x 700 pixels as rows of lists, or one image in base64 and nearly nothing else
BYTES_OF_A_VALUE = 160  # of an object with one member, and of its copy, for each of its three bytes `{:,`
MOST_DEPTH = 64
_BEGINNINGS = b"[{,:"
_OTHERS = bytes(set(range(256)) - set(_BEGINNINGS))
_RARE = re.compile(rb"\\u(?!00)")  # the escape of a character beyond the first 256
_ESCAPE = 6  # bytes of it, less one of which may lie in the next block
_BLOCK = 1 << 20  # bytes that are counted at a time; between two of them the event loop runs


def count_values(text: bytes | bytearray | memoryview) -> int:
    """Counts the values of a JSON text, or slightly too many; refuses a text of too many."""
    count, view = 0, memoryview(text)
    for start in range(0, len(view), _BLOCK):
        count += len(bytes(view[start : start + _BLOCK]).translate(None, _OTHERS))
        if count > MOST_VALUES:
            raise Refused(
                413,
                f"the JSON holds more than {MOST_VALUES} values: send images as base64, or arrays as bytes "
                "behind the JSON (/v2, binary data)",
            )
    return count


def has_rare(text: bytes | bytearray | memoryview) -> bool:
    """Whether a JSON text may hold one of the characters for which Python takes up to four bytes for each."""
    view = memoryview(text)
    for start in range(0, len(view), _BLOCK):
        block = bytes(view[start : start + _BLOCK + _ESCAPE - 1])
        if not block.isascii() or _RARE.search(block):
            return True
    return False


def parse_json(text: bytes | bytearray | memoryview) -> Any:
    """Parses a JSON text of few enough values; refuses what is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}") from None


def require_depth(depth: int) -> None:
    """Refuses values that are nested more deeply than any request needs."""
    if depth > MOST_DEPTH:
        raise bad_request(f"the values are nested too deeply: at most {MOST_DEPTH} levels are accepted")
