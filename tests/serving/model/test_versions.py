"""Versions come and go in the folder while the server answers."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.model.versions import Versions, content_of, find_versions
from tests.serving.conftest import encoded, noise
from tests.serving.limits import SLOW, gauge, head, raw
from tests.serving.running import PYTHON, Server, b64, running, wait_for
from unet.registry.versions import push, roll_back

pytestmark = pytest.mark.server

IMAGE = encoded(noise(40, 60))
PREDICT = "/v1/models/unet:predict"
Expected = Callable[[bytes, int], bytes]


@pytest.fixture(scope="module")
def folder(exported: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds no version yet, but all kinds of things that are none."""
    folder = tmp_path_factory.mktemp("models") / "unet"
    (folder / "98").mkdir(parents=True)
    (folder / "latest.json").write_text("{}")  # a record of the pipeline
    (folder / "97").write_text("a file")
    shutil.copytree(exported[1], folder / ".pushing-99")
    shutil.copytree(exported[1], folder / "007")
    shutil.copytree(exported[1], folder / ("9" * 19))  # beyond 64 bits
    return folder


@pytest.fixture(scope="module")
def started(folder: Path) -> Iterator[Server]:
    """A server that started when there was nothing to serve."""
    command = [str(PYTHON), "-m", "serving"]
    with running(command, folder, folder.parent / "log", ready=False) as server:
        wait_for(lambda: "holds no version; waiting" in server.log(), server)
        assert server.request("GET", "/health/ready")[0] == 503
        status, headers, answer = server.request("POST", PREDICT, json.dumps({"instances": [b64(IMAGE)]}))
        assert (status, headers["retry-after"]) == (503, "2")
        assert json.loads(answer) == {"error": "no version of the model is loaded yet"}
        assert server.get("/health/live") == {"live": True}
        yield server
        assert "Traceback" not in server.log()


@pytest.fixture
def first(started: Server, folder: Path, exported: dict[int, Path]) -> int:
    """Number of the only version, which holds the first model and is served."""
    versions = [
        path for path in folder.iterdir() if (path / "saved_model.pb").exists() and path.name[0] in "12"
    ]
    number = place(exported[1], folder)
    wait_for(serving(started, number), started)
    for path in versions:
        shutil.rmtree(path)
    wait_for(lambda: started.states() == {number: "AVAILABLE"}, started)
    return number


def place(model: Path, folder: Path, *warmup: bytes) -> int:
    """Puts a model into the folder at once, under a new number, which is returned."""
    names = (path.name for path in folder.iterdir())
    number = max([100, *(int(name) for name in names if re.fullmatch("[0-9]{1,18}", name))]) + 1
    hidden = shutil.copytree(model, folder / ".new")
    if warmup:
        write_warmup(hidden, *warmup)
    hidden.rename(folder / str(number))
    return number


def serving(server: Server, version: int) -> Callable[[], bool]:
    return lambda: server.states().get(version) == "AVAILABLE"


class Clients:
    """Eight clients that ask without a pause, and note which version answered, and when."""

    def __init__(self, server: Server, masks: dict[bytes, int]) -> None:
        self._server, self._masks = server, masks
        self.seen: list[list[tuple[int, float]]] = [[] for _ in range(8)]
        self.failed: list[BaseException] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=[answers]) for answers in self.seen]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        self.each_is_answered()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, answers: list[tuple[int, float]]) -> None:
        body = json.dumps({"instances": [b64(IMAGE)]})
        try:
            while not self._end.is_set():
                status, headers, answer = self._server.request("POST", PREDICT, body)
                if status == 503:
                    assert int(headers["retry-after"]) > 0
                    continue
                assert status == 200, answer
                mask = base64.b64decode(json.loads(answer)["predictions"][0]["b64"])
                answers.append((self._masks[mask], time.monotonic()))
        except BaseException as error:
            self.failed.append(error)

    def each_is_answered(self) -> None:
        """Waits until each client has two more answers, of which one was asked for by now."""
        counts = [len(answers) for answers in self.seen]
        more = lambda: all(len(a) > n + 1 for a, n in zip(self.seen, counts, strict=True))  # noqa: E731
        wait_for(lambda: self.failed or more(), self._server)

    def versions(self) -> list[list[int]]:
        """The versions that answered each client, in order."""
        return [[version for version, _ in answers] for answers in self.seen]


