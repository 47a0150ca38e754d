"""What the kernel tells of memory: the peak of a part of this process, what is free, and who was killed."""

from __future__ import annotations

import gc
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from pipeline.process import memory

GIGABYTE = 2**30


class Kernel:
    """Files as the kernel has them, of a machine with 8 GB of memory of which 6 are free."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.write("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\nSwapTotal: 0 kB\n")

    def write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def kernel(tmp_path, monkeypatch) -> Kernel:
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "cgroup")
    return Kernel(tmp_path)


def test_the_peak_counts_from_the_reset():
    if not memory.reset_peak():
        pytest.skip("this system does not reset it")
    before = memory.peak_mb()
    np.ones(200 * 2**20, np.uint8)
    high = memory.peak_mb()
    assert high >= before + 150
    memory.reset_peak()
    assert memory.peak_mb() <= high - 150


def test_garbage_is_searched_for_again_after_the_imports_even_where_one_fails(
    monkeypatch: pytest.MonkeyPatch,
):
    assert gc.isenabled()
    names = {f"_imported_{i}": types.ModuleType("_imported") for i in range(101)}
    with memory.uncollected():
        monkeypatch.setattr(sys, "modules", {**sys.modules, **names})
        collections = [generation["collections"] for generation in gc.get_stats()]
        kept: list[list[int]] = [[] for _ in range(100_000)]
        with memory.uncollected():
            pass
        assert [generation["collections"] for generation in gc.get_stats()] == collections
    assert gc.isenabled()
    assert len(kept) == 100_000
    assert not any(found is kept for found in gc.get_objects())  # no later search looks at what was made
    with pytest.raises(ModuleNotFoundError), memory.uncollected():
        raise ModuleNotFoundError
    assert gc.isenabled()


def test_what_a_command_made_is_garbage_where_the_libraries_were_there_already():
    with memory.uncollected():
        kept: list[list[int]] = [[]]
    assert any(found is kept for found in gc.get_objects())


def test_where_nothing_is_told_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROC", tmp_path / "no")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "no")
    assert not memory.reset_peak()
    assert memory.peak_mb() == memory.total() == 0
    assert memory.available() is memory.kernel_kills() is None
    assert memory.machine_start() == ""


def test_what_is_free_here_is_less_than_what_there_is():
    free, total = memory.available(), memory.total()
    assert free is not None
    assert 50 * 2**20 < free < total


def test_without_groups_the_machine_counts(kernel):
    assert memory.available() == 6 * GIGABYTE
    assert memory.total() == 8 * GIGABYTE


def test_free_swap_counts_as_free(kernel):
    text = "MemTotal: 1024 kB\nMemAvailable: 512 kB\nSwapTotal: 256 kB\nSwapFree: 128 kB\n"
    kernel.write("proc/meminfo", text)
    assert (memory.available(), memory.total()) == (640 * 1024, 1280 * 1024)


def test_the_group_counts_where_it_may_take_less_and_gives_back_what_is_only_cached(kernel):
    kernel.write("proc/self/cgroup", "0::/pod/box\n")
    kernel.write("cgroup/pod/box/memory.max", f"{2 * GIGABYTE}\n")
    kernel.write("cgroup/pod/box/memory.current", f"{GIGABYTE}\n")
    kernel.write("cgroup/pod/box/memory.stat", f"anon 5\ninactive_file {GIGABYTE // 2}\n")
    assert (memory.available(), memory.total()) == (GIGABYTE * 3 // 2, 2 * GIGABYTE)


def test_the_group_around_it_counts_too_and_one_without_a_limit_does_not(kernel):
    kernel.write("proc/self/cgroup", "0::/pod/box\n")
    kernel.write("cgroup/pod/box/memory.max", "max\n")
    kernel.write("cgroup/pod/box/memory.current", "1\n")
    kernel.write("cgroup/pod/memory.max", f"{3 * GIGABYTE}\n")
    kernel.write("cgroup/pod/memory.current", f"{GIGABYTE}\n")
    assert memory.available() == 2 * GIGABYTE


def test_within_a_container_the_group_is_at_the_top(kernel):
    kernel.write("proc/self/cgroup", "0::/a/name/that/is/not/here\n")
    kernel.write("cgroup/memory.max", f"{GIGABYTE}\n")
    kernel.write("cgroup/memory.current", "0\n")
    assert memory.available() == GIGABYTE


def test_groups_of_version_1_count(kernel):
    kernel.write("proc/self/cgroup", "8:pids:/\n7:cpu,memory:/box\n")
    kernel.write("cgroup/memory/box/memory.limit_in_bytes", f"{2 * GIGABYTE}\n")
    kernel.write("cgroup/memory/box/memory.usage_in_bytes", f"{GIGABYTE}\n")
    kernel.write("cgroup/memory/box/memory.stat", "total_inactive_file 1000\n")
    assert memory.available() == GIGABYTE + 1000


def test_a_group_that_is_over_its_limit_leaves_nothing(kernel):
    kernel.write("proc/self/cgroup", "0::/\n")
    kernel.write("cgroup/memory.max", "1000\n")
    kernel.write("cgroup/memory.current", "2000\n")
    assert memory.available() == 0


def test_kills_for_lack_of_memory_are_counted(kernel):
    kernel.write("proc/vmstat", "nr_free_pages 7\noom_kill 3\n")
    kernel.write("proc/sys/kernel/random/boot_id", "e1f2\n")
    assert (memory.kernel_kills(), memory.machine_start()) == (3, "e1f2")
