"""What an image looks like: a small picture of its details, by which near-duplicates are found.

Two files of the same picture, saved again, scaled or brightened, have nearly the same details; two pictures
of the same kind have not, whatever their exposure and background, which are left out.
"""

from __future__ import annotations

import base64
import itertools

import numpy as np
from numpy.typing import NDArray

_SIDE = 32  # pixels of the small picture
_AROUND = 5  # side in its pixels of the neighbourhood whose mean is left out


def details(pixels: np.ndarray) -> str:
    """Describes the details of an image as base64 text of 1,368 characters.

    Args:
        pixels: values, [H, W, channels].

    Returns:
        The text; empty for an image with a side of less than 32 pixels, or without details.
    """
    if min(pixels.shape[:2]) < _SIDE:
        return ""
    rows, columns = (np.linspace(0, side, _SIDE + 1).astype(int) for side in pixels.shape[:2])
    flat = pixels.reshape(len(pixels), -1)  # [H, W channels]
    wide = np.uint32 if len(pixels) < 1 << 16 else np.uint64  # holds the sum of a column of 16 bits
    bands = [flat[top:bottom].sum(0, dtype=wide) for top, bottom in itertools.pairwise(rows)]
    sums = np.stack(bands).reshape(_SIDE, pixels.shape[1], -1).sum(-1, dtype=np.uint64)  # [side, W]
    sums = np.add.reduceat(sums, columns[:-1], axis=1)  # [side, side]
    small = sums / np.outer(np.diff(rows), np.diff(columns))
    padded = np.pad(small, _AROUND // 2, mode="reflect")
    around = np.lib.stride_tricks.sliding_window_view(padded, (_AROUND, _AROUND)).mean((-2, -1))
    fine = small - around
    fine -= fine.mean()
    if not (largest := float(abs(fine).max())) > 1e-9 * max(1.0, float(small.max())):
        return ""
    return base64.b64encode(np.round(127 * fine / largest).astype(np.int8).tobytes()).decode()


def vectors(texts: list[str]) -> NDArray[np.float32]:
    """Vectors of length 1, [n, 1024], whose products are the correlations of the details.

    Args:
        texts: what `details` returned, none of them empty.
    """
    found = np.frombuffer(b"".join(map(base64.b64decode, texts)), np.int8)
    fine = found.reshape(len(texts), _SIDE * _SIDE).astype(np.float32)
    return fine / np.linalg.norm(fine, axis=1, keepdims=True)
