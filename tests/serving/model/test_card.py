"""What a card tells of the classes, and cards that tell nothing."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from serving.model.card import CARD, MOST_BYTES, classes_of
from tests.serving.conftest import CLASSES, VALUES, add_card
from tests.serving.running import Server

CARD_OF_TWO = {"classes": ["a", "b"], "class_values": [0, 255], "background": "first"}


def write(folder: Path, card: Any) -> Path:
    (folder / "7" / CARD).parent.mkdir(parents=True)
    (folder / "7" / CARD).write_text(card if isinstance(card, str) else json.dumps(card))
    return folder / "7"


def test_the_classes_of_a_pushed_model(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    add_card(tmp_path / "7")
    found = classes_of(tmp_path / "7")
    assert [each["name"] for each in found] == CLASSES
    assert [each["value"] for each in found] == [*VALUES[1]]
    assert [each["background"] for each in found] == [True, False, False]
    assert [each["color"] for each in found] == [[0, 0, 0], [230, 159, 0], [86, 180, 233]]


def test_values_in_colour_no_background_and_no_colours(tmp_path: Path) -> None:
    version = write(tmp_path, {**CARD_OF_TWO, "class_values": [[0, 0, 0], [255, 0, 9]], "background": "none"})
    found = classes_of(version)
    assert [each["value"] for each in found] == [[0, 0, 0], [255, 0, 9]]
    assert [(each["color"], each["background"]) for each in found] == [(None, False)] * 2


def test_a_model_without_a_card_has_no_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert classes_of(tmp_path) == []
    assert not caplog.records


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is no JSON object"),
        ({}, '"classes" is no list of names'),
        ({**CARD_OF_TWO, "classes": ["a", 1]}, '"classes" is no list of names'),
        ({**CARD_OF_TWO, "class_values": [0]}, '"class_values" does not hold a value for each class'),
        ({**CARD_OF_TWO, "class_values": [0, True]}, '"class_values" does not hold a value for each class'),
        ({**CARD_OF_TWO, "class_values": [0, 65536]}, '"class_values" does not hold a value for each class'),
        ({**CARD_OF_TWO, "class_colors": [[0, 0, 0], [0, 0, 256]]}, '"class_colors" does not hold'),
        ({**CARD_OF_TWO, "class_colors": [[0, 0, 0]]}, '"class_colors" does not hold'),
        ({**CARD_OF_TWO, "more": "x" * MOST_BYTES}, f"it has more than {MOST_BYTES} bytes"),
    ],
)
def test_a_damaged_card_is_logged_and_the_model_has_no_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, card: Any, why: str
) -> None:
    with caplog.at_level(logging.WARNING, "serving"):
        assert classes_of(write(tmp_path, card)) == []
    (message,) = caplog.messages
    assert message.startswith(f"the classes of version 7 have no names; {tmp_path / '7' / CARD}: ")
    assert why in message


@pytest.mark.server
def test_the_server_tells_the_classes_and_no_more_of_the_card(server: Server, single: Server) -> None:
    assert server.get("/v1/models/unet/classes") == {"version": "1", "classes": []}
    told = single.get("/v1/models/unet/classes")
    assert told.keys() == {"version", "classes"}
    assert [(each["name"], each["value"]) for each in told["classes"]] == [
        *zip(CLASSES, VALUES[1], strict=True)
    ]
    assert server.request("GET", "/v1/models/other/classes")[0] == 404
