"""Reads from encoded images how much work it is to decode them.

A PNG of a few kilobytes can declare gigabytes of pixels, and decoders trust its header. So the declared size
is read before anything is decoded, wherever in a value the image lies (a tf.Example holds images, too). Nor
does the size bound the work: a PNG of few pixels may hold image data that inflate to gigabytes, a JPEG
thousands of scans over all its pixels, and TensorFlow cannot be stopped while it decodes them. Nor can
this reading be stopped, so it is bounded for all values of a request together, which may be thousands.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

PNG_START = re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{8})", re.DOTALL)
JPEG_START = re.compile(rb"\xff\xd8\xff")
# Start of frame: every marker from C0 to CF except DHT (C4), JPG (C8) and DAC (CC).
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Limit for the JPEG segments, and blocks of bytes between them, that are read in one value, which may be one
# for every 16 bytes: many JPEG starts would take quadratic time, also if each value of a request holds few.
MOST_STEPS, _STEP = 100_000, 2048  # bytes of such a block
TOO_MANY = 1 << 62
MOST_PNGS = 4  # in one value, which may share image data: a tf.Example holds three
MOST_SCANS = 100  # of one JPEG; encoders write about ten
USUAL_SCANS = 20  # of a JPEG of any size
MOST_SCANNED = 10**9  # pixels of the JPEGs of more scans, times their scans: each goes over all of them
MOST_TEXT = 8 << 20  # bytes that profiles and texts of all PNGs may inflate to, together
_MOST_BITS = 16  # bits of a value; decoders refuse more
_PNG_VALUES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # values of each pixel, by the colour type
_PNG_TEXTS = re.compile(rb"iCCP|zTXt|iTXt")
# Zeros and restarts belong to the scan, 01 has no length; decoders skip all of them, wherever they are. Of a
# run of FF the last alone is looked at: to go to the end of the run from each would take quadratic time.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
_JPEG_SCAN, _JPEG_ENDS = 0xDA, (0xD8, 0xD9)
_BLOCK, _SPARE = 1 << 16, 1 << 20  # bytes


def declared_pixels(data: bytes) -> int:
    """Returns the pixels of the largest PNG or JPEG in `data`; 0 if none, `TOO_MANY` for an attack."""
    largest = 0
    for match in PNG_START.finditer(data):
        width, height = struct.unpack(">II", match[1])
        largest = max(largest, width * height)
    steps = _steps(data)
    for match in _jpeg_starts(data):
        pixels, steps = _jpeg_pixels(data, match.start(), steps)
        largest = max(largest, pixels)
        if not steps:
            return TOO_MANY
    return largest


def _steps(data: bytes) -> int:
    return min(MOST_STEPS, 16 + len(data) // 16)


def pixels_of(feed: Mapping[str, np.ndarray]) -> int:
    """The pixels that the images among the inputs of a request declare, and the number of other values."""
    return sum(
        sum(map(declared_pixels, array.ravel())) if array.dtype == object else array.size
        for array in feed.values()
    )


def _jpeg_starts(data: bytes) -> Iterable[re.Match[bytes]]:
    """The starts of JPEGs in a value. A PNG has none: in its data their three bytes come by chance."""
    return () if PNG_START.match(data) else JPEG_START.finditer(data)


def _jpeg_pixels(data: bytes, start: int, steps: int) -> tuple[int, int]:
    """Returns the pixels of the first frame of the JPEG at `start`, 0 if there is none, and the steps left.

    Decoders skip what lies between two segments. So does this where the value is a JPEG from its first byte
    on; elsewhere a start may be data of a PNG, in which a frame follows sooner or later.
    """
    position = start + 2
    while steps:
        marker, steps = _next_marker(data, position, steps)
        if marker is None or (start and data[position : marker.start()].strip(b"\xff")):
            break
        kind, size = marker[1][0], data[marker.end() : marker.end() + 7]
        if kind in JPEG_FRAMES and len(size) == 7:
            height, width = struct.unpack_from(">HH", size, 3)
            return height * width, steps
        if kind == _JPEG_SCAN or kind in _JPEG_ENDS:
            break
        position = marker.end() + int.from_bytes(size[:2], "big")
    return 0, steps


def _next_marker(data: bytes, position: int, steps: int) -> tuple[re.Match[bytes] | None, int]:
    """The next marker of a segment, or None, and the number of steps left.

    In blocks, as nothing else of the process runs within one.
    """
    while steps and position < len(data):
        marker = _JPEG_MARKER.search(data, position, position + _BLOCK)
        end = marker.start() if marker else position + _BLOCK
        steps = max(0, steps - 1 - (min(end, len(data)) - position) // _STEP)
        if marker:
            return marker, steps
        position = end - 1  # half a marker may lie there
    return None, steps


@dataclass
class _Left:
    """What the images of a request together may still take beyond what their sizes promise."""

    spare: int = _SPARE
    text: int = MOST_TEXT
    scanned: int = MOST_SCANNED


def unbounded_work(*values: bytes) -> str:
    """Says why decoding would take more work than the declared size promises; empty if it does not.

    The work of this function is that of inflating what the headers promise.

    Args:
        values: the values of a request, which hold images of few enough `declared_pixels`.
    """
    left = _Left()
    return next(filter(None, (_unbounded(value, left) for value in values)), "")


def _unbounded(data: bytes, left: _Left) -> str:
    starts = [match.start() for match in PNG_START.finditer(data)]
    if len(starts) > MOST_PNGS:
        return f"{len(starts)} PNG files in one value; at most {MOST_PNGS} are accepted"
    steps = _steps(data)
    for start in starts:
        found, steps = _png_work(data, start + 8, steps, left)
        if found or not steps:
            return found or "a PNG of too many chunks"
    for match in _jpeg_starts(data):
        scans, steps = _jpeg_scans(data, match.start() + 2, steps)
        if scans > MOST_SCANS:
            return f"a JPEG of more than {MOST_SCANS} scans: save it again as a baseline JPEG"
        if scans > USUAL_SCANS:
            pixels, steps = _jpeg_pixels(data, match.start(), steps)
            left.scanned -= scans * pixels
            if left.scanned < 0:
                found = f"a JPEG of more than {USUAL_SCANS} scans over {pixels} pixels"
                return f"{found}: save it again as a baseline JPEG"
        if not steps:
            return "a JPEG of too many segments"
    return ""


def _png_work(data: bytes, position: int, steps: int, left: _Left) -> tuple[str, int]:
    """Counts what the chunks of a PNG inflate to; returns what is wrong, and the number of steps left."""
    width, height, depth, color, interlace = struct.unpack_from(">IIBB2xB", data, position + 8)
    row = (width * min(depth, _MOST_BITS) * _PNG_VALUES.get(color, 4) + 7) // 8 + 1
    # The seven passes of an interlaced image together have less than twice as many bytes, and as many rows.
    most = height * row * (2 if interlace else 1) if width else 0
    pixels, view = zlib.decompressobj(), memoryview(data)
    while position + 12 <= len(data) and steps:
        steps -= 1
        length, kind = struct.unpack_from(">I4s", data, position)
        chunk = view[position + 8 : position + 8 + length]
        position += 12 + length
        if kind == b"IDAT":
            most -= _inflated(pixels, chunk, most + left.spare)
        elif _PNG_TEXTS.fullmatch(kind):
            left.text -= _inflated(zlib.decompressobj(), _packed_text(kind, bytes(chunk)), left.text)
        if most + left.spare < 0:
            return (
                f"a PNG of {width} x {height} pixels holds more image data than these: damaged",
                steps,
            )
        if left.text < 0:
            return f"the texts of a PNG have more than {MOST_TEXT >> 20} MiB: remove them", steps
        if kind == b"IEND":
            break
    left.spare += min(0, most)
    return "", steps


def _packed_text(kind: bytes, chunk: bytes) -> bytes:
    """The packed part of a chunk: after a keyword and the method; in iTXt after language and title, too."""
    _, _, rest = chunk.partition(b"\0")
    if kind != b"iTXt":
        return rest[1:]
    return rest[2:].partition(b"\0")[2].partition(b"\0")[2] if rest[:1] == b"\1" else b""


def _inflated(stream: Any, packed: bytes | memoryview, most: int) -> int:
    """Number of bytes that a part of a stream inflates to, counted to just above `most`.

    In blocks, as zlib copies what is left of one each time.
    """
    count = 0
    try:
        for start in range(0, len(packed), _BLOCK):
            rest = bytes(packed[start : start + _BLOCK])
            while rest and count <= most and not stream.eof:
                count += len(stream.decompress(rest, _BLOCK))
                rest = stream.unconsumed_tail
    except zlib.error:  # the decoder stops here, too
        pass
    return count


def _jpeg_scans(data: bytes, position: int, steps: int) -> tuple[int, int]:
    """Number of scans of a JPEG, counted to just above `MOST_SCANS`, and the number of steps left."""
    scans = 0
    while steps and scans <= MOST_SCANS:
        marker, steps = _next_marker(data, position, steps)
        if marker is None or (kind := marker[1][0]) in _JPEG_ENDS:
            break
        scans += kind == _JPEG_SCAN
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return scans, steps
