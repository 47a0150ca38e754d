"""`run --explain` says why each component would run, and leaves the root as it is."""

from data.synthetic import write_cells
from tests.command_line import call


def test_of_a_new_root_every_component_would_run_and_nothing_is_written(tmp_path):
    write_cells(tmp_path / "data", 3, (40, 40), seed=1)
    words = ("run", "--data", tmp_path / "data", "--root", tmp_path / "root", "--set", "classes={a=0,b=255}")
    done = call(*words, "--explain", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("ImageMaskExampleGen", "Transform", "Trainer", "Evaluator", "Pusher"):
        assert name in done.stdout
    assert not (tmp_path / "root" / "metadata.sqlite").exists()
    assert not (tmp_path / "root" / "runs").exists()


def test_a_store_that_is_damaged_is_one_sentence(tmp_path):
    write_cells(tmp_path / "data", 3, (40, 40), seed=1)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "metadata.sqlite").write_bytes(b"no database at all" * 100)
    words = ("run", "--data", tmp_path / "data", "--root", tmp_path / "root", "--set", "classes={a=0,b=255}")
    done = call(*words, "--explain", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert "metadata.sqlite" in done.stdout + done.stderr
