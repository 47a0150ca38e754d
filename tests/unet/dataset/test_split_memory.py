from __future__ import annotations

from pathlib import Path

import pytest

from unet.dataset import split_memory
from unet.dataset.split_memory import Memory
from unet.errors import BadInput


def test_splits_are_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "state" / "splits.json"
    assert split_memory.load(path) == Memory()
    for memory in (Memory({"1x1": "test"}, {"ä": "train"}, {"b": "eval"}), Memory(names={"b": "eval"})):
        split_memory.save(path, memory)
        assert split_memory.load(path) == memory
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"a": "tr',
        "[]",
        "{}",
        '{"a": "validation"}',
        '{"images": {}, "groups": {}}',
        '{"images": {}, "groups": {}, "names": []}',
        '{"images": {}, "groups": {}, "names": {"a": ["train"]}}',
        "\x00",
    ],
)
def test_damaged_splits_are_refused_with_advice(tmp_path: Path, content: str) -> None:
    path = tmp_path / "splits.json"
    path.write_text(content)
    with pytest.raises(
        BadInput, match=r"splits\.json: the remembered splits are damaged .*; restore the file"
    ):
        split_memory.load(path)


def test_splits_without_images_are_of_an_earlier_version(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text('{"a": "train", "b": "test"}')
    with pytest.raises(BadInput, match=r"an earlier version wrote it.*; give another --root, or delete"):
        split_memory.load(path)
