from __future__ import annotations

from typing import Any

import pytest

from tests.unet.bounds import assert_bound
from unet.preprocessing.settings import Scaling, Stride
from unet.settings import Section


@pytest.mark.parametrize(
    ("section", "setting", "allowed", "refused"),
    [
        (Scaling, "scale", 0.05, 0.049),
        (Scaling, "scale", 4.0, 4.1),
        (Scaling, "normalize", "dataset", "images"),
        (Stride, "tile_stride", 16, 15),
    ],
)
def test_bounds(section: type[Section], setting: str, allowed: Any, refused: Any) -> None:
    assert_bound(section, setting, allowed, refused)
