"""The slices of the test images that metrics are also taken of: names such as `size=small`.

Sizes, depths and shares of foreground always make slices, columns of the manifest where they are declared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# Pixels, share of the foreground: the largest of each but the last.
SIZES = {"small": 512**2, "medium": 1024**2, "large": math.inf}
SHARES = {"none": 0.0, "low": 0.05, "medium": 0.25, "high": 1.0}
DEPTHS = (8, 16)
BUILT_IN = {
    "size": list(SIZES),
    "bit_depth": [str(depth) for depth in DEPTHS],
    "foreground": list(SHARES),
}


def slices_of(
    height: int, width: int, bit_depth: int, foreground: float, columns: Mapping[str, str]
) -> list[str]:
    """Names of the slices that an image belongs to.

    Args:
        height: in pixels.
        width: in pixels.
        bit_depth: of the image.
        foreground: share of the counted pixels that are not of the first class; NaN if none counts.
        columns: value of each declared column.
    """
    found = [f"size={_bucket(height * width, SIZES)}", f"bit_depth={bit_depth}"]
    if not math.isnan(foreground):
        found.append(f"foreground={_bucket(foreground, SHARES)}")
    return found + [f"{column}={value or '(none)'}" for column, value in columns.items()]


def why_unknown(name: str, columns: Sequence[str]) -> str:
    """What is wrong with the name of a slice in a threshold, as a sentence; empty if it can be one.

    Args:
        name: such as `size=small`.
        columns: that are declared. Their values are known only when the images are read.
    """
    kind, _, value = name.partition("=")
    known = [*BUILT_IN, *columns]
    if not value or kind not in known:
        return f"unknown slice {name!r}, known: {', '.join(f'{k}=...' for k in known)}"
    values = BUILT_IN.get(kind)
    if values and value not in values:
        return f"unknown slice {name!r}, known: {', '.join(f'{kind}={v}' for v in values)}"
    return ""


def _bucket(value: float, highest: Mapping[str, float]) -> str:
    return next((name for name, bound in highest.items() if value <= bound), list(highest)[-1])
