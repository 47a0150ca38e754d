"""Room for the end of a run."""

import os
import resource
from pathlib import Path

import pytest

from pipeline.process import reserve


def test_it_takes_room_on_the_disk_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / ".reserve"
    reserve.hold(path)
    assert path.stat().st_blocks * 512 >= 4 << 20  # no hole
    reserve.release(path)
    assert not path.exists()
    reserve.release(path)


def test_one_that_a_killed_run_left_is_taken_and_a_part_of_one_is_completed(tmp_path: Path) -> None:
    path = tmp_path / ".reserve"
    reserve.hold(path)
    content = path.read_bytes()
    reserve.hold(path)
    assert path.read_bytes() == content
    path.write_bytes(b"part")
    reserve.hold(path)
    assert path.stat().st_size == 4 << 20
    reserve.release(path)


def open_all(taken: list[int]) -> None:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))


def test_files_can_be_opened_again_after_none_were_left(tmp_path: Path) -> None:
    reserve.hold(tmp_path / "reserve")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        with pytest.raises(OSError, match="Too many open files"):
            open_all(taken)
        reserve.release(tmp_path / "reserve")
        (tmp_path / "record").write_text("ended")
    finally:
        reserve.release(tmp_path / "reserve")
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
