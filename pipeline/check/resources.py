"""Compares what a run needs (`estimates`) with memory, disk, open files, and folders that can be written."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.check.estimates import Estimate, in_words
from pipeline.process import memory
from pipeline.root import Root

_OPEN_FILES = 256
_MORE_OPEN_FILES = 4096  # which are taken where the hard limit allows them
_LEAST_DISK = 64 << 20  # bytes for logs, the report and ML Metadata of a run whose outputs are cached


def obstacles(root: Root) -> Iterator[str]:
    """Yields a sentence for each reason why no run can work here; raises the limit of open files."""
    for there in dict.fromkeys(map(_existing, (root.path, root.serving))):
        if not there.is_dir():
            yield f"{there}: it is no folder: give another --root"
        elif not os.access(there, os.W_OK | os.X_OK):
            yield f"{there}: it cannot be written: make it writable, or give another --root"
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        yield "no folder for temporary files can be written: set TMPDIR to one"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MORE_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MORE_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft != resource.RLIM_INFINITY and soft < _OPEN_FILES:
        yield f"at most {soft} files can be open, a run needs {_OPEN_FILES}: raise the limit (ulimit -n)"


def shortages(estimate: Estimate | None, root: Root, repetition: bool) -> Iterator[str]:
    """Yields a sentence for what is there less than by the estimate; of memory, less than the smaller plan.

    Args:
        estimate: what the run needs; None: not known.
        root: root of the run.
        repetition: whether a run with these settings finished before, so that much may be in the cache.
    """
    there = _existing(root.path)
    needed = _LEAST_DISK if repetition or not estimate else max(estimate.disk, _LEAST_DISK)
    free = shutil.disk_usage(there).free
    if free < needed:
        yield (
            f"{there}: {in_words(free)} of disk are free, a run needs about {in_words(needed)}: make room, "
            "or give another --root"
        )
    inodes = os.statvfs(there)
    if inodes.f_files and inodes.f_favail < _OPEN_FILES:
        yield f"{there}: it has room for {inodes.f_favail} more files only: make room, or give another --root"
    free_memory = memory.available()
    if estimate and not repetition and free_memory is not None and free_memory < estimate.least_memory:
        yield (
            f"{in_words(free_memory)} of memory are free, a run needs about {in_words(estimate.least_memory)}"
            ": lower patch_size, batch_size or base_filters with --set, or end what else takes memory"
        )


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))
