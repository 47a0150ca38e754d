"""What promote refuses, in one sentence; promotions themselves are in tests/test_gate_end_to_end.py."""

from pathlib import Path

import pytest

from pipeline.history.manifest import MANIFEST, write_manifest
from pipeline.process.lock import exclusive
from pipeline.root import Root
from tests.command_line import call
from tests.pipeline.recorded_runs import COMPLETE, RecordedRuns


def promote(*words: object, reason: str = "why not") -> tuple[int, str, str]:
    done = call("promote", *words, "--reason", reason)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def root(tmp_path):
    """Runs without a model, without its files, and without a word of the InfraValidator."""
    recorded = RecordedRuns(tmp_path / "root")
    recorded.add("1", states={"ImageMaskExampleGen": COMPLETE}, status="failed")
    recorded.add("2", status="not_blessed", iou=0.1)
    recorded.add("3", status="not_blessed", iou=0.1)
    recorded.close()
    newest = max((tmp_path / "root" / "artifacts" / "Trainer" / "model").iterdir(), key=lambda p: int(p.name))
    (newest / "Format-Serving").mkdir()
    (newest / "Format-Serving" / "saved_model.pb").touch()
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("run_id", "reason", "sentence"),
    [
        ("3", " \n", "--reason is empty: say why"),
        ("9", "x", "no run 9; the newest are: 1, 2, 3"),
        ("1", "x", "run 1 has no model: it ended before one was trained (failed)"),
        ("2", "x", "the files of the model of run 2 are gone from"),
        ("3", "x", "the model of run 3 did not pass the InfraValidator"),
        ("latest", "x", "the model of run 3 did not pass the InfraValidator"),
    ],
)
def test_what_cannot_be_promoted_is_one_line(root, run_id, reason, sentence):
    code, out, err = promote(run_id, "--root", root, reason=reason)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert sentence in err
    assert not (root / "serving").exists()


def test_a_damaged_model_is_not_promoted(recorded):
    recorded.add("1", status="not_blessed", iou=0.1)
    [model] = recorded.store.get_artifacts_by_type("Model")
    graph = Path(model.uri, "Format-Serving", "saved_model.pb")
    graph.parent.mkdir()
    graph.write_bytes(b"graph")
    model.custom_properties[MANIFEST].string_value = write_manifest(Path(model.uri))
    recorded.store.put_artifacts([model])
    root = recorded.root.path
    recorded.close()
    assert "did not pass the InfraValidator" in promote("1", "--root", root)[2]  # it is whole
    graph.write_bytes(b"grapi")
    code, out, err = promote("1", "--root", root)
    assert (code, out, err) == (2, "", f"{graph}: its content changed: run again, then it is made anew\n")


def test_a_root_that_is_not_there_is_told(tmp_path):
    code, _, err = promote("1", "--root", tmp_path / "no")
    assert (code, err) == (2, f"{tmp_path / 'no'}: there is no such folder: give --root\n")


def test_a_run_in_progress_is_waited_for(root):
    with exclusive(Root(root).lock):
        code, _, err = promote("3", "--root", root)
    assert code == 75
    assert "another run" in err
