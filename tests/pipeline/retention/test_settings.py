from __future__ import annotations

import pytest

from pipeline.retention.settings import Retention
from tests.unet.bounds import assert_bound


@pytest.mark.parametrize(("setting", "allowed", "refused"), [("keep_runs", 1, 0), ("keep_versions", 2, 1)])
def test_bounds(setting: str, allowed: int, refused: int) -> None:
    assert_bound(Retention, setting, allowed, refused)
