from __future__ import annotations

import concurrent.futures
import os
import pwd
from pathlib import Path

import pytest

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


def test_without_a_home_folder_there_is_no_cache_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as in a container, of a number without a name
    monkeypatch.chdir(tmp_path)
    assert os.path.expanduser("~") == "~"
    with InspectionCache() as checked:
        checked.put("a", 1)
        assert checked.get("a") is None
    assert list(tmp_path.iterdir()) == []
