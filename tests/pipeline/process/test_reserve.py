"""Room for the end of a run."""

from pathlib import Path

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
