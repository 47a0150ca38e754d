"""What the torture draws depends on the seed alone; its requirements can fail; its table is Markdown."""

import contextlib
import gzip
import importlib.metadata
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.settings import PipelineConfig
from tools.torture import __main__ as torture
from tools.torture import changed_data, configurations, crowd, damage, edits, full_disk, kills, limits, nights
from tools.torture.cases import NotHeld, Row, generator, instants, table
from tools.torture.kept_promises import finished, in_service, require, spoke
from tools.torture.place import CHECKOUT, Done, Place, Started, TooLate, until_at_work


def test_instants_are_those_of_the_seed_and_spread_over_the_component():
    drawn = instants(generator(1, "kills", "Trainer"), 10.0, 5)
    assert drawn == instants(generator(1, "kills", "Trainer"), 10.0, 5)
    assert drawn != instants(generator(2, "kills", "Trainer"), 10.0, 5)
    assert drawn != instants(generator(1, "kills", "Tuner"), 10.0, 5)
    assert [int(instant // 2) for instant in drawn] == [0, 1, 2, 3, 4]


def test_a_row_of_the_table_says_what_was_found_and_how_often_it_held():
    row = Row("cut | flipped")
    row.add("made again", True)
    row.add("made again", True)
    row.add("**a traceback:\nKeyError**", False)
    skipped = Row("filled", ["mount is not permitted here"])
    assert table([("damage", "latest.json", row), ("full disk", "small", skipped)]).splitlines() == [
        "| case | what was done | what was found | held |",
        "|---|---|---|---|",
        "| damage: latest.json | cut \\| flipped | made again; **a traceback: KeyError** | 2 of 3 |",
        "| full disk: small | filled | mount is not permitted here | skipped |",
    ]


@pytest.mark.parametrize("kind", damage.KINDS)
def test_damage_is_that_of_the_seed_and_never_nothing(tmp_path, kind):
    content = np.random.default_rng(0).bytes(300)
    left = []
    for name in ("one", "other"):
        path = tmp_path / name
        path.write_bytes(content)
        assert damage.KINDS[kind](path, random.Random(3)) == kind
        left.append(path.read_bytes() if path.exists() else b"")
    assert left[0] == left[1] != content
    if kind == "one bit flipped":
        assert sum((a ^ b).bit_count() for a, b in zip(left[0], content, strict=True)) == 1


def test_each_chapter_has_cases_and_fewer_when_quick():
    outputs = ["Trainer/model", "Transform/transformed_examples", "SchemaGen/schema"]
    for chapter in (edits, crowd, changed_data, full_disk, limits, configurations, kills, nights):
        assert 1 <= len(list(chapter.cases(True))) <= len(list(chapter.cases(False)))
    assert len(list(damage.cases(True, outputs))) < len(list(damage.cases(False, outputs)))
    assert len(list(damage.cases(False, outputs))) < len(list(damage.cases(False, outputs, every_file=True)))


@pytest.mark.parametrize(
    ("done", "found"),
    [
        (Done(None, "", ""), "did not end"),
        (Done(1, "", "Traceback (most recent call last)\nKeyError"), "a traceback"),
        (Done(0, "done", ""), "exit code 0: done"),
    ],
    ids=["hangs", "traceback", "another code"],
)
def test_an_end_that_is_not_as_documented_does_not_hold(done, found):
    spoke(Done(1, "", "no room"), 1, 2)
    with pytest.raises(NotHeld, match=found):
        spoke(done, 1, 2)


def test_what_is_in_service_must_have_the_bytes_of_an_artifact(tmp_path):
    served = tmp_path / "serving" / "unet" / "7"
    made = tmp_path / "artifacts" / "Trainer" / "model" / "9" / "Format-Serving"
    for folder in (served, made):
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"graph")
    with pytest.raises(NotHeld, match=r"latest\.json"):
        in_service(tmp_path)
    (served.parent / "latest.json").write_text('{"version": 7}')
    before = in_service(tmp_path)
    (served / "saved_model.pb").write_bytes(b"grapf")
    with pytest.raises(NotHeld, match="not the model of any artifact"):
        in_service(tmp_path, also={before})


def test_what_finished_twice_is_counted_but_for_what_always_runs(tmp_path):
    # The second is a transaction, and closes nothing.
    with contextlib.closing(sqlite3.connect(tmp_path / "metadata.sqlite")) as store, store:
        store.execute("CREATE TABLE Type (id INTEGER, name TEXT)")
        store.execute("CREATE TABLE Execution (type_id INTEGER, last_known_state INTEGER)")
        store.executemany(
            "INSERT INTO Type VALUES (?, ?)", [(1, "components.trainer.Trainer"), (2, "a.Pusher")]
        )
        store.executemany(
            "INSERT INTO Execution VALUES (?, ?)", [(1, 3), (1, 3), (1, 2), (1, 5), (2, 3), (2, 3)]
        )
    assert finished(tmp_path) == {"Trainer": 2}


def test_edits_change_the_code_that_they_name():
    source = "def area(side):\n    found = side * side\n    return found\n"
    assert edits.rename_local(source) == source.replace("found", "found_renamed")
    unrelated = (CHECKOUT / edits.UNRELATED).read_text("utf-8")
    compile(edits.rename_local(unrelated), "polygons", "exec")
    text = " Trainer  runs  code changed\n Tuner  reused  same inputs\n   reused words that go on\n"
    assert edits.explained(text, ["Trainer", "Tuner"]) == {"Trainer": "runs", "Tuner": "reused"}


def test_a_library_of_another_version_is_found_first(tmp_path):
    folder = edits.other_version(tmp_path / "libraries", "keras-tuner")
    words = [sys.executable, "-c", "import importlib.metadata as m; print(m.version('keras-tuner'))"]
    seen = subprocess.run(words, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == f"{importlib.metadata.version('keras-tuner')}.post1"


def test_the_examples_are_searched_for_the_bytes_of_images_and_masks(tmp_path):
    place = Place(tmp_path / "place")
    one, other = (place.data / kind / changed_data.NAME for kind in ("images", "masks"))
    contents = {"image": changed_data.stored(one), "mask": changed_data.stored(other), "nothing": b"neither"}
    examples = tmp_path / "examples" / "Split-train"
    examples.mkdir(parents=True)
    for name in ("image", "mask"):
        (examples / f"{name}.gz").write_bytes(gzip.compress(b"name" + contents[name] + b"end"))
    assert changed_data.held(examples.parent, contents) == {"image", "mask"}


def test_the_extremes_of_a_setting_are_the_bounds_that_it_declares():
    fields = PipelineConfig.model_fields
    assert configurations.extremes("zoom", fields["zoom"]) == [0, 1]
    assert configurations.extremes("optimizer", fields["optimizer"]) == ["adam", "adamw", "sgd"]
    assert configurations.extremes("steps", fields["steps"]) == [1, 10**8]
    assert configurations.extremes("steps", fields["steps"], costly=False) == [1]
    lowest = configurations.extremes("max_drift", fields["max_drift"])[0]
    assert 0 < lowest < 1e-300
    *_, below_one = configurations.extremes("brightness_contrast", fields["brightness_contrast"])
    assert below_one == 1 - 2**-53
    drawn = sum(bool(configurations.extremes(name, field)) for name, field in fields.items())
    assert drawn > len(fields) / 2


def test_what_hypothesis_draws_is_that_of_the_seed_and_the_first_that_does_not_hold_is_named(tmp_path):
    place, seen = Place(tmp_path / "place"), []

    def attempt(place: Place, drawn: dict[str, Any]) -> str:
        seen.append(drawn)
        require("seed" not in drawn["settings"], "a seed")
        return "held"

    for _ in range(2):
        with pytest.raises(NotHeld, match=r'"seed": .*: a seed'):
            configurations.each(place, random.Random(1), configurations.some_settings(), 200, attempt)
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_the_name_of_an_exception_is_no_sentence():
    configurations.in_words(Done(2, "seed: must be smaller than it is", ""), 2)
    with pytest.raises(NotHeld, match="no sentence: Failed: OverflowError: int too large"):
        configurations.in_words(Done(1, "Loading\nFailed: OverflowError: int too large\n", ""), 1)


def test_a_process_can_open_no_more_files_than_it_is_left():
    loop = "import sys, time\nfiles = []\nprint(flush=True); sys.stdin.readline()\n"
    code = (
        loop + "try:\n  while True: files.append(open('/dev/null'))\nexcept OSError as e: print(len(files))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    limits.lower(process.pid, 3)
    assert process.communicate("\n", timeout=60)[0].strip() == "3"


def test_a_case_that_breaks_does_not_hold_and_ends_nothing(tmp_path: Path):
    place = Place(tmp_path / "place")
    place.root.mkdir()
    place.keep()

    def broken(place: Place, draw: random.Random) -> str:
        raise OSError("no such thing")

    case = torture.Case("kills", "a", "b", broken)
    assert torture.attempt(case, place, 1, 0) == ("**the case broke: OSError: no such thing**", False)


@pytest.mark.parametrize(
    ("misses", "expected"), [(2, ("seen", True)), (9, ("**3 times too late: by 9**", False))]
)
def test_a_case_whose_instant_is_missed_is_tried_again(
    tmp_path: Path, misses: int, expected: tuple[str, bool]
):
    place, tried = Place(tmp_path / "place"), []
    place.root.mkdir()
    place.keep()

    def late(place: Place, draw: random.Random) -> str:
        tried.append(draw.random())
        if len(tried) <= misses:
            raise TooLate(f"by {misses}")
        return "seen"

    assert torture.attempt(torture.Case("kills", "a", "b", late), place, 1, 0) == expected
    assert len(tried) == 3


def test_a_component_that_is_not_met_at_work_is_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tools.torture.place.PATIENCE", 0.1)
    run = Started(["run"], tmp_path / "log", tmp_path, through=("sh", "-c", "exec sleep 60"))
    try:
        with pytest.raises(TooLate, match=r"Trainer was not met at work in 0\.1 s"):
            until_at_work(run, tmp_path, set(), "Trainer")
    finally:
        run.kill()


@pytest.mark.parametrize(
    ("free", "calls"), [("[ $(wc -l < {log}) = 3 ]", 3), ('[ "$1" = --lazy ]', None)], ids=["soon", "never"]
)
def test_a_disk_that_is_in_use_leaves_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: str, calls: int | None
):
    commands, disk, log = tmp_path / "commands", tmp_path / "disk", tmp_path / "log"
    commands.mkdir()
    umount = f'echo "$@" >> {log}; {free.format(log=log)}'
    for name, script in {"mount": "true", "umount": umount}.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(full_disk, "BUSY", 10 if calls else 0.2)
    left = contextlib.nullcontext() if calls else pytest.raises(NotHeld, match="a process was left")
    with left, full_disk.mounted(disk, 1):
        assert disk.is_dir()
    called = log.read_text().splitlines()
    assert called[0] == str(disk)
    assert called[-1] == (str(disk) if calls else f"--lazy {disk}")
    assert calls in (len(called), None)
