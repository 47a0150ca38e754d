"""Numbers of channels: which an image may have, and whether PNG holds them as they are.

PNG holds one grey channel or red, green and blue. An image of another number of channels is stored as a grey
PNG in which its channels lie below one another, see `unet.images.stacking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

MOST_CHANNELS = 256
ChosenChannels = Sequence[int] | Literal["all"]
_PLAIN = (1, 3)  # grey and RGB, which replace each other
ADVICE = (
    "keep one channel, or three as RGB; or train on chosen ones (--set 'use_channels=[1]'), or on all of them"
    " (--set use_channels=all)"
)


def is_stacked(channels: int) -> bool:
    """Whether an image of this many channels is stored with its channels below one another."""
    return channels not in _PLAIN


def stored_rows(height: int, channels: int) -> int:
    """Number of rows of the PNG of an image."""
    return height * channels if is_stacked(channels) else height


def fits(channels: int, network: int) -> bool:
    """Whether an image of this many channels can be the input of a network of `network` channels."""
    return channels == network or not (is_stacked(channels) or is_stacked(network))
