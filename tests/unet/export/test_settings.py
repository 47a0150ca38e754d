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
        ("operating_point", "dice", "iou"),
        ("operating_point", "precision>=0.9", "precision>=1"),
        ("operating_point", "recall>=.05", "recall>=0.0"),
        ("operating_point", "argmax", "precision<=0.9"),
    ],
)
def test_bounds(setting: str, allowed: Any, refused: Any) -> None:
    assert_bound(ExportSettings, setting, allowed, refused)
