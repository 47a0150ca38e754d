"""Bounds of the limits of a run."""

import pytest
from pydantic import ValidationError

from pipeline.process.settings import Limits


def test_zero_minutes_turn_the_watch_off_and_fewer_are_refused() -> None:
    assert Limits(stall_minutes=0).stall_minutes == 0
    with pytest.raises(ValidationError):
        Limits(stall_minutes=-1)
