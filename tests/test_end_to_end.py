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
from pipeline import stages
from tests.command_line import call

CHECKOUT = Path(__file__).parent.parent
TINY = {
    "classes": "{ surroundings = 0, cell = 255 }",  # not in alphabetical order
    "base_filters": 4,
    "depth": 2,
    "patch_size": 76,
    "loss": "cross_entropy+dice",
    "border_weight": 5.0,
    "dropout": 0.2,
    "steps": 200,
    "validate_every": 50,
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
    # What was copied here is read anew once; the same again is known from the files alone.
    code = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from pipeline.cli import main; "
        "code = main(sys.argv[1:]); sys.exit(code or bool({'tensorflow', 'tfx'} & sys.modules.keys()))"
    )
    again = subprocess.run(
        [sys.executable, "-c", code, *done.args], cwd=place, text=True, capture_output=True
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"Unchanged since run {newest_run(place).name} of" in again.stdout


def test_a_second_folder_that_cannot_be_written_fails_the_run_and_the_next_one_copies(place):
    """Neither setting makes anything new, and Prometheus learns of both ends."""
    second, figures = place / "second", place / "unet.prom"
    words = ("run", "--data", str(place / "data"))
    done = command(place, *words, push_to=second, prometheus_file=figures)
    assert done.returncode == 1, done.stdout
    assert f"Failed: unchanged here, but push_to = {second} cannot be brought up to date: " in done.stdout
    assert last_summary(place)["status"] == "failed"
    assert all(c["cached"] for n, c in last_summary(place)["components"].items() if n == "Trainer")
    assert "unet_last_run_exit_code" in figures.read_text()
    assert 'status="failed"' in figures.read_text()
    second.mkdir()
    done = command(place, *words, push_to=second, prometheus_file=figures)
    assert done.returncode == 0, done.stdout
    [version] = versions(place)
    assert f"{second}: version {version.name} copied\n" in done.stdout
    names = sorted(path.relative_to(version) for path in version.rglob("*") if path.is_file())
    there = second / version.name
    assert sorted(path.relative_to(there) for path in there.rglob("*") if path.is_file()) == names
    assert all((there / name).read_bytes() == (version / name).read_bytes() for name in names)
    assert 'status="unchanged"' in figures.read_text()


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
    done = command(place, "run", "--data", str(place / "data"), "--force", "ExampleValidator")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = last_summary(place)
    assert not summary["components"]["ExampleValidator"]["cached"]
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
        place, "run", "--data", str(place / "dark"), on_drift="warn", max_drop=1, steps=2, refit="true",
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
    card = json.loads((versions(place)[-1] / "assets.extra/model_card.json").read_text())
    assert card["training"]["refit"]
    assert "the training learned from the eval images, too" in last_report(place, done)
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


def training_record(summary: dict) -> dict:
    return json.loads(Path(summary["model"], "assets.extra", "training.json").read_text())


def test_a_search_shapes_the_network_and_the_next_night_goes_on_from_it(place):
    settings: dict[str, Any] = {
        "tune": "always", "tune_search": "random", "tune_trials": 2, "tune_steps": 20, "max_drop": 1,
        "tune_over": '{ base_filters = [2, 3], loss = ["cross_entropy", "cross_entropy+dice"] }',
        "warm_start": "latest", "learning_rate": 2e-3, "steps": 20, "validate_every": 20,
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
    # With an id of its own it asks every component, though nothing is new.
    done = command(place, "run", "--run-id", "again", "--data", str(place / "data"), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    again = last_summary(place)
    assert again["status"] == "unchanged"
    assert again["components"]["Trainer"]["cached"]
    assert again["start"] == next_night["start"]


def heed_interrupts() -> None:
    """Shells start background jobs, maybe these tests, with SIGINT ignored; a child would ignore it, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(place: Path, *more: str, **settings: object) -> subprocess.Popen:
    """Starts a run in a process of its own."""
    values = {**TINY, **settings}
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


def wait_for_checkpoint(place: Path, step: int, process: subprocess.Popen) -> Path:
    """Waits for a checkpoint of this step of the training; returns the folder of checkpoints."""
    checkpoints = place / "root" / "checkpoints"
    while not list(checkpoints.glob(f"*/step-{step:09}.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return checkpoints


def last_network(root: Path) -> keras.Model:
    trained = root.glob("artifacts/Trainer/model_run/*/network.keras")
    return keras.models.load_model(max(trained, key=lambda path: path.stat().st_mtime), compile=False)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_model_is_trained_again_and_a_kill_meanwhile_changes_no_weight(place):
    before, first = versions(place), last_summary(place)
    weights = "variables/variables.data-00000-of-00001"
    flip(Path(first["model"], weights))
    explained = command(place, "run", "--data", str(place / "data"), "--explain", "--verify")
    assert explained.returncode == 0, explained.stdout + explained.stderr
    assert re.search(r"Trainer +runs +damaged: ", explained.stdout), explained.stdout
    process = start(place)
    wait_for(f"{Path(first['model'], weights)}: its content changed", process)
    second = command(place, "run", "--data", str(place / "data"))
    assert second.returncode == 75
    assert f"process {process.pid}" in second.stdout
    checkpoints = wait_for_checkpoint(place, 100, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    newest = max(checkpoints.glob("*/*.npz"))
    assert newest.name < "step-000000200.npz"
    newest.write_bytes(newest.read_bytes()[:1000])  # as torn as a file can be: the one before is taken
    assert versions(place) == before
    killed = json.loads(command(place, "runs", "--json").stdout)[-1]
    assert killed["status"] == "killed"
    assert killed["seconds"] > 0
    done = command(place, "run", "--data", str(place / "data"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "step 50/200" not in done.stdout
    assert "step 200/200" in done.stdout
    assert not checkpoints.exists()
    again = last_summary(place)
    assert again["model"] != first["model"]
    ran = {name for name, component in again["components"].items() if not component["cached"]}
    assert "Trainer" in ran
    assert "Transform" not in ran
    # The version in service was trained without an interruption.
    assert Path(again["model"], weights).read_bytes() == (before[-1] / weights).read_bytes()
    assert len(list((place / "root" / "set-aside").glob("*/*/*"))) == 1
    assert [run["id"] for run in json.loads(command(place, "runs", "--json").stdout)] == sorted(
        path.name for path in (place / "root" / "runs").iterdir()
    )


def part(place: Path, stage: str, run_id: str = "night+1", **settings: object) -> subprocess.CompletedProcess:
    return command(
        place, "run", "--only", stage, "--run-id", run_id, "--data", str(place / "data"), **settings
    )


def test_a_run_in_five_parts_goes_on_after_an_interruption(place):
    root, before = place / "root", versions(place)
    settings: dict[str, Any] = {"tune": "never", "learning_rate": 2e-3, "max_drop": 1}
    done = part(place, "transform", **settings)
    assert done.returncode == 2
    assert "transform needs what ingest makes: first" in done.stderr
    done = part(place, "ingest", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done: ingest" in done.stdout
    again = part(place, "ingest", **settings)
    assert (again.returncode, again.stdout.count("\n")) == (0, 1)
    assert "ingest is done; next: " in again.stdout
    assert command(place, "run", "--data", str(place / "data")).returncode == 75
    (place / "data").rename(place / "away")  # later parts do not read it again
    refused = part(place, "transform", **settings | {"steps": 7})
    assert refused.returncode == 2
    assert "steps is 7, but run night+1 began with 200" in refused.stderr
    done = part(place, "transform", **settings)
    assert done.returncode == 0, done.stdout + done.stderr

    process = start(place, "--only", "train", "--run-id", "night+1", **settings)
    wait_for_checkpoint(place, 50, process)
    assert command(place, "run", "--data", str(place / "away")).returncode == 75
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "Kept: " in output
    assert f"  go on     {Path(os.path.relpath(sys.executable, place))}" in output
    row = json.loads(command(place, "runs", "--json").stdout)[-1]
    assert (row["id"], row["status"]) == ("night+1", "interrupted")
    assert "--only train --run-id night+1" in row["next"]
    assert part(place, "evaluate", **settings).returncode == 2
    done = part(place, "train", **settings)
    assert "[ 1/1] Trainer" in done.stdout
    assert "step 50/200" not in done.stdout
    for stage, following in (("train", "evaluate"), ("evaluate", "push")):
        done = part(place, stage, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        row = json.loads(command(place, "runs", "--json").stdout)[-1]
        assert row["status"] == "waiting"
        assert f"--only {following} --run-id night+1" in row["next"]
        assert row["next"] in done.stdout
        assert versions(place) == before
    assert "Waiting for its next part" in last_report(place, done)

    [anomalies] = (root / "artifacts" / "ExampleValidator" / "anomalies").iterdir()
    shutil.rmtree(anomalies)  # what is lost between two parts is made again
    (place / "away").rename(place / "data")
    done = part(place, "push", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Gone: {anomalies}" in done.stdout
    found = last_summary(place)
    assert found["status"] == "pushed"
    assert not found["components"]["ExampleValidator"]["cached"]
    assert [*before, Path(found["pushed"])] == versions(place)
    assert newest_run(place).name == "night+1"
    assert not (root / ".lease").exists()
    assert "Pushed into service" in last_report(place, done)
    again = part(place, "push", **settings)
    assert (again.returncode, again.stdout) == (0, "Run night+1 is finished: pushed; nothing was done\n")
    assert len(versions(place)) == 2

    # The data were away for a while, so their times are new; after one more night nothing is.
    for stage in stages.NAMES:
        assert part(place, stage, "night+2", **settings).returncode == 0
    assert last_summary(place)["status"] == "unchanged"
    done = part(place, "ingest", "night+3", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unchanged since run night+2 of " in done.stdout
    done = part(place, "transform", "night+3", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Run night+3 is finished: unchanged (nothing is new since run night+2)" in done.stdout
    assert len(versions(place)) == 2


def test_a_part_pushes_nothing_that_the_gate_refused(place):
    before, thresholds = versions(place), "{ foreground_iou = 1.0 }"
    for stage in ("ingest", "transform", "train"):
        done = part(place, stage, thresholds=thresholds)
        assert done.returncode == 0, done.stdout + done.stderr
    for stage in ("evaluate", "push"):
        done = part(place, stage, thresholds=thresholds)
        assert done.returncode == 3, done.stdout + done.stderr
    assert "Run night+1 is finished: not blessed" in done.stdout
    assert last_summary(place)["status"] == "not_blessed"
    assert versions(place) == before
    assert not (place / "root" / ".lease").exists()


def test_a_run_that_is_stopped_while_beam_works_says_how_to_go_on(place):
    # After ExampleValidator comes Transform: Beam is at work, which has a way of its own with exceptions.
    process = start(place, tile_stride=320)  # tiles that no run has cut yet
    wait_for("ExampleValidator", process)
    time.sleep(4)
    process.send_signal(signal.SIGTERM)
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
