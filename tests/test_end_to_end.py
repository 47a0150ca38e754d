"""The whole pipeline on tiny synthetic cells, as a user runs it: by the command line.

The first run is made once, and each test begins with the root and the data as that run left them. Only what
is about a process, such as a signal, starts one: each loads TensorFlow and TFX anew.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from data.synthetic import write_cells
from tests.command_line import call

CHECKOUT = Path(__file__).parent.parent
TINY = {
    "classes": "{ surroundings = 0, cell = 255 }",  # not in alphabetical order
    "base_filters": 4,
    "depth": 2,
    "patch_size": 76,
    "loss": "cross_entropy+dice",
    "steps": 150,
    "validate_every": 75,
    "batch_size": 2,
    "tune_trials": 2,
    "tune_steps": 100,
    "thresholds": "{ pixel_error = 0.9 }",
}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The first run, and its folder: `data`, ten images of several sizes, and the `root`."""
    folder = tmp_path_factory.mktemp("end to end") / "place"
    write_cells(folder / "data", 8, (96, 96), seed=1)
    write_cells(folder / "more", 2, (150, 61), seed=2)
    for kind in ("images", "masks"):
        for path in (folder / "more" / kind).iterdir():
            path.rename(folder / "data" / kind / f"wide_{path.name}")
    done = command(folder, "run", "--data", str(folder / "data"))
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(folder, folder.parent / "kept", symlinks=True)
    return folder, done


@pytest.fixture
def place(first):
    """The folder as the first run left it, at the same path: the records of a root hold paths."""
    folder, _ = first
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "kept", folder, symlinks=True)
    return folder


def command(place: Path, *words: str, **settings: object) -> subprocess.CompletedProcess:
    """Runs the command line with the tiny settings."""
    values = {**TINY, **settings} if words[0] == "run" else {}
    sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return call(*words, "--root", place / "root", *sets, cwd=place)


def newest_run(place: Path) -> Path:
    return max((place / "root" / "runs").iterdir())


def last_summary(place: Path) -> dict:
    return json.loads(newest_run(place).joinpath("summary.json").read_text())


def last_report(place: Path, done: subprocess.CompletedProcess) -> str:
    """The report of the newest run, of which the run told."""
    page = newest_run(place) / "report.html"
    assert f"report    {page}" in done.stdout
    text = page.read_text(encoding="utf-8")
    assert "cannot be shown" not in text
    return text


def versions(place: Path) -> list[Path]:
    serving = place / "root" / "serving" / "unet"
    return sorted(serving.glob("[0-9]*"))  # latest.json lies beside them


def test_first_run_pushes_a_model(place, first):
    _, done = first
    summary = last_summary(place)
    assert summary["status"] == "pushed"
    assert not any(c["cached"] for c in summary["components"].values())
    assert 0 <= summary["metrics"]["foreground_iou"] <= 1
    assert summary["metrics"]["pixel_error"] < 0.5
    assert summary["metrics"]["example_count"] == 2
    assert [str(v) for v in versions(place)] == [summary["pushed"]]
    assert "Pushed" in done.stdout
    assert "foreground_iou" in done.stdout
    assert not done.stderr
    report = last_report(place, done)
    assert "Pushed into service" in report
    assert 'alt="Errors in ' in report  # a test image
    assert "as trained on" in report  # a sample of the training
    assert "the best of 2 (" in report  # the search
    assert "Not in this report" not in report
    [curves] = (place / "root" / "tensorboard").iterdir()
    assert curves.name == last_summary(place)["run_id"]
    assert len(list(curves.glob("events.*"))) == 1
    shown = command(place, "runs", "show", "--version", Path(summary["pushed"]).name).stdout
    assert f"Run {summary['run_id']}: pushed" in shown
    assert f"{summary['data_hash']}, read by this run" in shown
    assert 100 < summary["components"]["Trainer"]["peak_memory_mb"] <= summary["peak_memory_mb"]


