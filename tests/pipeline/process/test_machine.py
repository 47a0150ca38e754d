"""An error of the machine names the place, and what to do; any other error is none of it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.process.machine import advice


def told(error: Exception, root: Path = Path("/root")) -> str:
    return advice(error, str(error), root)


def test_an_error_of_the_work_is_none_of_the_machine():
    assert told(FileNotFoundError(errno.ENOENT, "No such file", "/root/x")) == told(ValueError("x")) == ""


def test_a_folder_that_could_not_be_copied_names_its_disk():
    why = f"[Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}: '/other/x'"
    assert "make room in /other, then" in told(shutil.Error([("/root/x", "/other/x", why)]))


def test_where_too_many_files_are_open_none_is_opened_to_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "gettempdir", None)
    assert told(OSError(errno.EMFILE, "Too many")).startswith("too many files are open: raise the limit")


@pytest.mark.parametrize("full", ["temp", "root"])
def test_of_two_folders_the_one_without_room_is_named(
    full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("temp", "root"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=0 if Path(path).name == full else 10**9)
    )
    reason = told(RuntimeError("[Errno 28] No space left on device"), tmp_path / "root")
    assert f"make room in {tmp_path / full}" in reason
