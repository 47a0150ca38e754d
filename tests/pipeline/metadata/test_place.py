"""A root remembers its database and its name there, without the password."""

import re

import pytest

from pipeline.metadata.place import (
    Place,
    Refused,
    StoreError,
    connection,
    new_place,
    pipeline_name,
    place_of,
    require_same,
    run_name,
    store_name,
    write_place,
)
from pipeline.metadata.settings import PASSWORD, Database
from pipeline.root import Root
from tests.open_files import none_left

HERE = Database(backend="mysql", host="db", port=3307, database="mlmd", user="ada")


@pytest.fixture
def root(tmp_path):
    return Root.at(tmp_path)


@pytest.fixture
def shared(root):
    write_place(root, new_place(root, HERE))
    return root


def test_a_root_without_the_file_has_a_store_of_its_own(root):
    assert place_of(root) is None
    assert connection(root).sqlite.filename_uri == str(root.metadata)
    assert (pipeline_name(root), store_name(root)) == ("unet", str(root.metadata))
    assert run_name("unet", "night-1") == "night-1"


def test_what_is_written_is_read_and_holds_no_password(shared, monkeypatch):
    monkeypatch.setenv(PASSWORD, "hunter2")
    place = place_of(shared)
    assert isinstance(place, Place)
    assert (place.where, place.root) == (HERE, str(shared.path))
    assert "hunter2" not in shared.metadata_place.read_text()
    assert connection(shared).mysql.password == "hunter2"
    assert shared.has_metadata


def test_each_root_has_another_name_so_equal_run_ids_do_not_meet(root):
    names = {new_place(root, HERE).pipeline for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch("unet-[0-9a-f]{12}", name) for name in names)
    assert len({run_name(name, "night-1") for name in names}) == 20


def test_another_store_than_that_of_the_root_is_refused(shared, tmp_path):
    require_same(shared, HERE)
    require_same(shared, HERE.model_copy(update={"user": "bob"}))  # one may log in as another
    for other in (Database(), HERE.model_copy(update={"database": "other"})):
        with pytest.raises(Refused, match="in mysql database mlmd on db:3307, and metadata names"):
            require_same(shared, other)
    own = Root.at(tmp_path / "own")
    own.path.mkdir()
    require_same(own, HERE)
    own.metadata.write_bytes(b"x")
    with pytest.raises(Refused, match="give another --root"):
        require_same(own, HERE)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"database": {"backend": "mysql"}, "pipeline": "p", "root": "r"}']
)
def test_a_damaged_file_is_a_sentence(root, text):
    root.metadata_place.write_text(text)
    with pytest.raises(StoreError, match=r"metadata\.json: cannot be read"):
        place_of(root)


def test_a_file_that_cannot_be_opened_for_now_is_not_damaged(shared):
    with pytest.raises(OSError, match="Too many open files"), none_left():
        place_of(shared)
