"""Weeks of continuous training, played in minutes: real images arrive in spans, good and bad ones.

A server runs all the while, and a client asks it without a pause. The nights are one story, told once.
"""

from __future__ import annotations

import functools
import json
import shutil
import threading
import time
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tests.command_line import call
from tests.serving.running import PYTHON, Server, running, wait_for

pytestmark = pytest.mark.server

NUCLEI = Path(__file__).parent.parent / "data" / "nuclei"
SETTINGS = {
    "classes": "{ background = 0, nucleus = 255 }", "base_filters": 4, "depth": 2, "patch_size": 108,
    "steps": 120, "validate_every": 60, "batch_size": 4, "tune": "never", "learning_rate": 4e-3,
    "loss": "cross_entropy+dice", "thresholds": "{ foreground_iou = 0.3 }", "max_drop": 0.1,
    "warm_start": "latest", "span_window": 2,
}  # fmt: skip
SPANS = 4


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image


class Story:
    """A folder of spans, a root, and what each night came to."""

    def __init__(self, folder: Path):
        self.folder, self.serving = folder, folder / "root" / "serving" / "unet"
        named = sorted(path.name for path in (NUCLEI / "images").iterdir())
        alike = [name for name in named if opened(NUCLEI / "images" / name).size == (256, 256)]
        self.names = {number: alike[number - 1 :: SPANS] for number in range(1, SPANS + 1)}
        self.nights: dict[str, tuple[CompletedProcess[str], dict[str, Any]]] = {}
        self.versions: dict[str, list[str]] = {}  # those that are there after each night

    def arrives(self, number: int) -> Path:
        """Puts the images of a span where they arrive, in the place of those that were there."""
        span = self.folder / f"span-{number}"
        shutil.rmtree(span, ignore_errors=True)
        for kind in ("images", "masks"):
            (span / kind).mkdir(parents=True)
            for name in self.names[number]:
                shutil.copy(NUCLEI / kind / name, span / kind)
        return span

    def night(self, name: str, **settings: object) -> None:
        """Runs the pipeline as a scheduler does."""
        sets = [w for key, value in {**SETTINGS, **settings}.items() for w in ("--set", f"{key}={value}")]
        words = ["run", "--data", self.folder / "span-{SPAN}", "--root", self.folder / "root", *sets]
        done = call(*words, cwd=self.folder)
        summary = max((self.folder / "root" / "runs").iterdir()) / "summary.json"
        self.nights[name] = done, json.loads(summary.read_text())
        self.versions[name] = sorted(path.name for path in self.serving.glob("[0-9]*"))


class Client(threading.Thread):
    """Asks for the same mask again and again, and notes what it was answered."""

    def __init__(self, server: Server, image: bytes):
        super().__init__(daemon=True)
        self.server, self.image, self.ended = server, image, threading.Event()
        self.masks: list[bytes] = []  # each as often as it came after another one
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.ended.wait(0.5):
            try:
                mask = self.server.mask(self.image)
            except Exception as error:  # whatever it is, the test shows it
                self.failures.append(repr(error))
                continue
            if self.masks[-1:] != [mask]:
                self.masks.append(mask)


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[Story, Client]:
    """All nights, and the client that asked meanwhile."""
    story = Story(tmp_path_factory.mktemp("continuous"))
    story.arrives(1)
    story.night("first")
    image = (NUCLEI / "images" / story.names[3][0]).read_bytes()
    with running([str(PYTHON), "-m", "serving"], story.serving, story.folder / "server.log") as server:
        client = Client(server, image)
        client.start()
        story.arrives(2)
        story.night("second")
        story.arrives(3)
        story.night("third")
        story.night("nothing new")

        span = story.arrives(4)
        for path in (span / "masks").iterdir():
            ImageOps.invert(opened(path)).save(path)
        story.night("wrong masks")
        span = story.arrives(4)
        for path in (span / "images").iterdir():
            Image.fromarray(np.asarray(opened(path)) // 2 + 100).save(path)
        story.night("other exposure")
        story.night("accepted, badly trained", on_drift="warn", learning_rate=1e-7, warm_start="none")
        story.arrives(4)
        story.night("mended")
        newest = story.versions["mended"][-1]
        wait_for(lambda: server.states().get(int(newest)) == "AVAILABLE", server)
        time.sleep(2)  # one answer of the newest version, at least
        client.ended.set()
        client.join()
    return story, client


def test_each_good_span_makes_a_better_model_that_starts_from_the_last_one(told):
    story, _ = told
    for name in ("first", "second", "third", "mended"):
        done, summary = story.nights[name]
        assert done.returncode == 0, done.stdout + done.stderr
        assert summary["status"] == "pushed"
    starts = [story.nights[name][1]["start"] for name in ("first", "second", "third", "mended")]
    assert starts[0].startswith("afresh")
    assert all(start.startswith("from the weights of the last blessed model") for start in starts[1:])
    assert len(set(starts)) == 4  # each from another one


def test_the_window_rolls(told):
    story, _ = told
    counts = [len(story.names[number]) for number in (1, 2, 3, 4)]
    for name, spans in (("first", counts[:1]), ("second", counts[:2]), ("third", counts[1:3])):
        assert f"{sum(spans)} usable images" in story.nights[name][0].stdout


def test_a_span_of_nothing_new_costs_nothing(told):
    done, _ = told[0].nights["nothing new"]
    assert done.returncode == 0
    assert "Unchanged since run" in done.stdout


@pytest.mark.parametrize(
    ("night", "statistic"), [("wrong masks", "fraction_nucleus"), ("other exposure", "mean")]
)
def test_a_bad_span_among_good_ones_is_stopped_before_anything_learns_from_it(told, night, statistic):
    done, summary = told[0].nights[night]
    assert done.returncode == 2, done.stdout + done.stderr
    assert (
        f"{statistic} of the 6 new images drifted from that of the last blessed model's images" in done.stdout
    )
    assert "Transform" not in summary["components"]


def test_a_worse_model_is_stopped_by_the_gate_and_the_report_tells_the_drift(told):
    story, _ = told
    done, summary = story.nights["accepted, badly trained"]
    assert done.returncode == 3, done.stdout + done.stderr
    report = story.folder / "root" / "runs" / summary["run_id"] / "report.html"
    assert "of the 6 new images drifted" in report.read_text(encoding="utf-8")


def test_nothing_is_pushed_twice_and_nothing_that_was_stopped(told):
    story, _ = told
    versions = story.versions["mended"]
    assert [story.nights[name][1]["pushed"] for name in ("first", "second", "third", "mended")] == [
        str(story.serving / version) for version in versions
    ]
    for name in ("nothing new", "wrong masks", "other exposure", "accepted, badly trained"):
        assert story.versions[name] == versions[:3], name


def test_the_server_answered_all_the_while_with_the_pushed_models_one_after_the_other(told):
    story, client = told

    @functools.cache
    def mask(version: str) -> bytes:
        model = tf.saved_model.load(str(story.serving / version))
        answer: bytes = model.signatures["serving_default"](image_bytes=tf.constant([client.image]))[
            "mask_bytes"
        ][0].numpy()
        return answer

    assert client.failures == []
    assert client.masks == [mask(version) for version in story.versions["mended"]]
