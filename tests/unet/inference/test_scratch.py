from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unet.images.raster import ImageError
from unet.inference import scratch
from unet.inference.scratch import scratch_array


def test_only_large_arrays_lie_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "IN_MEMORY", 2 * 3 * 4 * 2)
    small = scratch_array((2, 3, 4), np.uint16, tmp_path)
    assert not isinstance(small, np.memmap)
    assert (small.shape, small.dtype.name) == ((2, 3, 4), "uint16")
    large = scratch_array((2, 3, 5), np.uint16, tmp_path)
    assert isinstance(large, np.memmap)
    assert (large.shape, large.dtype.name, large.offset) == ((2, 3, 5), "uint16", 0)
    large[:] = np.arange(30).reshape(2, 3, 5)
    assert large.sum() == 435
    assert list(tmp_path.iterdir()) == []  # without a name: a killed process leaves nothing behind


def test_the_system_has_a_place_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    assert isinstance(scratch_array((1,), np.uint8), np.memmap)


def test_a_disk_without_room_is_told_with_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        scratch_array((10**9, 4, 3), np.float32, tmp_path / "none")
    assert (
        caught.value.found == f"needs 48.0 GB in {tmp_path / 'none'} for a while (No such file or directory)"
    )
    assert caught.value.advice == "make room there"
