"""The command as it is typed, on a folder of versions."""

import time
from pathlib import Path

from tests.command_line import call


def rollback(*words: object) -> tuple[int, str, str]:
    done = call("rollback", *words)
    return done.returncode, done.stdout, done.stderr


def make_versions(root: Path, *numbers: int) -> Path:
    for number in numbers:
        folder = root / "serving" / "unet" / str(number)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(f"model {number}")
    return root / "serving" / "unet"


def test_the_version_before_the_newest_comes_back(tmp_path: Path) -> None:
    serving = make_versions(tmp_path, 5, 7)
    before = int(time.time())
    code, out, _ = rollback("--root", tmp_path)
    newest = max(int(path.name) for path in serving.glob("[0-9]*"))
    assert code == 0
    assert newest >= before
    assert str(serving / str(newest)) in out
    assert (serving / str(newest) / "saved_model.pb").read_text() == "model 5"


def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    code, _, err = rollback(6, "--root", tmp_path / "nowhere")
    assert (code, err) == (2, f"{tmp_path / 'nowhere'}: there is no such folder: give --root\n")
    serving = make_versions(tmp_path, 5, 7)
    code, _, err = rollback(6, "--root", tmp_path)
    assert (code, err) == (2, f"{serving}: no version 6; there are: 5, 7\n")
    assert {path.name for path in serving.iterdir()} == {"5", "7"}


def test_a_run_in_progress_is_waited_for(tmp_path: Path) -> None:
    from pipeline.process.lock import exclusive
    from pipeline.root import Root

    make_versions(tmp_path, 5, 7)
    with exclusive(Root(tmp_path).lock):
        code, _, err = rollback("--root", tmp_path)
    assert code == 75
    assert "wait for it" in err
