"""The peak of a part of this process, not of all of it."""

import numpy as np
import pytest

from pipeline.process import memory


def test_the_peak_counts_from_the_reset():
    if not memory.reset_peak():
        pytest.skip("this system does not reset it")
    before = memory.peak_mb()
    np.ones(200 * 2**20, np.uint8)
    high = memory.peak_mb()
    assert high >= before + 150
    memory.reset_peak()
    assert memory.peak_mb() <= high - 150


def test_where_nothing_is_told_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_RESET", tmp_path / "no" / "clear_refs")
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "no" / "status")
    assert not memory.reset_peak()
    assert memory.peak_mb() == 0