def test_a_push_and_a_rollback_while_eight_clients_send(
    started: Server, folder: Path, first: int, exported: dict[int, Path], expected: Expected
):
    masks = {expected(IMAGE, version): version for version in (1, 2)}
    with Clients(started, masks) as clients:
        pushed = int(push(exported[2], folder)[0].name)  # as the pipeline does it
        wait_for(lambda: clients.failed or serving(started, pushed)(), started)
        clients.each_is_answered()
    assert clients.failed == []
    # Each client saw the old one, then the new one, and never the old one again.
    assert all(seen == sorted(seen) and set(seen) == {1, 2} for seen in clients.versions())
    assert started.states() == {pushed: "AVAILABLE"}

    try:
        with Clients(started, masks) as clients:
            begun = time.monotonic()
            back = int(roll_back(folder).name)
            wait_for(lambda: clients.failed or serving(started, back)(), started)
            served = time.monotonic()
            clients.each_is_answered()
    finally:
        (folder / "latest.json").write_text("{}")  # other tests push the same model again
    assert clients.failed == []
    # As above, the other way round.
    assert all(seen == sorted(seen)[::-1] and set(seen) == {1, 2} for seen in clients.versions())
    last = max(when for answers in clients.seen for version, when in answers if version == 2)
    print(f"served {served - begun:.1f} s after the rollback; last answer of version 2: {last - begun:.1f} s")
    assert last - begun < 60
    assert started.states() == {back: "AVAILABLE"}


def test_a_broken_version_never_replaces_a_good_one(
    started: Server, folder: Path, first: int, exported: dict[int, Path], expected: Expected
):
    empty, cut = first + 1, first + 2
    (folder / str(empty)).mkdir()
    (folder / str(empty) / "saved_model.pb").write_bytes(b"broken")
    wait_for(lambda: started.states().get(empty) == "END", started)
    shutil.copytree(exported[2], folder / str(cut), ignore=shutil.ignore_patterns("variables.data*"))
    wait_for(lambda: started.states().get(cut) == "END", started)
    assert started.states() == {cut: "END", empty: "END", first: "AVAILABLE"}
    (state,) = started.get(f"/v1/models/unet/versions/{cut}")["model_version_status"]
    told = state["status"]["error_message"]
    assert told
    assert str(folder) in started.log()  # in full there, and for strangers without folders
    (state,) = started.get(f"/v1/models/unet/versions/{empty}")["model_version_status"]
    for text in (told, state["status"]["error_message"]):
        assert str(folder.parent) not in text
        assert not re.search(r"\bb'", text)
    assert started.mask(IMAGE) == expected(IMAGE, 1)
    assert started.get("/health/ready") == {"ready": True}

    # Mended, it is tried again; names of files need not be text.
    (folder / str(cut) / os.fsdecode(b"\xff")).touch()
    shutil.copytree(exported[2], folder / str(cut), dirs_exist_ok=True)
    wait_for(serving(started, cut), started)
    assert started.mask(IMAGE) == expected(IMAGE, 2)
    log = started.log()
    for number in (empty, cut):
        assert log.count(f"version {number} cannot be loaded") == 1  # told once, not at each look


def test_rollback(started: Server, folder: Path, first: int, exported: dict[int, Path], expected: Expected):
    second = place(exported[2], folder)
    wait_for(serving(started, second), started)
    assert started.mask(IMAGE) == expected(IMAGE, 2)

    shutil.rmtree(folder / str(second))
    wait_for(serving(started, first), started)
    assert started.mask(IMAGE) == expected(IMAGE, 1)

    shutil.rmtree(folder / str(first))
    wait_for(lambda: f"holds no version; version {first} is kept" in started.log(), started)
    assert started.mask(IMAGE) == expected(IMAGE, 1)


def test_the_version_before_comes_back_without_being_loaded(
    started: Server, folder: Path, first: int, exported: dict[int, Path], expected: Expected
):
    kept = 'serving_version_loads_total{result="kept"}'
    second = place(exported[2], folder)
    wait_for(serving(started, second), started)
    before = gauge(started, kept) if kept in started.get("/metrics") else 0
    again = place(folder / str(first), folder)  # as the rollback of the pipeline does it
    wait_for(serving(started, again), started)
    assert gauge(started, kept) == before + 1
    assert started.mask(IMAGE) == expected(IMAGE, 1)
    assert started.request("POST", f"/v1/models/unet/versions/{again}:predict", "{}")[0] == 400  # not 404


def test_neither_a_push_nor_a_rollback_waits_for_requests_on_the_old_version(
    started: Server, folder: Path, first: int, exported: dict[int, Path], expected: Expected
):
    body = SLOW.encode()
    with raw(started, head(len(body)) + body):
        wait_for(lambda: gauge(started, "serving_predictions_running") == 1, started)
        second = place(exported[2], folder)
        wait_for(serving(started, second), started)
        assert started.mask(IMAGE) == expected(IMAGE, 2)
        shutil.rmtree(folder / str(second))
        wait_for(serving(started, first), started)
        assert started.mask(IMAGE) == expected(IMAGE, 1)
        assert gauge(started, "serving_predictions_running") == 1  # still on the version of before
    wait_for(lambda: gauge(started, "serving_predictions_running") == 0, started)


