"""Files are written whole or not at all, and hashed once."""

import errno
import hashlib
import os
import stat
import time

import pytest

from tests.open_files import none_left
from unet.files import atomic_write, files_in, files_under, hash_of, raise_passing, read_and_hash


@pytest.fixture
def hashed(monkeypatch):
    """A list that gets an entry for each SHA-256 that is begun."""
    begun = []
    sha256 = hashlib.sha256

    def counted(*content):
        begun.append(content)
        return sha256(*content)

    monkeypatch.setattr(hashlib, "sha256", counted)
    return begun


def old_file(path, content):
    """A file that was written longer ago than the clock of the file system ticks."""
    path.write_bytes(content)
    time.sleep(0.05)
    return path


@pytest.mark.parametrize(("mode", "content"), [("w", "\u00e4\n"), ("wb", b"\xff\0")])
def test_a_file_is_replaced_whole(tmp_path, mode, content):
    path = tmp_path / "file"
    path.write_text("before")
    with atomic_write(path, mode) as file:
        file.write(content)
        assert path.read_text() == "before"
    assert path.read_bytes() == (content if mode == "wb" else content.encode())
    assert os.listdir(tmp_path) == ["file"]


def test_what_fails_leaves_the_file_of_before_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.writelines(["half", None])
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write("first" * 1000)
        second.write("second")
    assert path.read_text() == "first" * 1000


def test_others_may_read_what_is_written(tmp_path):
    for path in (tmp_path / "plain", tmp_path / "whole"):
        with path.open("w") if path.name == "plain" else atomic_write(path):
            pass
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("\u00e4" * 127)
    with atomic_write(path) as file:
        file.write("x")
    assert path.read_text() == "x"


def test_a_file_is_hashed_once(tmp_path, hashed):
    path = old_file(tmp_path / "file", b"content")
    first = hash_of(path)
    assert read_and_hash(path, type(path).read_bytes) == (b"content", first)
    assert hash_of(path) == first == hashlib.new("sha256", b"content").hexdigest()
    assert len(hashed) == 1


def test_a_changed_file_is_hashed_again_even_with_the_time_of_before(tmp_path):
    path = old_file(tmp_path / "file", b"content")
    before, times = hash_of(path), path.stat()
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert hash_of(path) != before
    other = old_file(tmp_path / "other", b"another")
    other.replace(path)
    assert hash_of(path) == hashlib.new("sha256", b"another").hexdigest()


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path):
    path = old_file(tmp_path / "file", b"content")

    def replaced(path):
        content = path.read_bytes()
        path.write_bytes(b"changed")
        return content

    assert read_and_hash(path, replaced)[1] == hashlib.new("sha256", b"content").hexdigest()
    assert hash_of(path) == hashlib.new("sha256", b"changed").hexdigest()


def test_the_files_in_a_folder_are_listed_by_name(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert files_in(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert files_in(tmp_path / "none") == files_in(tmp_path / "a") == []


def test_what_cannot_be_read_has_no_hash(tmp_path):
    assert hash_of(tmp_path / "none") == ""
    with pytest.raises(FileNotFoundError):
        read_and_hash(tmp_path / "none", type(tmp_path).read_bytes)


@pytest.mark.parametrize("read", [hash_of, files_in, files_under])
def test_where_no_file_can_be_opened_none_is_missing(tmp_path, read):
    (tmp_path / "a").touch()
    with none_left(), pytest.raises(OSError, match="Too many open files"):
        read(tmp_path / "a" if read is hash_of else tmp_path)


def test_the_files_of_all_folders_are_listed(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("c", "b/a"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert files_under(tmp_path) == [tmp_path / name for name in ("b/a", "c", "link")]
    assert files_under(tmp_path / "none") == []


def test_an_error_that_may_pass_is_raised_again_also_as_the_cause_of_another():
    raise_passing(FileNotFoundError(errno.ENOENT, "gone"))
    raise_passing(ValueError("damaged"))
    told = OSError(errno.ESTALE, "another time")
    other = ValueError("unreadable")
    other.__cause__ = told
    for error in (told, other):
        with pytest.raises(OSError, match="another time") as found:
            raise_passing(error)
        assert found.value is told
