"""What a run takes, told before it starts."""

from pathlib import Path
from typing import Any

import pytest

from data.synthetic import write_cells
from pipeline.check.check import check
from pipeline.check.estimates import Estimate, estimate
from pipeline.config.profile import load
from pipeline.root import Root


def estimated(folder: Path, size: tuple[int, int], count: int = 6, **settings: Any) -> Estimate:
    """Of a run on so many images."""
    write_cells(folder, count, size)
    found = check(load(overrides={"data": folder, **settings}), Root(folder / "root")).estimate
    assert found
    return found


def test_more_and_larger_images_take_more(tmp_path: Path) -> None:
    few = estimated(tmp_path / "few", (64, 64))
    many = estimated(tmp_path / "many", (64, 64), 12)
    large = estimated(tmp_path / "large", (700, 900))
    assert few.tiles < many.tiles
    assert few.tiles * 4 == large.tiles
    assert few.disk < many.disk < large.disk
    assert few.memory < many.memory < large.memory
    assert str(few).startswith(f"about {few.tiles} tiles, ")


@pytest.mark.parametrize(
    "setting",
    [{"base_filters": 32}, {"batch_size": 8}, {"patch_size": 572}, {"normalization_layer": "batch"}],
)
def test_a_larger_step_takes_more_memory(setting: dict[str, Any], tmp_path: Path) -> None:
    usual = estimated(tmp_path / "a", (64, 64))
    assert estimated(tmp_path / "b", (64, 64), **setting).memory > usual.memory


def test_a_stem_takes_less_memory(tmp_path: Path) -> None:
    usual = estimated(tmp_path / "a", (64, 64))
    stem = {"stem_stride": 2, "depth": 3, "patch_size": 440}
    assert estimated(tmp_path / "b", (64, 64), **stem).memory < usual.memory


def test_the_smaller_plan_takes_less_memory_where_images_are_large_or_tiles_are_kept(tmp_path: Path) -> None:
    found = estimated(tmp_path / "a", (700, 900))
    assert found.least_memory < found.memory


def test_a_larger_network_takes_more_disk(tmp_path: Path) -> None:
    usual = estimated(tmp_path / "a", (64, 64))
    assert estimated(tmp_path / "b", (64, 64), base_filters=64).disk > usual.disk + 1_000_000_000


def test_nothing_is_estimated_of_nothing() -> None:
    assert estimate([], {}, load(), 1) is None
