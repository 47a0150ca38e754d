from __future__ import annotations

import concurrent.futures
from pathlib import Path

from unet.dataset.cache import InspectionCache


def test_values_are_found_again(tmp_path: Path) -> None:
    with InspectionCache(tmp_path) as checked:
        assert checked.get("a") is None
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: checked.put(f"{i}", {"i": [i]}), range(100)))
    with InspectionCache(tmp_path) as checked:
        assert [checked.get(f"{i}") for i in range(100)] == [{"i": [i]} for i in range(100)]


def test_an_interrupted_check_is_remembered_up_to_there(tmp_path: Path) -> None:
    try:
        with InspectionCache(tmp_path) as checked:
            checked.put("a", 1)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    with InspectionCache(tmp_path) as checked:
        assert checked.get("a") == 1


def test_a_damaged_or_impossible_cache_is_no_cache(tmp_path: Path) -> None:
    with InspectionCache(tmp_path) as checked:
        checked.put("a", 1)
    [database] = tmp_path.iterdir()
    database.write_bytes(b"no database" * 1000)
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "file" / "folder"):
        with InspectionCache(folder) as checked:
            checked.put("b", 2)
            assert checked.get("a") is None