def write_warmup(version: Path, *images: bytes) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = version / "assets.extra/tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image in images:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "another name"
            request.model_spec.version.value = 7
            request.model_spec.signature_name = "serving_default"
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image]))
            request.output_filter.append("mask_bytes")
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
        # Of another interface, which is not offered here.
        log = prediction_log_pb2.PredictionLog(classify_log=prediction_log_pb2.ClassifyLog())
        writer.write(log.SerializeToString())


def test_warmup_requests_are_replayed_before_a_version_is_served(
    started: Server, folder: Path, first: int, exported: dict[int, Path]
):
    # One that cannot even answer the requests that it brings along is broken: so they are replayed.
    bad = place(exported[2], folder, IMAGE, b"no image")
    wait_for(lambda: started.states().get(bad) == "END", started)
    (state,) = started.get(f"/v1/models/unet/versions/{bad}")["model_version_status"]
    assert "accepted are PNG" in state["status"]["error_message"]
    good = place(exported[2], folder, IMAGE, IMAGE)
    wait_for(serving(started, good), started)


class Model:
    """As much of a loaded version as is needed to serve it."""

    def __init__(self, version: int) -> None:
        self.version = version

    def compile_rest(self) -> None:
        """Does nothing."""


def written(version: Path, text: str = "model") -> Path:
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_text(text)
    return version


def test_a_link_to_nothing_takes_no_version_out_of_service(tmp_path: Path):
    (written(tmp_path / "7") / "nothing").symlink_to("/nowhere")
    (tmp_path / "7/itself").symlink_to("itself")
    (tmp_path / "7/around").symlink_to(".")
    found = find_versions(tmp_path)
    assert [*found] == [7]
    assert [name for name, _, _ in found[7]] == ["saved_model.pb"]
    assert content_of(tmp_path / "7") == content_of(written(tmp_path / "8"))


def test_what_lies_behind_a_link_belongs_to_a_version(tmp_path: Path):
    """Weights are stored elsewhere, as some stores of large files do it."""
    (tmp_path / "stored").mkdir()
    for number in (1, 2):
        (tmp_path / f"stored/{number}").mkdir()
        (tmp_path / f"stored/{number}/weights").write_text(f"weights {number}")
        (written(tmp_path / f"{number}") / "variables").symlink_to(tmp_path / f"stored/{number}")
    assert content_of(tmp_path / "1") != content_of(tmp_path / "2")
    before = find_versions(tmp_path)
    (tmp_path / "stored/2/weights").write_text("other weights")
    assert {n for n, files in find_versions(tmp_path).items() if files != before[n]} == {2}


def test_which_of_its_own_folders_a_version_links_to_makes_a_difference(tmp_path: Path):
    for number, linked in ((1, "a"), (2, "b")):
        version = written(tmp_path / f"{number}")
        for name in "ab":
            (version / name).mkdir()
            (version / name / "weights").write_text(f"weights {name}")
        (version / "variables").symlink_to(linked)
    assert content_of(tmp_path / "1") != content_of(tmp_path / "2")


def test_a_pipe_among_the_files_is_no_reason_to_wait(tmp_path: Path):
    os.mkfifo(written(tmp_path / "1") / "weights")
    with pytest.raises(ValueError, match="weights is no file"):
        content_of(tmp_path / "1")


@pytest.mark.parametrize("withdrawn", [True, False])
def test_a_version_that_changes_while_it_is_loaded_is_not_served(tmp_path: Path, withdrawn: bool):
    written(tmp_path / "1", "old")
    loads = []

    def load(folder: Path) -> Any:
        loads.append(int(folder.name))
        if loads == [1, 2]:
            if withdrawn:
                shutil.rmtree(folder)
            else:
                (folder / "saved_model.pb").write_text("replaced")
        return Model(loads[-1])

    versions = Versions(tmp_path, 1, load)
    versions._look()
    written(tmp_path / "2", "new")
    served = []
    for _ in range(4):
        versions._look()
        served.append(versions.version)
    # Replaced, it is loaded anew once it has stopped changing.
    assert served == [1, 1, 1, 1] if withdrawn else served == [1, 1, 1, 2]
    assert loads == ([1, 2] if withdrawn else [1, 2, 2])
