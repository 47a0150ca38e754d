"""The tables in the pages are those of the code, and read without building the site."""

import json
from pathlib import Path

import pytest

from docs.generators import attacks, clients, peers, quality, speed
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


def test_a_step_is_compared_with_those_of_its_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ways = {"the pipeline": [100, 300, 100], "in memory": [100, 300, 100], "bare Keras": [200, 300, 100]}
    size = {"base_filters": 8, "patch_size": 444, "batch_size": 2, "precision": "float32"}
    step = {"benchmark": "step", "processor": "one", "operations": 5e10, "multiplied": 1e12, **size, **ways}
    image = {"benchmark": "image", "processor": "one", "size": 2048, "filters": 8, "bytes": 2e9}
    seconds = {"aligned": [2.0, 1.0], "whole": [2.0, 4.0], "sliding": [8.0]}
    rows = [
        step | {"PyTorch": [200, 200, 200]},
        *({**image, "way": w, "seconds": s} for w, s in seconds.items()),
    ]
    monkeypatch.setattr(speed, "FILE", tmp_path / "speed.json")
    speed.FILE.write_text(json.dumps(rows))
    page = speed.markdown()
    assert (
        "| bare Keras: `train_on_batch`, on that batch | 200 (0.25); the pipeline takes 1.00 of it |" in page
    )
    assert "| 200 (0.25); the pipeline takes 0.50 of it |" in page
    assert "| 2048 x 2048 | 8 | the exported model | 4.19 | 1.0 | 2.0 |  |" in page
    assert "the whole image at once | 2.1 | 2.0 | 2.0 |  |" in page
    assert (
        "| 100 | the same network in PyTorch, eager, channels_last: 200; the pipeline takes 0.50"
        in peers.markdown()
    )
