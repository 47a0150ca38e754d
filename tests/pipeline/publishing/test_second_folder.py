"""A second serving folder, on real folders and in fsspec's memory."""

from __future__ import annotations

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.publishing.places import place_of
from pipeline.publishing.second_folder import NotCopied, bring_up_to_date, copy_after_run, copy_now
from pipeline.root import Root
from tests.command_line import call
from tests.pipeline.recorded_runs import RecordedRuns
from tests.pipeline.small_disks import mounted
from unet.registry.records import CARDS, digest
from unet.registry.versions import locked, newest_version, push, roll_back, versions

BIG = 300_000  # bytes


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "second").mkdir()
    return Root(tmp_path / "root")


def second(root: Root) -> Path:
    return root.path.parent / "second"


def pushed(root: Root, text: str) -> Path:
    """Pushes a model here."""
    model = root.path / "model"
    shutil.rmtree(model, ignore_errors=True)
    for name in ("variables/variables.data", "assets.extra/training.json", "a", "z"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(f"{name} of {text}".encode() + bytes(BIG))
    (model / "saved_model.pb").write_text(f"graph of {text}")
    return push(model, root.serving)[0]


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def stamps(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in files(folder)}


def test_each_version_is_copied_and_a_repetition_writes_nothing(root):
    first = pushed(root, "one")
    assert bring_up_to_date(str(second(root)), root) == f"{second(root)}: version {first.name} copied"
    assert files(second(root)) == files(root.serving)
    before = stamps(second(root))
    assert max(before, key=lambda name: before[name] * (name != "latest.json")).endswith("saved_model.pb")
    assert bring_up_to_date(str(second(root)), root) == ""
    assert stamps(second(root)) == before
    pushed(root, "two")
    bring_up_to_date(str(second(root)), root)
    assert files(second(root)) == files(root.serving)


def test_a_copy_waits_for_another_one_and_for_a_rollback(root):
    first = pushed(root, "one")
    with ThreadPoolExecutor(1) as pool:
        with locked(root.serving):
            copying = pool.submit(bring_up_to_date, str(second(root)), root)
            assert not wait([copying], 0.5).done
            assert files(second(root)) == {}
        assert copying.result() == f"{second(root)}: version {first.name} copied"


def test_without_the_setting_or_a_version_nothing_happens(root, tmp_path):
    assert bring_up_to_date(str(tmp_path / "gone"), root) == ""
    pushed(root, "one")
    assert bring_up_to_date("", root) == ""
    assert files(second(root)) == {}


@pytest.mark.parametrize("done", ["a", "variables/variables.data", "z"])
def test_an_interrupted_copy_goes_on(done, root):
    version = pushed(root, "one")
    target = second(root) / version.name / done
    target.parent.mkdir(parents=True)
    shutil.copyfile(version / done, target)
    (second(root) / version.name / "assets.extra").mkdir()
    (second(root) / version.name / "assets.extra/training.json").write_text("torn")
    before = target.stat().st_mtime_ns
    bring_up_to_date(str(second(root)), root)
    assert files(second(root)) == files(root.serving)
    assert target.stat().st_mtime_ns == before


@pytest.mark.parametrize("memory", [False, True])
def test_what_is_no_part_of_the_version_goes(memory, root):
    if memory:
        pytest.importorskip("fsspec", reason="there is no fsspec: make setup installs it")
    push_to = f"memory:/{root.path}" if memory else str(second(root))
    version, place = pushed(root, "one"), place_of(push_to)
    left = [".a.0123abcd.part", "variables/.variables.data.0123abcd.part", "variables/of another model"]
    for name in left:  # of a copy that was killed, and of another root
        place.write(f"{version.name}/{name}", version / "a")
    told = f"removed from version {version.name}, as no part of it: {', '.join(left)}"
    assert bring_up_to_date(push_to, root) == f"{push_to}: {told}, version {version.name} copied"
    assert sorted(place.files(version.name)) == sorted(f"{version.name}/{name}" for name in files(version))
    assert bring_up_to_date(push_to, root) == ""
    place.write(f"{version.name}/{left[0]}", version / "a")
    assert left[0] in bring_up_to_date(push_to, root)


@pytest.mark.parametrize("name", ["a", "variables/variables.data", "saved_model.pb"])
def test_what_was_damaged_there_is_mended(name, root):
    version = pushed(root, "one")
    bring_up_to_date(str(second(root)), root)
    damaged = second(root) / version.name / name
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")  # of the same size
    bring_up_to_date(str(second(root)), root)
    assert files(second(root)) == files(root.serving)


def test_what_a_link_leads_to_is_left_alone(root, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("not of the copy")
    (second(root) / pushed(root, "one").name).symlink_to(mine)
    with pytest.raises(NotCopied, match="is a link: remove it"):
        bring_up_to_date(str(second(root)), root)
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_a_version_that_was_damaged_here_does_not_replace_the_whole_one_there(root):
    version = pushed(root, "one")
    card = version / CARDS[0]
    card.write_text(json.dumps({"sha256": digest(version)}))
    bring_up_to_date(str(second(root)), root)
    before = files(second(root))
    damaged = version / "variables/variables.data"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    with pytest.raises(NotCopied, match=f"{version} is damaged, so it is not copied"):
        bring_up_to_date(str(second(root)), root)
    assert files(second(root)) == before


def test_what_is_left_of_a_copy_that_never_ended_goes(root):
    version = pushed(root, "one")
    bring_up_to_date(str(second(root)), root)
    (second(root) / version.name / "saved_model.pb").unlink()
    newest = pushed(root, "two")
    bring_up_to_date(str(second(root)), root)
    assert versions(second(root)) == [int(newest.name)]
    assert not (second(root) / version.name).exists()


def test_a_rollback_withdraws_there_too(root):
    first, bad = pushed(root, "one"), None
    bring_up_to_date(str(second(root)), root)
    bad = pushed(root, "two")
    bring_up_to_date(str(second(root)), root)
    back = roll_back(root.serving)
    told = bring_up_to_date(str(second(root)), root)
    assert told == f"{second(root)}: version {bad.name} withdrawn, version {back.name} copied"
    assert versions(second(root)) == [int(first.name), int(back.name)]
    assert not (second(root) / bad.name).exists()
    assert files(second(root) / back.name) == files(back)
    assert (second(root) / "latest.json").read_bytes() == (root.serving / "latest.json").read_bytes()


def test_a_rollback_withdraws_there_though_there_is_no_room_for_the_copy(root, tmp_path):
    pushed(root, "one")
    with mounted(tmp_path / "small", f"size={BIG * 5}") as small:
        bring_up_to_date(str(small), root)
        (small / "filler").write_bytes(b"")
        bad = pushed(root, "two")
        with pytest.raises(NotCopied, match="there is no room left"):
            bring_up_to_date(str(small), root)
        assert not (small / bad.name / "saved_model.pb").exists()  # all other files first
        back = roll_back(root.serving)
        with pytest.raises(NotCopied):
            bring_up_to_date(str(small), root)
        assert bad.name not in {path.name for path in small.iterdir()}
        assert versions(small) == [min(versions(root.serving))]  # the good one
        shutil.rmtree(small / str(versions(small)[0]))
        bring_up_to_date(str(small), root)
        assert files(small / back.name) == files(back)


def test_another_model_of_a_number_that_is_withdrawn_here_stays(root):
    pushed(root, "one")
    bad = pushed(root, "two")
    other = second(root) / bad.name
    other.mkdir()
    (other / "saved_model.pb").write_text("of another root")
    roll_back(root.serving)
    bring_up_to_date(str(second(root)), root)
    assert (other / "saved_model.pb").read_text() == "of another root"


def test_a_later_version_of_somebody_else_is_not_hidden_behind(root):
    version = int(pushed(root, "one").name)
    other = second(root) / str(version + 1)
    other.mkdir()
    (other / "saved_model.pb").write_text("of another root")
    with pytest.raises(
        NotCopied, match=rf"holds version {version + 1}, later than {version} here: give each"
    ):
        bring_up_to_date(str(second(root)), root)
    assert versions(second(root)) == [version + 1]


def test_a_mount_that_is_not_there_is_no_folder_to_be_made(root, tmp_path):
    pushed(root, "one")
    with pytest.raises(NotCopied, match=r"there is no folder .*/gone: mount or create it"):
        bring_up_to_date(str(tmp_path / "gone"), root)
    assert not (tmp_path / "gone").exists()


def test_the_serving_folder_itself_is_refused(root):
    pushed(root, "one")
    with pytest.raises(NotCopied, match="is the serving folder of this root"):
        bring_up_to_date(str(root.serving / ".." / "unet"), root)


@pytest.mark.parametrize("status", ["pushed", "unchanged", "not_blessed"])
def test_a_run_whose_copy_fails_has_failed_and_the_next_one_tries_again(status, root, tmp_path):
    version = pushed(root, "one")
    console = Console(file=io.StringIO())
    with mounted(tmp_path / "small", "ro") as small:
        told = copy_after_run(str(small), root, status, "", console)
        assert told[0] == "failed"
        assert told[1].startswith(
            f"{status.replace('_', ' ')} here, but push_to = {small} cannot be brought up"
        )
        assert "Read-only file system" in told[1]
        assert told[1].endswith(": the next run tries again")
        assert newest_version(root.serving) == int(version.name)
    assert copy_after_run(str(second(root)), root, status, "why", console) == (status, "why")
    assert files(second(root)) == files(root.serving)
    assert console.file.getvalue() == f"{second(root)}: version {version.name} copied\n"  # type: ignore[attr-defined]


def test_the_command_rollback_copies_and_can_be_tried_again(tmp_path):
    target = tmp_path / "second"
    recorded = RecordedRuns(tmp_path / "root")
    recorded.add("1", config={"push_to": str(target)})
    recorded.close()
    root = recorded.root
    pushed(root, "one")
    pushed(root, "two")
    done = call("rollback", "--root", root.path)
    newest = newest_version(root.serving)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.endswith(f": the next run tries again, and so does `rollback {newest}`\n")
    target.mkdir()
    done = call("rollback", newest, "--root", root.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"{target}: version {newest} copied\n")
    assert newest_version(root.serving) == newest
    assert files(target / str(newest)) == files(root.serving / str(newest))


def test_somebody_elses_memory(root):
    fsspec = pytest.importorskip("fsspec", reason="there is no fsspec: make setup installs it")
    memory = fsspec.filesystem("memory")
    address = f"memory://{root.path.parent.name}/unet"
    first = pushed(root, "one")
    assert copy_now(address, root) == 0
    bad = pushed(root, "two")
    bring_up_to_date(address, root)
    place = f"/{root.path.parent.name}/unet"
    memory.pipe_file(f"{place}/{bad.name}/a", b"torn")
    bring_up_to_date(address, root)
    back = roll_back(root.serving)
    assert f"version {bad.name} withdrawn, version {back.name} copied" in bring_up_to_date(address, root)
    there = {name.removeprefix(f"{place}/"): memory.cat_file(name) for name in memory.find(place)}
    here = files(root.serving)
    assert there == {name: content for name, content in here.items() if not name.startswith(bad.name)}
    assert {name.partition("/")[0] for name in there} == {first.name, back.name, "latest.json"}
    assert bring_up_to_date(address, root) == ""


@pytest.mark.parametrize("address", ["webhdfs://127.0.0.1:1/unet", "http://127.0.0.1:1/unet"])
def test_an_address_that_does_not_answer(address, root):
    pytest.importorskip("fsspec", reason="there is no fsspec: make setup installs it")
    pushed(root, "one")
    with pytest.raises(NotCopied, match="cannot be brought up to date: "):
        bring_up_to_date(address, root)
