"""What the models that are or may be in service need stays; all else goes."""

from __future__ import annotations

from pipeline.history.promotion import last_blessed
from pipeline.history.runs import load
from pipeline.retention.needs import find_needs
from pipeline.retention.settings import Retention
from tests.pipeline.recorded_runs import COMPLETE, FAILED, RecordedRuns
from tests.pipeline.retention.nights import (
    assert_whole,
    clean,
    ids,
    night,
    roll_back,
    run_id,
    size,
    unchanged_night,
    version_of,
)
from unet.registry.versions import newest_version, versions


def test_fifteen_nights_take_no_more_room_than_seven(recorded: RecordedRuns) -> None:
    sizes = []
    for number in range(15):
        night(recorded, number)
        clean(recorded.root)
        assert_whole(recorded.root)
        sizes.append(size(recorded.root))
    assert max(sizes[7:]) < 1.05 * max(sizes[:7])
    assert ids(recorded.root) == [run_id(number) for number in (12, 13, 14)]
    assert versions(recorded.root.serving) == [113, 114]


def test_nights_that_push_nothing_keep_the_model_in_service_and_the_one_before(
    recorded: RecordedRuns,
) -> None:
    for number in range(10):
        night(recorded, number, pushes=number in (1, 2))
        clean(recorded.root)
    assert_whole(recorded.root)
    assert versions(recorded.root.serving) == [101, 102]
    assert ids(recorded.root) == [run_id(number) for number in (1, 2, 7, 8, 9)]
    model = load(recorded.root.path, run_id(2)).artifact("Trainer", "model")
    assert model is not None
    assert last_blessed(recorded.root) == model.id


def test_what_the_cache_reuses_night_after_night_stays(recorded: RecordedRuns) -> None:
    night(recorded, 0)
    for number in range(1, 10):
        unchanged_night(recorded, number)
        clean(recorded.root)
        assert_whole(recorded.root)
    run = load(recorded.root.path, run_id(9))
    assert [node.same_as for node in run.nodes if node.state == "cached"] == [run_id(0)] * 3


def test_finished_components_of_failing_nights_stay(recorded: RecordedRuns) -> None:
    night(recorded, 0)
    for number in range(1, 9):
        states = {"ImageMaskExampleGen": COMPLETE, "Trainer": FAILED}
        name = night(recorded, number, pushes=False, states=states, status="failed")
    clean(recorded.root, keep_runs=1)
    examples = load(recorded.root.path, name).artifact("ImageMaskExampleGen", "examples")
    assert examples is not None
    assert examples.path.is_dir()
    assert ids(recorded.root) == [run_id(0), run_id(8)]  # the model in service, and the newest


def test_a_version_that_a_rollback_brought_back_keeps_its_run(recorded: RecordedRuns) -> None:
    for number in range(3):
        night(recorded, number)
    roll_back(recorded.root, version_of(0))
    for number in range(3, 9):
        night(recorded, number, pushes=False)
        clean(recorded.root)
    assert_whole(recorded.root)
    copy = newest_version(recorded.root.serving)
    assert copy is not None
    assert copy > version_of(9)
    assert run_id(0) in ids(recorded.root)
    model = load(recorded.root.path, run_id(0)).artifact("Trainer", "model")
    assert model is not None
    assert last_blessed(recorded.root) == model.id


def test_withdrawn_models_do_not_count_among_the_good_ones(recorded: RecordedRuns) -> None:
    for number in range(5):
        night(recorded, number)
    roll_back(recorded.root, version_of(1))
    clean(recorded.root, keep_runs=1)
    assert_whole(recorded.root)
    there = versions(recorded.root.serving)
    assert there[:2] == [100, 101]  # withdrawn: 102, 103 and 104
    roll_back(recorded.root)
    assert (recorded.root.serving / str(newest_version(recorded.root.serving)) / "saved_model.pb").read_text(
    ).startswith("model 0 ")  # fmt: skip


def test_a_damaged_version_does_not_count_among_the_good_ones(recorded: RecordedRuns) -> None:
    for number in range(4):
        night(recorded, number)
    (recorded.root.serving / f"{version_of(2)}/saved_model.pb").write_text("damaged")
    clean(recorded.root, keep_runs=1)
    assert versions(recorded.root.serving) == [101, 102, 103]


def test_a_promoted_model_keeps_its_run(recorded: RecordedRuns) -> None:
    name = night(recorded, 0, pushes=False)
    recorded.promote(name, version_of(0), "better on the new microscope")
    for number in range(1, 9):
        night(recorded, number, pushes=False)
        clean(recorded.root, keep_runs=2)
    assert_whole(recorded.root)
    model = load(recorded.root.path, name).artifact("Trainer", "model")
    assert model is not None
    assert last_blessed(recorded.root) == model.id


def test_the_last_models_of_other_classes_stay_for_a_comparison(recorded: RecordedRuns) -> None:
    for number in range(3):
        night(recorded, number, classes="nuclei")
    for number in range(3, 9):
        night(recorded, number)
    clean(recorded.root)
    assert ids(recorded.root) == [run_id(number) for number in (1, 2, 6, 7, 8)]
    assert_whole(recorded.root)


def test_versions_of_another_root_stay(recorded: RecordedRuns) -> None:
    for number in range(6):
        night(recorded, number)
    foreign = recorded.root.serving / "777"
    foreign.mkdir()
    (foreign / "saved_model.pb").write_text("of another root")
    needs = find_needs(recorded.root, recorded.store, Retention(keep_runs=3, keep_versions=2))
    assert "no run of this root" in needs.versions[777]
    assert sorted(needs.versions) == [104, 105, 777]
