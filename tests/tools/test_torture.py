"""What the torture draws depends on the seed alone; its requirements can fail; its table is Markdown."""

import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tools.torture import __main__ as torture
from tools.torture import crowd, damage, edits, full_disk, kills
from tools.torture.cases import NotHeld, Row, generator, instants, table
from tools.torture.kept_promises import finished, in_service, spoke
from tools.torture.place import CHECKOUT, Done, Place


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
    for chapter in (edits, crowd, full_disk, kills):
        assert 1 <= len(list(chapter.cases(True))) <= len(list(chapter.cases(False)))
    assert len(list(damage.cases(True, outputs))) < len(list(damage.cases(False, outputs)))


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
    with sqlite3.connect(tmp_path / "metadata.sqlite") as store:
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


def test_a_case_that_breaks_does_not_hold_and_ends_nothing(tmp_path: Path):
    place = Place(tmp_path / "place")
    place.root.mkdir()
    place.keep()

    def broken(place: Place, draw: random.Random) -> str:
        raise OSError("no such thing")

    case = torture.Case("kills", "a", "b", broken)
    assert torture.attempt(case, place, 1, 0) == ("**the case broke: OSError: no such thing**", False)
