"""An output is whole only if each of its files is as it was written, and no other file is beside them."""

import json
import os

import pytest

from pipeline.history.manifest import damage, write_manifest
from tests.open_files import none_left


@pytest.fixture
def written(tmp_path):
    """The folder of an output with two files, and its manifest."""
    folder = tmp_path / "artifacts" / "Trainer" / "model" / "7"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "index").write_bytes(b"")
    return folder, write_manifest(folder)


def test_the_manifest_names_each_file_with_its_size_and_hash(written):
    _, manifest = written
    assert json.loads(manifest) == {
        "saved_model.pb": [5, "eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d"],
        "variables/index": [0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    }


@pytest.mark.parametrize("contents", [False, True])
def test_what_is_as_it_was_written_is_whole(written, contents):
    folder, manifest = written
    os.utime(folder / "saved_model.pb")
    (folder / "empty").mkdir()
    assert damage(folder, manifest, contents) == ""


def test_of_what_has_no_manifest_nothing_is_known(written):
    assert damage(written[0], "", contents=True) == ""


@pytest.mark.parametrize("contents", [False, True])
def test_another_size_a_missing_and_an_added_file_are_found_without_reading(written, contents):
    folder, manifest = written
    (folder / "variables" / "more").touch()
    assert damage(folder, manifest, contents) == f"{folder}/variables/more: was added"
    (folder / "variables" / "index").unlink()
    assert damage(folder, manifest, contents) == f"{folder}/variables/index: is missing"
    (folder / "saved_model.pb").write_bytes(b"gra")
    assert damage(folder, manifest, contents) == f"{folder}/saved_model.pb: has 3 bytes, 5 were written"


def test_a_flipped_bit_is_found_by_reading(written):
    folder, manifest = written
    (folder / "saved_model.pb").write_bytes(b"grapi")
    assert damage(folder, manifest) == ""
    assert damage(folder, manifest, contents=True) == f"{folder}/saved_model.pb: its content changed"


def test_a_link_to_nothing_is_a_missing_file(written):
    folder, manifest = written
    (folder / "saved_model.pb").unlink()
    (folder / "saved_model.pb").symlink_to(folder / "nothing")
    assert damage(folder, manifest) == f"{folder}/saved_model.pb: is missing"


def test_all_files_and_folders_are_flushed_before_the_manifest_is_there(written, monkeypatch):
    folder, _ = written
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(os.readlink(f"/proc/self/fd/{number}")))
    write_manifest(folder)
    inside = [folder / "saved_model.pb", folder / "variables" / "index", folder / "variables"]
    assert set(flushed) == {str(path) for path in (*inside, folder, *folder.parents[:3])}


def test_a_file_that_cannot_be_read_back_ends_the_component(written):
    folder, _ = written
    (folder / "link").symlink_to("nothing")
    with pytest.raises(FileNotFoundError, match="link"):
        write_manifest(folder)


@pytest.mark.parametrize("contents", [False, True])
def test_where_no_file_can_be_opened_none_is_damaged(written, contents):
    folder, manifest = written
    with none_left(), pytest.raises(OSError, match="Too many open files"):
        damage(folder, manifest, contents)
