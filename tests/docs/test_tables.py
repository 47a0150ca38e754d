"""The tables in the pages are those of the code, and read without building the site."""

import json
from pathlib import Path

import pytest

from docs.generators import attacks, clients, quality
from docs.generators.tables import MAKERS, filled, pages
from tests.serving.clients.call import MASK, Call
from tests.serving.hostile.attack import Attack


def test_each_table_is_up_to_date():
    found = pages()
    assert len(found) == len(MAKERS)
    stale = [path.name for path, text in found.items() if filled(text) != text]
    assert not stale, "make them again: .venv/bin/python -m docs.generators.tables"


def test_what_stands_between_the_marks_is_replaced_and_nothing_else():
    page = "before\n\n<!-- made by profiles -->\nstale text\n<!-- end -->\n\nafter\n"
    made = filled(page)
    assert made.startswith("before\n\n<!-- made by profiles -->\n\n## ")
    assert made.endswith("\n\n<!-- end -->\n\nafter\n")
    assert "stale text" not in made
    assert filled(made) == made


def test_the_row_of_an_attack():
    attack = Attack("a | b", lambda server: [], "413", "too large", "503 closed")
    assert attacks.row(attack) == "| a \\| b | `413`, or `503`, or closed | `too large` |"


def test_the_row_of_a_call():
    assert clients.row(Call("a | b", {"c": [MASK]})) == '| `a \\| b` | `{"c": [mask of image.png]}` |  |'
    assert clients.row(Call("a", ["b"], words="a list")) == "| `a` | a list |  |"
    assert clients.row(Call("a", status="404", says="no b")) == "| `a` | `404` | `no b` |"


def test_methods_are_compared_on_the_same_held_out_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = [
        {
            **{"set": "isbi", "minutes": 5.0, "precision": "float32", "processor": "one", "steps": 10},
            **{"fold": fold, "seed": 0, "method": method, "scores": [{"v_rand": score}, {"v_rand": 0.5}]},
        }
        for method, fold, score in (("ours", 0, 0.75), ("ours", 1, 0.25), ("monai", 0, 0.5), ("monai", 1, 1))
    ]
    rows.append({**rows[0], "method": "smp", "scores": [{"v_rand": 0.875}, {"v_rand": 0.25}]})
    monkeypatch.setattr(quality, "FILE", tmp_path / "quality.json")
    quality.FILE.write_text(json.dumps(rows))
    both, first = quality.markdown().split("The first of them")
    assert "slices 1 to 5, 11 to 15." in both
    assert "| this pipeline | 2 | 10 | 0.5000 ± 0.250 | **0.5000** ± 0.000 |" in both
    assert "**0.7500** ± 0.250" in both
    assert "segmentation-models" not in both
    assert "| this pipeline | 1 | 10 | 0.7500 | **0.5000** |" in first
    assert "U-Net with ResNet-18 | 1 | 10 | **0.8750** | 0.2500 |" in first
