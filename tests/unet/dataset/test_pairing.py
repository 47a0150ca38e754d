"""Constant parts of names are found without knowing which tool chose them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from unet.dataset.pairing import find_forms, lists_beside


def named(*names: str) -> dict[str, Path]:
    return {name: Path(f"{name}.png") for name in names}


def test_the_example_is_a_pair_and_the_count_is_of_all() -> None:
    numbers = [f"{i:04}" for i in range(5000)]
    start = time.process_time()
    form = find_forms(named(*(f"im_{n}" for n in numbers)), named(*(f"m_{n}" for n in numbers[:4000])),
                      ("images/", "masks/"))  # fmt: skip
    assert time.process_time() - start < 5
    assert form is not None
    assert (form.count, form.example) == (4000, "images/im_0000.png, masks/m_0000.png")


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b"], ["x1", "y2", "z3"]])
def test_names_that_have_nothing_in_common_give_no_form(names: list[str]) -> None:
    assert find_forms(named(*names), named(*names)) is None


def test_names_with_quotes_are_not_proposed() -> None:
    images, masks = named("it's_1", "it's_2"), named("m_1", "m_2")
    assert find_forms(images, masks, ("images/", "masks/")) is None


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        *[(name, True) for name in ("split.csv", "train.txt", "val.txt", "test_files.txt", "folds.json")],
        *[(name, True) for name in ("ImageSets/Segmentation/trainval.txt", "images/validation.txt")],
        *[(name, False) for name in ("notes.txt", "manifest.csv", "train.png", "testimony.txt")],
    ],
)
def test_lists_of_splits_beside_images(tmp_path: Path, name: str, listed: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a\n")
    assert lists_beside(tmp_path) == ([path] if listed else [])
