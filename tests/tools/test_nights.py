"""The nights are those of the seed; each requirement of a morning can fail; the client notes every answer."""

import contextlib
import itertools
import json
import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.torture import nights
from tools.torture.arrivals import BAD, Arrivals
from tools.torture.cases import NotHeld
from tools.torture.mornings import KILLED, UNCHANGED, Size, Splits, Told, Versions, bounded, size, tidy
from tools.torture.place import wait_until
from tools.torture.served import Client


def test_the_nights_are_those_of_the_seed_and_what_belongs_together_stays_so():
    drawn = nights.plan(random.Random(1), False)
    assert drawn == nights.plan(random.Random(1), False) != nights.plan(random.Random(2), False)
    assert len(drawn) == 30
    assert drawn[0] == nights.NEW
    assert drawn.count(nights.FULL) == 1
    for before, night in itertools.pairwise(drawn):
        assert (before in BAD) == (night == nights.MENDED)
        if night == nights.ROLLBACK:
            assert before == nights.NEW
        if night == nights.NOTHING:
            assert before not in (nights.WORSE_MODEL, nights.ROLLBACK)
    quick = nights.plan(random.Random(1), True)
    assert len(quick) < nights.SETTLED
    assert set(quick) < set(drawn)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_span_is_bad_in_one_way_and_mended_into_the_good_one(tmp_path, kind):
    def contents(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png")}

    good, bad = Arrivals(tmp_path / "good"), Arrivals(tmp_path / "bad")
    good.next()
    bad.next(kind)
    wanted, found = contents(tmp_path / "good"), contents(tmp_path / "bad")
    assert wanted.keys() == found.keys()
    differ = {name.split("/")[1] for name in wanted if wanted[name] != found[name]}
    assert differ == {"masks" if kind == "wrong masks" else "images"}
    bad.mend()
    assert contents(tmp_path / "bad") == wanted
    bad.next()
    assert contents(tmp_path / "bad" / "span-2").keys().isdisjoint(contents(tmp_path / "bad" / "span-1"))


def test_an_image_may_come_but_never_go_to_another_split(tmp_path):
    def write(**images: str) -> None:
        (tmp_path / "splits.json").write_text(json.dumps({"images": images, "groups": {}, "names": {}}))

    splits = Splits()
    write(a="train")
    splits.unmoved(tmp_path)
    write(a="train", b="test")
    splits.unmoved(tmp_path)
    write(a="test", b="test")
    with pytest.raises(NotHeld, match="a went from train to test"):
        splits.unmoved(tmp_path)


def test_a_model_is_pushed_once_and_may_be_copied_by_a_rollback(tmp_path):
    serving = tmp_path / "serving" / "unet"
    for number in (7, 8):
        (serving / str(number)).mkdir(parents=True)
        (serving / str(number) / "saved_model.pb").write_bytes(b"graph %d" % number)
    versions = Versions()
    assert versions.found(tmp_path) == [7, 8]
    assert versions.found(tmp_path) == []
    shutil.copytree(serving / "7", serving / "9")
    assert versions.found(tmp_path, copy=True) == [9]
    assert versions.newest == 9
    shutil.copytree(serving / "7", serving / "10")
    with pytest.raises(NotHeld, match=r"10 holds the model of \[7\]"):
        versions.found(tmp_path)


def row(name: str, status: str, again: int = 0) -> dict[str, Any]:
    return {"id": name, "status": status, "again": again}


def test_each_run_of_a_night_is_told_with_its_state():
    told, first = Told(), [row("1", "pushed")]
    told.nights(first, [0])
    told.nights([row("1", "pushed", 1)], [UNCHANGED])
    told.nights([row("1", "pushed", 2)], [UNCHANGED])
    told.nights([row("1", "pushed", 4)], [UNCHANGED, UNCHANGED])  # a signal came when it had ended
    rows = [*first, row("2", "killed"), row("3", "interrupted"), row("4", "not_blessed")]
    told.nights(rows, [KILLED, KILLED, 75, 3])  # one was killed before it wrote anything
    rows = [row("4", "not_blessed"), row("5", "pushed", 1)]  # killed at its very end; 1 to 3 were cleaned
    told.nights(rows, [KILLED, UNCHANGED])


@pytest.mark.parametrize(
    ("rows", "ends"),
    [
        ([row("1", "pushed")], [0]),
        ([row("1", "pushed"), row("2", "pushed")], [3]),
        ([row("1", "pushed"), row("2", "running"), row("3", "pushed")], [KILLED, 0]),
        ([row("1", "pushed"), row("2", "pushed")], [UNCHANGED]),
        ([row("1", "pushed")], [UNCHANGED]),
        ([row("1", "failed"), row("2", "pushed")], [0]),
        ([row("1", "pushed"), row("2", "pushed"), row("3", "pushed")], [0]),
    ],
    ids=["no row", "another state", "still running", "a run too many", "uncounted", "rewritten", "twice"],
)
def test_a_night_of_which_runs_tells_something_else_does_not_hold(rows, ends):
    told = Told()
    told.nights([row("1", "pushed")], [0])
    with pytest.raises(NotHeld, match="runs"):
        told.nights(rows, ends)


def test_a_root_that_grows_beyond_what_is_kept_does_not_hold():
    early = [Size(1, 10, 1000), Size(4, 40, 4000)]
    assert "40 outputs" in bounded([*early, Size(6, 60, 6000)], 2, 6)
    for larger in (Size(7, 60, 6000), Size(6, 61, 6000), Size(6, 60, 6001)):
        with pytest.raises(NotHeld, match="after night 3"):
            bounded([*early, larger, Size(4, 40, 4000)], 2, 6)


def test_what_a_killed_night_left_is_found_after_one_that_ended(tmp_path):
    whole = tmp_path / "artifacts" / "Trainer" / "model" / "5"
    whole.mkdir(parents=True)
    (whole / "weights").write_bytes(b"12345")
    (tmp_path / "runs" / "1").mkdir(parents=True)
    # The second is a transaction, and closes nothing.
    with contextlib.closing(sqlite3.connect(tmp_path / "metadata.sqlite")) as store, store:
        store.execute("CREATE TABLE Artifact (uri TEXT, state INTEGER)")
        store.execute("INSERT INTO Artifact VALUES (?, 2)", (str(whole),))
    tidy(tmp_path)
    assert size(tmp_path) == Size(1, 1, 5)
    for left in ("artifacts/Trainer/model/6", "serving/unet/.pushing-7", ".deleted"):
        (tmp_path / left).mkdir(parents=True)
        with pytest.raises(NotHeld, match=f"left over: {left}"):
            tidy(tmp_path)
        (tmp_path / left).rmdir()


@pytest.fixture
def answering() -> Iterator[tuple[dict[str, Any], str]]:
    """A server that answers what a test puts into a dictionary, and its address."""
    says: dict[str, Any] = {"version": "1", "mask": "YQ==", "status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"model_spec": {"version": says["version"]}})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"predictions": [{"b64": says["mask"]}]})

        def _answer(self, content: Any) -> None:
            self.send_response(says["status"])
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield says, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_client_notes_which_versions_answered_what_and_every_failure(answering):
    says, url = answering
    client = Client(url, b"image")
    client.start()
    try:
        client.expect(1)
        says["mask"] = "Yg=="
        assert wait_until(lambda: len(client.masks.get(1, ())) == 2, 30)
        says["version"] = "2"
        client.expect(2)
        answers, seen = client.take()
        assert answers > 1
        assert seen == [1, 2]
        assert client.take()[1] == [2]
        assert client.failures == []
        says["status"] = 500
        assert wait_until(lambda: client.failures, 30)
    finally:
        client.end()
