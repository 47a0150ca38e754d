from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from unet.registry.records import (
    CARDS,
    TRAINING_RECORD,
    ModelError,
    common_record,
    digest,
    mean_record,
    operating_point,
    training_record,
)

RECORD: dict[str, Any] = {
    "classes": ["background", "cell"],
    "class_values": [0, 255],
    "background": "first",
    "channels": 1,
    "value_range": None,
    "normalization": {"over": "image"},
    "scale": 1.0,
    "geometry": {"depth": 4},
    "base_filters": 8,
    "max_area": 10**6,
    "learning_rate": 1e-3,
    "test_time_augmentation": False,
}


def make_model(folder: Path, content: str = "x", **change: Any) -> Path:
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(content)
    (folder / TRAINING_RECORD).write_text(json.dumps({**RECORD, **change}))
    return folder


def test_models_of_the_same_data_answer_together(tmp_path: Path) -> None:
    different: dict[str, Any] = {
        "normalization": {"over": "dataset"},
        "base_filters": 16,
        "max_area": 7,
        "learning_rate": 1,
    }
    models = [make_model(tmp_path / "a"), make_model(tmp_path / "b", **different)]
    assert common_record(models) == training_record(models[0]) == RECORD


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", ["background", "wall"]),
        ("class_values", [0, 1]),
        ("background", "none"),
        ("channels", 3),
        ("value_range", [0, 1]),
        ("scale", 0.5),
        ("geometry", {"depth": 3}),
    ],
)
def test_models_of_other_data_do_not(tmp_path: Path, key: str, value: Any) -> None:
    a, b = make_model(tmp_path / "a"), make_model(tmp_path / "b", **{key: value})
    with pytest.raises(ModelError) as caught:
        common_record([a, b])
    assert str(caught.value) == f"{b}: {key} differ from {a}: average models of the same data"


@pytest.mark.parametrize(
    "key",
    ["classes", "class_values", "channels", "normalization", "scale", "geometry", "base_filters", "max_area"],
)
def test_several_models_need_a_whole_record(tmp_path: Path, key: str) -> None:
    model = make_model(tmp_path / "a")
    (model / TRAINING_RECORD).write_text(json.dumps({k: v for k, v in RECORD.items() if k != key}))
    with pytest.raises(ModelError, match="no training record of this pipeline, so it cannot be averaged"):
        common_record([model, model])
    assert key not in common_record([model])


@pytest.mark.parametrize(
    "content", [b'{"cl', b"\xff", b"[]", b"[" * 100_000], ids=["cut", "bytes", "list", "deep"]
)
def test_a_damaged_record_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    model = make_model(tmp_path / "a")
    (model / TRAINING_RECORD).write_bytes(content)
    with pytest.raises(ModelError, match="a: its training record is damaged"):
        training_record(model)


def test_one_from_elsewhere_answers_alone(tmp_path: Path) -> None:
    assert common_record([tmp_path]) == training_record(tmp_path) == {}


@pytest.mark.parametrize(
    ("asked", "first", "second", "answer"),
    [
        (False, False, False, False),
        (True, False, False, True),
        (False, True, False, True),
        (False, False, True, True),
    ],
)
def test_a_mean_names_its_parts_and_is_turned_if_one_is(
    tmp_path: Path, asked: bool, first: bool, second: bool, answer: bool
) -> None:
    a = make_model(tmp_path / "a", "a", test_time_augmentation=first)
    b = make_model(tmp_path / "b", "b", test_time_augmentation=second, learning_rate=2e-3)
    assert mean_record([a, b], asked) == {
        "test_time_augmentation": answer,
        "mean_of": [
            {"sha256": digest(a), "learning_rate": 1e-3},
            {"sha256": digest(b), "learning_rate": 2e-3},
        ],
    }


def point(aim: str, threshold: float) -> dict[str, Any]:
    return {"operating_point": {"aim": aim, "threshold": threshold, "why_not": "", "chosen": {}}}


def test_a_mean_decides_by_the_mean_of_the_thresholds(tmp_path: Path) -> None:
    models = [make_model(tmp_path / str(t), **point("dice", t)) for t in (0.25, 0.75, 0.875)]
    assert common_record(models) == training_record(models[0])
    assert mean_record(models, False)["operating_point"] == {"aim": "dice", "threshold": 0.625}
    assert operating_point([training_record(models[1])]) == {"threshold": 0.75}
    assert operating_point([RECORD, RECORD]) is None


def test_the_mean_of_factors_is_the_geometric_one(tmp_path: Path) -> None:
    points: list[dict[str, Any]] = [{"aim": "dice", "factors": [1.0, f]} for f in (1.0, 4.0)]
    models = [make_model(tmp_path / f"factors {i}", operating_point=p) for i, p in enumerate(points)]
    assert mean_record(models, False)["operating_point"] == {"aim": "dice", "factors": [1.0, 2.0]}
    # What one model's factors have in common does not matter.
    points.append({"factors": [3.0, 12.0]})
    found = operating_point([{"operating_point": point} for point in points])
    assert found is not None
    assert found["factors"][1] / found["factors"][0] == pytest.approx(16 ** (1 / 3))
    one = {"factors": [2 ** (k / 16) for k in range(-64, 65)]}
    assert operating_point([{"operating_point": one}]) == one


@pytest.mark.parametrize(("aim", "said"), [("recall>=0.9", "for recall>=0.9"), (None, "for argmax")])
def test_models_of_unlike_aims_have_no_mean(tmp_path: Path, aim: str | None, said: str) -> None:
    a = make_model(tmp_path / "a", **point("dice", 0.3))
    b = make_model(tmp_path / "b", **(point(aim, 0.3) if aim else {}))
    for models in ([a, b], [b, a]):
        with pytest.raises(ModelError, match="average models of one operating_point") as caught:
            common_record(models)
        assert said in str(caught.value)
        assert "for dice" in str(caught.value)


def test_equal_models_have_one_digest_whatever_their_cards_say(tmp_path: Path) -> None:
    a, b = make_model(tmp_path / "a"), make_model(tmp_path / "b")
    for card in CARDS:
        (b / card).write_text("pushed later")
    (b / "empty").mkdir()
    assert digest(a) == digest(b)
    expected = hashlib.sha256()
    for name in (TRAINING_RECORD, "saved_model.pb"):
        expected.update(name.encode() + b"\0" + hashlib.sha256((a / name).read_bytes()).digest())
    assert digest(a) == expected.hexdigest()
    (b / "saved_model.pb").rename(b / "saved_model.pbtxt")
    assert digest(a) != digest(b)
