"""Which slices of the test images an image is in, as `size=small`; `unet.evaluation.gate` measures them.

Sizes, bit depths and shares of foreground always form slices, columns of the manifest if they are declared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# Upper bounds of the buckets of pixels and of the share of foreground.
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
        height: height of the image in pixels.
        width: width of the image in pixels.
        bit_depth: bits per value of the image, 8 or 16.
        foreground: share of the counted pixels that are not of the first class; NaN without counted pixels.
        columns: the image's value of each declared column of the manifest, by name.
    """
    found = [f"size={_bucket(height * width, SIZES)}", f"bit_depth={bit_depth}"]
    if not math.isnan(foreground):
        found.append(f"foreground={_bucket(foreground, SHARES)}")
    return found + [f"{column}={value or '(none)'}" for column, value in columns.items()]


def why_unknown(name: str, columns: Sequence[str]) -> str:
    """A sentence that explains why a threshold's slice cannot exist; empty if it can.

    Args:
        name: name of the slice, such as `size=small`.
        columns: declared columns of the manifest, whose values are not known before the data are read.
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
