from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from unet.images.settings import Channels


@pytest.mark.parametrize("use", [None, "all", [1], [3, 1]])
def test_channels_that_can_be_chosen(use: Any) -> None:
    assert Channels(use_channels=use).use_channels == use


@pytest.mark.parametrize("use", ["some", [0], [], [1, 1], 2, [*range(1, 258)]])
def test_channels_that_cannot_be_chosen(use: Any) -> None:
    with pytest.raises(ValidationError):
        Channels(use_channels=use)
