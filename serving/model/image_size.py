"""Reads the number of pixels of encoded images from their headers alone.

A PNG of a few kilobytes can declare gigabytes of pixels, and decoders trust its header. So the declared size
is read before anything is decoded, wherever in a value the image lies (a tf.Example holds images, too).
"""

from __future__ import annotations

import re
import struct

PNG_START = re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{8})", re.DOTALL)
JPEG_START = re.compile(rb"\xff\xd8\xff")
# Start of frame: every marker from C0 to CF except DHT (C4), JPG (C8) and DAC (CC).
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Limit for the JPEG segments that are read in one request: a file of many JPEG starts would take quadratic
# time; no image has as many segments.
MOST_STEPS = 100_000
TOO_MANY = 1 << 62


def declared_pixels(data: bytes) -> int:
    """Returns the pixels of the largest PNG or JPEG in `data`; 0 if none, `TOO_MANY` for an attack."""
    largest = 0
    for match in PNG_START.finditer(data):
        width, height = struct.unpack(">II", match[1])
        largest = max(largest, width * height)
    steps = MOST_STEPS
    for match in JPEG_START.finditer(data):
        pixels, steps = _jpeg_pixels(data, match.start() + 2, steps)
        largest = max(largest, pixels)
        if not steps:
            return TOO_MANY
    return largest


def _jpeg_pixels(data: bytes, position: int, steps: int) -> tuple[int, int]:
    """Returns the pixels of the first frame of a JPEG, and the number of steps left.

    The segments of the JPEG start at `position`; it has 0 pixels if they are invalid.
    """
    while position + 9 <= len(data) and data[position] == 0xFF and steps:
        steps -= 1
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
        elif marker in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return height * width, steps
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    return 0, steps