def test_unchanged_run_computes_nothing_and_pushes_nothing(place):
    before = versions(place)
    done = command(place, "run", "--data", str(place / "data"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = last_summary(place)
    assert summary["status"] == "unchanged"
    assert versions(place) == before
    ran = {name for name, c in summary["components"].items() if not c["cached"]}
    assert ran == {"(loading)", "BlessedBaseline", "BlessedStatistics", "Pusher"}
    assert "same inputs as run" in last_report(place, done)
    first = min((place / "root" / "runs").iterdir()).name
    assert f"cached   same inputs as run {first}" in done.stdout


def test_what_would_run_is_explained_and_what_is_forced_runs_anew(place, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # no line is folded
    before = sorted((place / "root").rglob("*"))
    explained = command(place, "run", "--data", str(place / "data"), "--explain", tune_steps=99)
    assert explained.returncode == 0, explained.stdout + explained.stderr
    lines = [" ".join(line.split()) for line in explained.stdout.splitlines()]
    first = min((place / "root" / "runs").iterdir()).name
    assert f"Transform reused same inputs, settings and code as run {first}" in lines, explained.stdout
    assert "Tuner runs search.tune_steps 100 is now 99" in lines
    assert "Trainer runs reads hyperparameters of Tuner, which runs" in lines
    assert sorted((place / "root").rglob("*")) == before  # nothing was written
    done = command(place, "run", "--data", str(place / "data"), "--force", "Evaluator")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = last_summary(place)
    assert not summary["components"]["Evaluator"]["cached"]
    assert summary["components"]["Trainer"]["cached"]
    done = command(place, "run", "--data", str(place / "data"), "--from", "Nothing")
    assert done.returncode == 2
    assert "no component 'Nothing' in this pipeline; it has ImageMaskExampleGen, StatisticsGen" in done.stderr


def test_a_report_that_cannot_be_written_costs_nothing_else(place):
    before = set((place / "root" / "runs").iterdir())
    ended = threading.Event()

    def take_its_place() -> None:
        while not (new := set((place / "root" / "runs").iterdir()) - before):
            if ended.wait(0.02):
                return
        (new.pop() / "report.html").mkdir()  # no file can take its place

    other = threading.Thread(target=take_its_place)
    other.start()
    done = command(place, "run", "--data", str(place / "data"))  # as the run before: nothing is computed
    ended.set()
    other.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert last_summary(place)["status"] == "unchanged"
    assert "the report could not be written: " in done.stdout
    assert "Traceback" not in done.stdout


def test_swapped_masks_are_noticed(place):
    masks = sorted((place / "data" / "masks").glob("*.png"))[:2]
    contents = [mask.read_bytes() for mask in masks]
    times = [mask.stat().st_mtime_ns for mask in masks]
    for mask, content, when in zip(masks, reversed(contents), times, strict=True):
        mask.write_bytes(content)
        os.utime(mask, ns=(when, when))
    explained = command(place, "run", "--data", str(place / "data"), "--explain")
    assert explained.returncode == 0, explained.stdout + explained.stderr
    [first] = [line.split() for line in explained.stdout.splitlines() if "ImageMaskExampleGen" in line][:1]
    assert first[:2] == ["ImageMaskExampleGen", "runs"], explained.stdout


def test_a_moved_folder_is_not_new(place):
    (place / "data").rename(place / "moved")
    done = command(place, "run", "--data", str(place / "moved"))
    (place / "moved").rename(place / "data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert last_summary(place)["components"]["ImageMaskExampleGen"]["cached"]
    assert last_summary(place)["components"]["Trainer"]["cached"]


def test_images_that_drifted_stop_the_run_until_someone_accepts_them(place):
    shutil.copytree(place / "data", place / "dark")
    for path in (place / "dark" / "images").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 8).save(path)
    done = command(place, "run", "--data", str(place / "dark"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "mean drifted from that of the last blessed model's images" in done.stdout
    assert "--set on_drift=warn" in done.stdout
    assert "Transform" not in last_summary(place)["components"]
    report = last_report(place, done)
    assert "What happened" in report
    assert "train, last blessed" in report
    assert "Learning curves" in report.partition("Not in this report")[2]
    done = command(
        place, "run", "--data", str(place / "dark"), on_drift="warn", max_drop=1, steps=2,
        serving_data=place / "data" / "images",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summary = last_summary(place)
    warnings = summary["warnings"]
    assert any("mean differs between the images in service" in warning for warning in warnings)
    assert any("mean drifted" in warning for warning in warnings)
    assert f"Warning: {warnings[0]}" in done.stdout
    assert "that of the last pushed model" in summary["learning_rate"]  # tune = "first"
    assert "foreground_iou" in summary["baseline"]
    assert len(versions(place)) == 2
    two_runs_are_compared(place)


def two_runs_are_compared(place: Path) -> None:
    first, *_, last = sorted(path.name for path in (place / "root" / "runs").iterdir())
    done = command(place, "report", first, "latest")
    assert done.returncode == 0, done.stdout + done.stderr
    page = Path(done.stdout.strip())
    assert (page.parent.name, page.name) == (last, f"against-{first}.html")
    text = page.read_text(encoding="utf-8")
    assert "different data" in text
    assert "Got " in text
    assert "cannot be shown" not in text


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_was_damaged_is_named_and_made_again_and_what_is_pushed_is_whole(place):
    artifacts = place / "root" / "artifacts"
    summary = last_summary(place)
    weights = "variables/variables.data-00000-of-00001"
    flip(Path(summary["model"], weights))
    explained = command(place, "run", "--data", str(place / "data"), "--explain", "--verify")
    assert explained.returncode == 0, explained.stdout + explained.stderr
    assert re.search(r"Trainer +runs +damaged: ", explained.stdout), explained.stdout
    done = command(place, "run", "--data", str(place / "data"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{Path(summary['model'], weights)}: its content changed" in done.stdout
    again = last_summary(place)
    assert again["model"] != summary["model"]
    ran = {name for name, component in again["components"].items() if not component["cached"]}
    assert "Trainer" in ran
    assert "Transform" not in ran
    assert Path(again["model"], weights).read_bytes() == (versions(place)[-1] / weights).read_bytes()

    config = (
        max(artifacts.glob("Evaluator/evaluation/*"), key=lambda path: int(path.name)) / "eval_config.json"
    )
    flip(config)
    done = command(place, "run", "--data", str(place / "data"), "--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{config}: its content changed" in done.stdout
    ran = {name for name, component in last_summary(place)["components"].items() if not component["cached"]}
    assert "Evaluator" in ran
    assert "Trainer" not in ran
    assert len(list((place / "root" / "set-aside").glob("*/*/*"))) == 2
    assert [run["id"] for run in json.loads(command(place, "runs", "--json").stdout)] == sorted(
        path.name for path in (place / "root" / "runs").iterdir()
    )


def test_a_model_below_the_threshold_is_not_pushed(place):
    before = versions(place)
    done = command(place, "run", "--data", str(place / "data"), thresholds="{ foreground_iou = 1.0 }")
    assert done.returncode == 3, done.stdout + done.stderr
    assert last_summary(place)["status"] == "not_blessed"
    assert "the threshold is 1.0000" in done.stdout
    assert versions(place) == before


def training_record(summary: dict) -> dict:
    return json.loads(Path(summary["model"], "assets.extra", "training.json").read_text())


def test_a_search_shapes_the_network_and_the_next_night_goes_on_from_it(place):
    settings: dict[str, Any] = {
        "tune": "always", "tune_search": "random", "tune_trials": 2, "tune_steps": 20, "max_drop": 1,
        "tune_over": '{ base_filters = [2, 3], loss = ["cross_entropy", "cross_entropy+dice"] }',
        "warm_start": "true", "learning_rate": 2e-3, "steps": 20, "validate_every": 20,
    }  # fmt: skip
    done = command(place, "run", "--data", str(place / "data"), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = last_summary(place)
    assert "foreground_iou" in summary["baseline"]  # of a network of another size
    rows = json.loads(Path(summary["trials"]).read_text())
    assert [row["steps"] for row in rows] == [20, 20]
    assert {row["status"] for row in rows} == {"completed"}
    assert summary["trials"] in done.stdout
    record = training_record(summary)
    filters = record["tuned"].get("base_filters", 4)  # as configured, where no trial found any foreground
    assert last_network(place / "root").get_layer("conv1_1").filters == filters
    assert record["recipe"]["base_filters"] == [2, 3]
    if record["tuned"]:
        assert (
            f"base_filters {filters}, loss {record['tuned']['loss']}, the best of 2"
            in summary["learning_rate"]
        )
        assert summary["start"].startswith(
            "afresh: conv1_1/kernel of the last blessed model is 3 x 3 x 1 x 4"
        )
    # The next night takes what the pushed model was trained with, and its weights.
    settings |= {"tune": "first", "steps": 2}
    done = command(place, "run", "--data", str(place / "data"), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    next_night = last_summary(place)
    assert "that of the last pushed model" in next_night["learning_rate"]
    assert next_night["trials"] == ""
    assert training_record(next_night)["tuned"] == record["tuned"]
    assert next_night["start"].startswith("from the weights of the last blessed model (network.keras ")
    assert next_night["start"] in done.stdout
    assert training_record(next_night)["start"] == next_night["start"]
    assert (next_night["steps"], next_night["best_step"]) == (2, 2)
    done = command(place, "run", "--data", str(place / "data"), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    again = last_summary(place)
    assert again["status"] == "unchanged"
    assert again["components"]["Trainer"]["cached"]
    assert again["start"] == next_night["start"]


def heed_interrupts() -> None:
    """Shells start background jobs, maybe these tests, with SIGINT ignored; a child would ignore it, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(place: Path, *more: str, **settings: object) -> subprocess.Popen:
    """Starts a run that trains for a long time."""
    values = {**TINY, "steps": 100000, "tune": "never", **settings}
    sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    words = [sys.executable, CHECKOUT / "run_pipeline.py", "run"]
    words += [*more, "--data", place / "data", "--root", place / "root"]
    return subprocess.Popen(
        [*map(str, words), *sets], stdout=subprocess.PIPE, text=True, cwd=place, preexec_fn=heed_interrupts
    )


def wait_for(text: str, process: subprocess.Popen) -> None:
    """Reads the output up to a line that holds the text."""
    assert process.stdout
    assert any(text in line for line in process.stdout), process.communicate()


def kill_at_step_100(place: Path, process: subprocess.Popen) -> Path:
    """Kills a run in its training, after the checkpoint of this step; returns the folder of checkpoints."""
    checkpoints = place / "root" / "checkpoints"
    while not list(checkpoints.glob("*/step-000000100.npz")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return checkpoints


def last_network(root: Path) -> keras.Model:
    trained = root.glob("artifacts/Trainer/model_run/*/network.keras")
    return keras.models.load_model(max(trained, key=lambda path: path.stat().st_mtime), compile=False)


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(place):
    settings: dict[str, Any] = {
        "tune": "never", "learning_rate": 2e-3, "steps": 400, "validate_every": 50, "max_drop": 1,
        "border_weight": 5.0, "dropout": 0.2,
    }  # fmt: skip
    before = versions(place)
    process = start(place, **settings)
    wait_for("training", process)
    second = command(place, "run", "--data", str(place / "data"))
    assert second.returncode == 75
    assert f"process {process.pid}" in second.stdout
    checkpoints = kill_at_step_100(place, process)
    newest = max(checkpoints.glob("*/*.npz"))
    assert newest.name < "step-000000400.npz"
    newest.write_bytes(newest.read_bytes()[:1000])  # as torn as a file can be: the one before is taken
    assert versions(place) == before
    killed = json.loads(command(place, "runs", "--json").stdout)[-1]
    assert killed["status"] == "killed"
    assert killed["seconds"] > 0
    done = command(place, "run", "--data", str(place / "data"), **settings)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # whether it is good is not the question
    assert "step 400/400" in done.stdout
    assert not checkpoints.exists()
    components = last_summary(place)["components"]
    assert components["Transform"]["cached"], done.stdout
    assert not components["Trainer"]["cached"]
    resumed = last_network(place / "root").get_weights()
    done = command(place, "run", "--data", str(place / "data"), "--force", "Trainer", **settings)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert not last_summary(place)["components"]["Trainer"]["cached"]
    for a, b in zip(resumed, last_network(place / "root").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def part(place: Path, stage: str, **settings: object) -> subprocess.CompletedProcess:
    return command(
        place, "run", "--only", stage, "--run-id", "night+1", "--data", str(place / "data"), **settings
    )


def test_a_run_in_five_parts_is_the_run_in_one_process(place):
    whole, root = last_summary(place), place / "root"
    shutil.rmtree(root)
    done = part(place, "transform")
    assert done.returncode == 2
    assert "transform needs what ingest makes: first" in done.stderr
    assert not root.exists()
    done = part(place, "ingest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done: ingest" in done.stdout
    again = part(place, "ingest")
    assert (again.returncode, again.stdout.count("\n")) == (0, 1)
    assert "ingest is done; next: " in again.stdout
    assert command(place, "run", "--data", str(place / "data")).returncode == 75
    (place / "data").rename(place / "away")  # later parts do not read it again
    refused = part(place, "transform", steps=7)
    assert refused.returncode == 2
    assert "steps is 7, but run night+1 began with 150" in refused.stderr
    for stage, following in (("transform", "train"), ("train", "evaluate"), ("evaluate", "push")):
        done = part(place, stage)
        assert done.returncode == 0, done.stdout + done.stderr
        [row] = json.loads(command(place, "runs", "--json").stdout)
        assert row["status"] == "waiting"
        assert f"--only {following} --run-id night+1" in row["next"]
        assert row["next"] in done.stdout
        assert versions(place) == []
    assert "Waiting for its next part" in last_report(place, done)
    assert not any(component["cached"] for component in last_summary(place)["components"].values())
    (place / "away").rename(place / "data")
    [evaluation] = (root / "artifacts" / "Evaluator" / "evaluation").iterdir()
    shutil.rmtree(evaluation)  # what is lost between two parts is made again
    done = part(place, "push")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Gone: {evaluation}" in done.stdout
    found = last_summary(place)
    assert found["status"] == "pushed"
    assert found["components"].keys() == whole["components"].keys()
    assert {name for name, c in found["components"].items() if name != "(loading)" and not c["cached"]} == {
        "BlessedStatistics", "BlessedBaseline", "Evaluator", "Pusher"
    }  # fmt: skip
    for name in ("data_hash", "images", "metrics", "learning_rate", "steps", "best_step", "verdict"):
        assert found[name] == whole[name], name
    assert [str(version) for version in versions(place)] == [found["pushed"]]
    assert [path.name for path in (root / "runs").iterdir()] == ["night+1"]
    assert not (root / ".lease").exists()
    assert "Pushed into service" in last_report(place, done)
    again = part(place, "push")
    assert (again.returncode, again.stdout) == (0, "Run night+1 is finished: pushed; nothing was done\n")
    assert len(versions(place)) == 1


def test_a_part_that_was_killed_goes_on_and_nothing_is_pushed_that_the_gate_refused(place):
    settings = {"tune": "never", "learning_rate": 2e-3, "steps": 400, "validate_every": 50}
    settings["thresholds"] = "{ foreground_iou = 1.0 }"
    before = versions(place)
    for stage in ("ingest", "transform"):
        done = part(place, stage, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
    process = start(place, "--only", "train", "--run-id", "night+1", **settings)
    checkpoints = kill_at_step_100(place, process)
    assert command(place, "run", "--data", str(place / "data")).returncode == 75
    row = json.loads(command(place, "runs", "--json").stdout)[-1]
    assert (row["id"], row["status"]) == ("night+1", "killed")
    assert "--only train --run-id night+1" in row["next"]
    assert part(place, "evaluate", **settings).returncode == 2
    done = part(place, "train", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[ 1/1] Trainer" in done.stdout
    assert "step 50/400" not in done.stdout
    assert not checkpoints.exists()
    for stage in ("evaluate", "push"):
        done = part(place, stage, **settings)
        assert done.returncode == 3, done.stdout + done.stderr
    assert "Run night+1 is finished: not blessed" in done.stdout
    assert versions(place) == before
    assert not (place / "root" / ".lease").exists()


# After ExampleValidator comes Transform: Beam is at work, which has a way of its own with exceptions.
@pytest.mark.parametrize(
    ("number", "after", "seconds"), [(signal.SIGINT, "training", 0), (signal.SIGTERM, "ExampleValidator", 4)]
)
def test_a_run_that_is_stopped_says_how_to_go_on(place, number, after, seconds):
    # Where Beam shall be at work, it needs tiles that no run has cut yet.
    process = start(place, **({"tile_stride": 320} if seconds else {}))
    wait_for(after, process)
    time.sleep(seconds)
    process.send_signal(number)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 75
    assert "Kept: " in output
    assert f"  go on     {Path(os.path.relpath(sys.executable, place))}" in output
    assert last_summary(place)["status"] == "interrupted"


CLEAN = """
import sys
import tensorflow as tf
model, image, out = sys.argv[1:]
serve = tf.saved_model.load(model).signatures["serving_default"]
data = open(image, "rb").read()
open(out, "wb").write(serve(image_bytes=tf.constant([data]))["mask_bytes"][0].numpy())
assert not [name for name in sys.modules if name.split(".")[0] in ("components", "pipeline", "unet")]
"""


def test_predict_and_a_clean_process_give_the_same_bytes(place, tmp_path):
    out = tmp_path / "masks"
    done = command(place, "predict", str(place / "data" / "images"), "--out", str(out), "--probabilities")
    assert done.returncode == 0, done.stdout + done.stderr
    images = sorted((place / "data" / "images").iterdir())
    assert len(list(out.glob("[!.]*"))) == 3 * len(images)
    image = images[-1]
    clean = tmp_path / "clean.png"
    model = str(versions(place)[-1])
    subprocess.run(
        [sys.executable, "-I", "-c", CLEAN, model, str(image), str(clean)], check=True, cwd=tmp_path
    )
    assert clean.read_bytes() == (out / f"{image.stem}.png").read_bytes()
    mask = np.asarray(Image.open(clean))
    assert mask.shape == np.asarray(Image.open(image)).shape[:2]
    assert set(np.unique(mask)) <= {0, 255}
    cell = np.asarray(Image.open(out / f"{image.stem}.cell.png"))
    assert cell.max() > 255
    assert ((cell > 32768) == (mask == 255)).mean() > 0.999


def test_predicted_masks_score_what_the_evaluator_said(place, tmp_path):
    summaries = [json.loads(path.read_text()) for path in (place / "root" / "runs").glob("*/summary.json")]
    summary = max((s for s in summaries if s["pushed"]), key=lambda s: s["pushed"])
    splits = json.loads((place / "root" / "splits.json").read_text())["names"]
    names = [name for name, split in splits.items() if split == "test"]
    images = [str(place / "data" / "images" / f"{name}.png") for name in names]
    command(place, "predict", *images, "--out", str(tmp_path))
    both = either = 0
    for name in names:
        ground_truth, mask = (np.asarray(Image.open(folder / f"{name}.png")) == 255
                       for folder in (place / "data" / "masks", tmp_path))  # fmt: skip
        both += (ground_truth & mask).sum()
        either += (ground_truth | mask).sum()
    assert both / either == pytest.approx(summary["metrics"]["iou_cell"])


def test_evaluate_says_to_the_last_digit_what_the_evaluator_said(place, tmp_path):
    summary = last_summary(place)
    splits = json.loads((place / "root" / "splits.json").read_text())["names"]
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for name in (name for name, split in splits.items() if split == "test"):
            shutil.copy(place / "data" / kind / f"{name}.png", tmp_path / "data" / kind)
    words = ["evaluate", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    done = command(place, *words, "--threshold", "iou_cell=1", "--threshold", "pixel_error=1")
    assert done.returncode == 3, done.stdout + done.stderr
    [said] = (place / "root" / "artifacts" / "Evaluator" / "evaluation").iterdir()
    verdict, images = (json.loads((said / f"{name}.json").read_text()) for name in ("verdict", "images"))
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["model"] == summary["pushed"]
    assert found["metrics"] == {
        name: {key: metric[key] for key in ("value", "low", "high")}
        for name, metric in verdict["metrics"].items()
    }
    assert found["per_image"] == images
    assert (found["confusion"], found["slices"]) == (verdict["confusion"], verdict["slices"])
    done = command(place, *words, "--model", summary["run_id"], "--threshold", "pixel_error=1")
    assert done.returncode == 0, done.stdout + done.stderr
    again = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (again["model"], again["per_image"]) == (summary["model"], images)


def test_predict_never_overwrites_an_image(place):
    images = place / "data" / "images"
    before = {path: path.read_bytes() for path in images.iterdir()}
    done = command(place, "predict", str(images), "--out", str(images))
    assert done.returncode == 2
    assert "would be written over that image" in done.stderr
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_predict_reports_a_bad_file_and_goes_on(place, tmp_path):
    good = next((place / "data" / "images").iterdir())
    (tmp_path / "bad.png").write_bytes(b"not an image")
    done = command(place, "predict", str(tmp_path / "bad.png"), str(good), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "bad.png" in done.stderr
    assert [p.name for p in (tmp_path / "out").glob("[!.]*")] == [f"{good.stem}.png"]


def test_bad_input_stops_before_anything_starts(place, tmp_path):
    write_cells(tmp_path / "data", 4, (64, 64))
    next((tmp_path / "data" / "masks").iterdir()).unlink()
    sorted((tmp_path / "data" / "images").iterdir())[-1].write_bytes(b"")
    done = subprocess.run(
        [
            sys.executable,
            CHECKOUT / "run_pipeline.py",
            "--data",
            tmp_path / "data",
            "--root",
            tmp_path / "root",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert not (tmp_path / "root" / "runs").exists()
