"""What is said beside a component that is done."""

import json

import pytest

from pipeline.history.executions import Artifact, Node
from pipeline.history.outcome import SERVED, note, outcome_of_part
from tests.open_files import none_left
from unet.registry.records import TRAINING_RECORD


def factors(values, why_not=""):
    means = {"argmax": {"mean_dice": 0.45}, "chosen": {"mean_dice": 0.5123}}
    point = {"aim": "dice", "factors": values, "why_not": why_not, **means}
    return {"classes": ["sky", "road", "pole"], "operating_point": point}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, ""),
        ({"start": "afresh: no blessed model"}, "afresh: no blessed model"),
        ({"class_weights": {"sky": 1.0, "cell": 1.0}}, ""),
        ({"class_weights": {"sky": 0.5625, "cell": 4.5}}, "class weights sky 0.562, cell 4.5"),
        ({"start": "afresh", "class_weights": {"sky": 2.0}}, "afresh; class weights sky 2"),
        (
            {"operating_point": {"aim": "dice", "threshold": 0.25, "why_not": ""}},
            "threshold 0.25 for dice",
        ),
        (
            {"operating_point": {"aim": "precision>=0.9", "threshold": 0.5, "why_not": "too hard"}},
            "no threshold for precision>=0.9: too hard",
        ),
        (factors([0.5, 1, 2**0.25]), "factors sky 0.5, pole 1.19 for dice, 0.512 instead of 0.450"),
        (factors([1, 1, 1]), "factors of 1 for dice, 0.512 instead of 0.450"),
        (factors([1, 1, 1], "nothing there"), "no factors for dice: nothing there"),
    ],
)
def test_a_training_says_where_it_started_and_how_classes_were_weighed(record, said, tmp_path):
    path = tmp_path / SERVED / TRAINING_RECORD
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    node = Node("Trainer", "done", outputs={"model": [Artifact(1, str(tmp_path), "model", {})]})
    assert note(node) == said


def test_a_record_that_is_damaged_since_says_nothing(tmp_path):
    path = tmp_path / SERVED / TRAINING_RECORD
    path.parent.mkdir(parents=True)
    path.write_text("{")
    node = Node("Trainer", "done", outputs={"model": [Artifact(1, str(tmp_path), "model", {})]})
    assert note(node) == ""
    with pytest.raises(OSError, match="Too many open files"), none_left():
        note(node)


def gate(evaluator: int, infra: int = 1) -> list[Node]:
    """The components of the gate, after a resolver that lists a blessing of an earlier run."""
    answers = {"BlessedBaseline": 0, "Evaluator": evaluator, "InfraValidator": infra}
    return [
        Node(name, "done", outputs={"blessing": [Artifact(1, "", "ModelBlessing", {"blessed": blessed})]})
        for name, blessed in answers.items()
    ]


@pytest.mark.parametrize(
    ("nodes", "following", "status", "reason"),
    [
        ([], "transform", "waiting", "transform comes next"),
        (gate(1), "push", "waiting", "push comes next"),
        (gate(0), "push", "not_blessed", ""),
        (gate(1, 0), "push", "not_blessed", ""),
        (gate(1), "", "not_blessed", ""),  # the last part pushed nothing
    ],
)
def test_after_a_part_the_run_waits_unless_the_gate_refused(nodes, following, status, reason):
    assert outcome_of_part(nodes, following) == (status, reason)
