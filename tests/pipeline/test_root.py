"""TensorBoard finds each training under the id of its run."""

from pathlib import Path

from pipeline.root import Root, link


def test_a_link_for_each_training_that_survives_a_move(tmp_path: Path):
    root = Root(tmp_path / "root")
    written = root.artifacts / "Trainer" / "model_run" / "8"
    written.mkdir(parents=True)
    (written / "events.out.tfevents.1").write_text("x")
    for _ in range(2):  # the second time it is there already
        link(root, "20261125-004505", written)
    moved = Root(tmp_path / "moved")
    root.path.rename(moved.path)
    assert (moved.tensorboard / "20261125-004505" / "events.out.tfevents.1").read_text() == "x"


def test_where_links_are_not_possible_nothing_happens(tmp_path: Path):
    (tmp_path / "tensorboard").write_text("in the way")
    link(Root(tmp_path), "a", tmp_path)
    assert (tmp_path / "tensorboard").read_text() == "in the way"
