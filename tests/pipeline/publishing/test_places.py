"""What may be named as a place, and what is told of the rest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.publishing.places import is_address, place_of, refusal


def test_a_path_is_no_address():
    assert is_address("s3://bucket/unet")
    assert not is_address("/mnt/models/unet")


def test_a_password_is_no_part_of_an_address():
    assert refusal("ftp://ada:secret@host/unet").startswith("put no password into the address")


def test_without_fsspec_it_is_told_what_to_install():
    code = "import sys; sys.modules['fsspec'] = None\nfrom pipeline.publishing.places import refusal\nprint(refusal('s3://b/u'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        done.stdout == "an address needs fsspec, which `pip install fsspec` adds: without it, give a path\n"
    )


def test_what_fsspec_does_not_know_or_cannot_reach():
    pytest.importorskip("fsspec", reason="there is no fsspec: make setup installs it")
    assert refusal("memory://unet") == ""
    assert "nonsense" in refusal("nonsense://unet")
    assert "gcsfs" in refusal("gs://bucket/unet")


def test_a_folder_of_this_machine(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        place_of(str(tmp_path / "gone"))
    place = place_of(str(tmp_path))
    source = tmp_path / "source"
    source.write_bytes(b"content")
    place.write("7/b/file", source)
    assert sorted(place.names()) == ["7", "source"]
    assert (place.size("7/b/file"), place.size("7/none"), place.size("source/none")) == (7, None, None)
    with place.read("7/b/file") as file:
        assert file.read() == b"content"
    assert (place.files("7"), place.files("8")) == (["7/b/file"], [])
    assert [path.name for path in (tmp_path / "7/b").iterdir()] == ["file"]  # nothing temporary
    place.remove("7")
    assert place.names() == ["source"]
    with pytest.raises((NotADirectoryError, FileExistsError)):
        place.write("source/file", source)
