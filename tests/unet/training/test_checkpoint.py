"""Checkpoints survive what files suffer."""

import os

import numpy as np
import pytest

from tests.open_files import none_left
from unet.training.checkpoint import Checkpoints


def save(checkpoints, step):
    checkpoints.save(step, {"a": [np.full(3, step), np.eye(2)], "b": [np.array(1.5)]}, {"step": step})


def load(checkpoints):
    found = checkpoints.load()
    assert found is not None
    return found


def test_the_newest_comes_back_and_the_one_before_is_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "x")
    assert checkpoints.load() is None
    for step in (5, 10, 1000):
        save(checkpoints, step)
    arrays, state = load(checkpoints)
    assert state == {"step": 1000}
    assert [len(arrays[name]) for name in "ab"] == [2, 1]
    np.testing.assert_array_equal(arrays["a"][0], [1000] * 3)
    assert len(list(checkpoints.folder.iterdir())) == 2


def test_a_shorter_training_in_the_place_of_a_longer_one_keeps_its_own(tmp_path):
    checkpoints = Checkpoints(tmp_path / "x")
    for step in (1250, 1500, 250, 500, 750):
        save(checkpoints, step)
        assert load(checkpoints)[1] == {"step": step}
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "step-000000500.npz",
        "step-000000750.npz",
    ]


def test_what_a_training_went_on_from_was_used_then(tmp_path):
    checkpoints = Checkpoints(tmp_path / "x")
    save(checkpoints, 1)
    for path in (*checkpoints.folder.iterdir(), checkpoints.folder):
        os.utime(path, (1e9, 1e9))
    load(checkpoints)
    assert checkpoints.folder.stat().st_mtime > 1e9


def test_more_than_ten_arrays_keep_their_order(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": [np.array(i) for i in range(25)]}, {})
    assert [int(v) for v in load(checkpoints)[0]["a"]] == list(range(25))


@pytest.mark.parametrize("left", [0, 10, 0.5, -1])
def test_of_a_torn_file_the_one_before_is_taken(tmp_path, left):
    checkpoints = Checkpoints(tmp_path / "x")
    save(checkpoints, 1)
    save(checkpoints, 2)
    newest = sorted(checkpoints.folder.iterdir())[-1]
    content = newest.read_bytes()
    newest.write_bytes(content[: int(left * len(content)) if isinstance(left, float) else left])
    assert load(checkpoints)[1] == {"step": 1}


def test_one_of_another_training_is_not_resumed(tmp_path):
    mine, other = Checkpoints(tmp_path / "mine"), Checkpoints(tmp_path / "other")
    save(mine, 1)
    save(other, 2)
    (other.folder / "step-000000002.npz").rename(mine.folder / "step-000000002.npz")
    assert load(mine)[1] == {"step": 1}
    (mine.folder / "step-000000001.npz").unlink()
    assert mine.load() is None


def test_a_flipped_bit_is_noticed(tmp_path):
    checkpoints = Checkpoints(tmp_path / "x")
    save(checkpoints, 1)
    save(checkpoints, 2)
    newest = sorted(checkpoints.folder.iterdir())[-1]
    content = bytearray(newest.read_bytes())
    content[200] ^= 1
    newest.write_bytes(content)
    assert load(checkpoints)[1] == {"step": 1}


def test_where_no_file_can_be_opened_a_training_does_not_begin_anew(tmp_path):
    checkpoints = Checkpoints(tmp_path / "x")
    save(checkpoints, 1)
    with none_left(), pytest.raises(OSError, match="Too many open files"):
        checkpoints.load()
    assert load(checkpoints)[1] == {"step": 1}
