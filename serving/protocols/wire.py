"""Counts the fields of protocol buffers before they are parsed: two bytes may become a tensor of 150.

The parser is fast, but nothing else of the process runs meanwhile, and nothing can stop it. So the fields are
counted before, as the values of JSON are; while they are counted other threads run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from serving.errors import Refused, bad_request
from serving.protocols.json_values import BYTES_OF_A_VALUE, MOST_DEPTH, MOST_VALUES

T = TypeVar("T")
MOST_FIELDS = 1 << 17  # of which no request needs more: numbers lie together in one, an image is one
# Bytes of each value in a packed list of numbers; those of other numbers vary.
_FIXED = {
    FieldDescriptor.TYPE_FLOAT: 4, FieldDescriptor.TYPE_FIXED32: 4, FieldDescriptor.TYPE_SFIXED32: 4,
    FieldDescriptor.TYPE_DOUBLE: 8, FieldDescriptor.TYPE_FIXED64: 8, FieldDescriptor.TYPE_SFIXED64: 8,
}  # fmt: skip
_TEXT = -1  # stands for a text among the sizes of numbers
_GOING_ON = bytes(range(0x80, 0x100))  # bytes of a number that are not its last
_VARYING, _SIZED = 0, 2  # how a field lies in the bytes: as a number, or as a size and as many bytes
_BYTES = {1: 8, 5: 4}  # of the other ways
_BLOCK = 1 << 20  # bytes whose numbers are counted at a time


def count_fields(data: bytes, kind: Descriptor) -> int:
    """Counts the fields of a message and of all within it, the numbers of packed lists, and long texts.

    A text counts for what Python takes for its characters beyond the bytes: up to four bytes for each.

    Args:
        data: the message as bytes.
        kind: description of the message.

    Raises:
        Refused: there are too many, they are nested too deeply, or the bytes are no message.
    """
    try:
        return _Counter(data).message(0, len(data), kind, 0)
    except IndexError:
        raise malformed(kind) from None


def parse_message(data: bytes, kind: type[T]) -> T:
    """Parses a message whose fields were counted; refuses what is none.

    Args:
        data: the message as bytes.
        kind: class of the message.
    """
    message: Any = kind
    try:
        parsed: T = message.FromString(data)
    except DecodeError:
        raise malformed(message.DESCRIPTOR) from None
    return parsed


def malformed(kind: Descriptor) -> Refused:
    """Creates the error for bytes that are no message of a kind."""
    return bad_request(f"the message is no {kind.name}: its bytes are damaged, or of another kind")


class _Counter:
    """Counts what is in some bytes, up to the limit."""

    def __init__(self, data: bytes) -> None:
        self._data, self._fields, self._numbers, self._wide = data, 0, 0, 0

    def message(self, at: int, end: int, kind: Descriptor, depth: int) -> int:
        """Counts the fields of the message that lies from `at` to `end`; returns the sum until now.

        Raises:
            IndexError: the bytes are no message.
        """
        if depth > MOST_DEPTH:
            raise bad_request(f"the message is nested too deeply: at most {MOST_DEPTH} levels are accepted")
        inner, data = _lists_of(kind), self._data
        while at < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise _too_many(MOST_FIELDS, "fields")
            key, size, at = data[at], 0, at + 1
            if key >= 0x80:
                key, at = self._number(at - 1)
            lies = key & 7
            if lies == _SIZED:
                size, at = data[at], at + 1
                if size >= 0x80:
                    size, at = self._number(at - 1)
                if at + size > end:
                    raise IndexError
                held = inner.get(key >> 3)
                if held == _TEXT:
                    self._wide += 0 if data[at : at + size].isascii() else 3 * size
                elif isinstance(held, int):
                    self._packed(at, at + size, held)
                elif held is not None and size:
                    self.message(at, at + size, held, depth + 1)
                at += size
            elif lies == _VARYING:
                _, at = self._number(at)
            elif lies in _BYTES:
                at += _BYTES[lies]
            else:  # groups, which none of the messages has
                raise IndexError
        if at > end:
            raise IndexError
        return self._fields + self._numbers + self._wide // BYTES_OF_A_VALUE

    def _packed(self, at: int, end: int, size: int) -> None:
        """Counts the numbers of a list: each has `size` bytes, or, where that is 0, what it takes."""
        if size:
            self._take((end - at) // size)
            return
        for start in range(at, end, _BLOCK):
            self._take(len(self._data[start : min(end, start + _BLOCK)].translate(None, _GOING_ON)))

    def _number(self, at: int) -> tuple[int, int]:
        """The number at a place, and where it ends."""
        number = 0
        for shift in range(0, 70, 7):  # ten bytes are the most that a number has
            byte = self._data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number, at
        raise IndexError

    def _take(self, count: int) -> None:
        self._numbers += count
        if self._numbers > MOST_VALUES:
            raise _too_many(MOST_VALUES, "numbers")


def _too_many(most: int, what: str) -> Refused:
    advice = "send arrays as bytes (raw_input_contents, tensor_content)"
    return Refused(413, f"the message holds more than {most} {what}: {advice}")


@functools.cache
def _lists_of(kind: Descriptor) -> Mapping[int, Descriptor | int]:
    """What lies in the fields of a message: other messages, texts, or packed numbers of so many bytes."""
    found: dict[int, Descriptor | int] = {}
    for field in kind.fields:
        if field.message_type is not None:
            found[field.number] = field.message_type
        elif field.type == FieldDescriptor.TYPE_STRING:
            found[field.number] = _TEXT
        elif field.type != FieldDescriptor.TYPE_BYTES:
            found[field.number] = _FIXED.get(field.type, 0)
    return found
