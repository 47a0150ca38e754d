"""What is in service, and what was withdrawn: by the serving folder, and by marks where it says nothing."""

from pathlib import Path

from pipeline.history.executions import Push
from pipeline.history.service import service_of
from pipeline.root import Root
from unet.registry.model_card import read_card, write_card
from unet.registry.versions import push, roll_back


def pushed(root: Root, name: str) -> Push:
    model = root.path / name
    model.mkdir(parents=True)
    (model / "saved_model.pb").write_text(name)
    facts = {"images": {}, "data_sha256": "", "data_licence": "", "code": "", "configuration": ""}
    folder, _ = push(model, root.serving, lambda copy, version: write_card(copy, version, facts, {}))
    return Push(str(folder), "1")


def test_a_copy_of_a_copy_is_the_version_that_a_run_pushed(tmp_path: Path) -> None:
    root = Root(tmp_path)
    assert service_of(root, []).newest == ""
    assert not service_of(root, []).holds("")
    first, second = pushed(root, "a"), pushed(root, "b")
    copy = roll_back(root.serving).name
    found = service_of(root, [first, second])
    assert (found.newest, found.original) == (copy, first.version)
    assert found.holds(copy)
    assert found.holds(first.version)
    assert not found.holds(second.version)
    assert found.withdrawn == {second.version}
    pushed(root, "c")
    again = roll_back(root.serving, int(copy))
    assert read_card(again)["rolled_back_to"] == int(copy)
    assert service_of(root, []).original == first.version


def test_marks_count_only_where_the_folder_says_nothing(tmp_path: Path) -> None:
    root = Root(tmp_path)
    known = pushed(root, "a")
    marked = [Push(known.folder, "1", withdrawn=True), Push("gone/7", "1", withdrawn=True)]
    assert service_of(root, marked).withdrawn == {"7"}
    (root.serving / "latest.json").unlink()
    assert service_of(root, marked).withdrawn == {known.version, "7"}
