from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unet.masks.class_maps import find_class_map, read_class_map

NUMBERS = {"background": 0, "cell": 1, "rim": 2}
COLORS = {"background": "#000000", "cell": "#ff0000"}


@pytest.mark.parametrize(
    ("name", "content", "classes"),
    [
        ("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:255,0,0::\n", COLORS),
        ("label_colors.txt", "0 0 0\tbackground\n255 0 0\tcell\n", COLORS),
        ("class_names.txt", "__ignore__\n_background_\ncell\nrim\n", NUMBERS),
        ("codes.txt", "background\ncell\nrim", NUMBERS),
        ("classes.json", json.dumps(["background", "cell", "rim"]), NUMBERS),
        ("classes.json", json.dumps(NUMBERS), NUMBERS),
        ("classes.json", json.dumps({"0": "background", "1": "cell", "2": "rim"}), NUMBERS),
        ("dataset.json", json.dumps({"labels": NUMBERS, "channel_names": {"0": "grey"}}), NUMBERS),
        (
            "_annotations.coco.json",
            json.dumps({"categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "rim"}], "images": []}),
            NUMBERS,
        ),
        (
            "meta.json",
            json.dumps({"classes": [{"title": n, "color": c} for n, c in COLORS.items()]}),
            COLORS,
        ),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cell\n2, rim\n", NUMBERS),
        ("class_dict.csv", "name,r,g,b\nbackground,0,0,0\ncell,255,0,0\n", COLORS),
        ("meta.json", "{", {}),
        ("meta.json", json.dumps({"author": "me"}), {}),
        ("classes.csv", "a,b\n1,2\n", {}),
        ("labels.txt", "one line of notes", {}),
    ],
)
def test_forms_of_class_maps(tmp_path: Path, name: str, content: str, classes: dict[str, Any]) -> None:
    (tmp_path / name).write_text(content)
    assert read_class_map(tmp_path / name) == classes
    found = find_class_map([tmp_path / "none", tmp_path])
    assert found == ((tmp_path / name, classes) if classes else None)


def test_what_is_nested_without_end_is_no_class_map(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text("[" * 100_000)
    assert find_class_map([tmp_path, tmp_path / "none"]) is None
