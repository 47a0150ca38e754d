from __future__ import annotations

from typing import Any

import pytest

from tests.unet.bounds import assert_bound
from unet.export.settings import ExportSettings


@pytest.mark.parametrize(
    ("setting", "allowed", "refused"),
    [
        ("serving_memory", 0.1, 0.0),
        ("serving_max_pixels", 1, 0),
        ("test_time_augmentation", True, "sometimes"),
    ],
)
def test_bounds(setting: str, allowed: Any, refused: Any) -> None:
    assert_bound(ExportSettings, setting, allowed, refused)
