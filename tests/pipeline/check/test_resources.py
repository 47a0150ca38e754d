"""What a run needs is compared with what there is, before anything is written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile

import pytest

from pipeline.check.estimates import Estimate
from pipeline.check.resources import obstacles, shortages
from pipeline.process import memory
from pipeline.root import Root
from tests.pipeline.small_disks import mounted

SMALL = Estimate(tiles=4, disk=1 << 20, memory=2 << 20, least_memory=1 << 20)
HUGE = Estimate(tiles=4, disk=1 << 60, memory=1 << 60, least_memory=1 << 60)


def test_a_usual_place_has_no_obstacle_and_nothing_is_written(tmp_path):
    root = Root(tmp_path / "a" / "root")
    assert list(obstacles(root)) == []
    assert list(shortages(SMALL, root, repetition=False)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_root_below_a_file_is_told(tmp_path):
    (tmp_path / "a").write_text("")
    assert list(obstacles(Root(tmp_path / "a" / "root"))) == [
        f"{tmp_path / 'a'}: it is no folder: give another --root"
    ]


def test_a_read_only_root_is_one_sentence(tmp_path):
    with mounted(tmp_path / "ro", "size=1m,ro") as folder:
        assert list(obstacles(Root(folder / "root"))) == [
            f"{folder}: it cannot be written: make it writable, or give another --root"
        ]


def test_a_read_only_serving_folder_is_told_before_anything_is_trained(tmp_path):
    root = Root(tmp_path / "root")
    root.path.mkdir()
    with mounted(tmp_path / "ro", "size=1m,ro") as folder:
        (root.path / "serving").symlink_to(folder)
        assert list(obstacles(root)) == [
            f"{root.path / 'serving'}: it cannot be written: make it writable, or give another --root"
        ]


def test_no_folder_for_temporary_files_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "no")])
    [told] = obstacles(Root(tmp_path))
    assert told == "no folder for temporary files can be written: set TMPDIR to one"


FEW = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, tuple(map(int, sys.argv[1:3])))
from pipeline.check.resources import obstacles
from pipeline.root import Root
print(*obstacles(Root(Path(sys.argv[3]))))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "told", "afterwards"),
    [(100, 100, "at most 100 files", 100), (100, 1000, "", 1000), (300, 300, "", 300)],
)
def test_the_limit_of_open_files_is_raised_as_far_as_allowed_or_told(soft, hard, told, afterwards, tmp_path):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("the limit here is lower")
    command = [sys.executable, "-c", FEW, str(soft), str(hard), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    sentence, limit = done.stdout.splitlines()
    assert sentence.startswith(told)
    assert bool(sentence) == bool(told)
    assert int(limit) == afterwards


def test_a_disk_with_too_little_room_is_told(tmp_path):
    with mounted(tmp_path / "small", "size=80m") as folder:
        needy = Estimate(4, 100_000_000, 1, 1)
        [told] = shortages(needy, Root(folder / "root"), repetition=False)
        assert told.startswith(f"{folder}: 84 MB of disk are free, a run needs about 100 MB: make room")
        assert list(shortages(SMALL, Root(folder / "root"), repetition=False)) == []


def test_a_repetition_may_be_in_the_cache_but_its_log_needs_some_room(tmp_path):
    with mounted(tmp_path / "small", "size=80m") as folder:
        needy = Estimate(4, 100_000_000, 1 << 60, 1 << 60)
        assert list(shortages(needy, Root(folder), repetition=True)) == []
    with mounted(tmp_path / "tiny", "size=20m") as folder:
        [told] = shortages(SMALL, Root(folder), repetition=True)
        assert "21 MB of disk are free" in told


def test_a_disk_without_room_for_more_files_is_told(tmp_path):
    with mounted(tmp_path / "few", "size=80m,nr_inodes=100") as folder:
        [told] = shortages(SMALL, Root(folder), repetition=False)
        assert "more files only" in told


def test_memory_that_is_too_little_for_the_smaller_plan_is_told(tmp_path):
    found = list(shortages(HUGE, Root(tmp_path), repetition=False))
    assert [part for sentence in found for part in ("of disk", "of memory") if part in sentence] == [
        "of disk",
        "of memory",
    ]
    plenty = Estimate(4, 1, 1 << 60, 1)  # the whole plan alone is too large
    assert list(shortages(plenty, Root(tmp_path), repetition=False)) == []


def test_the_limit_of_a_control_group_counts(tmp_path, monkeypatch):
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/\n")
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "memory.current").write_text("500000000\n")
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    needy = Estimate(4, 1, 9_000_000_000, 3_000_000_000)
    [told] = shortages(needy, Root(tmp_path), repetition=False)
    assert told.startswith("1.5 GB of memory are free, a run needs about 3.0 GB: lower patch_size")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_told(tmp_path):
    tmp_path.chmod(0o500)
    assert len(list(obstacles(Root(tmp_path)))) == 1
