from __future__ import annotations

from pathlib import Path

import pytest

from unet.dataset.sample import is_ignored, natural_key, unreadable


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("Thumbs.db", True),
        (".DS_Store", True),
        ("._a.png", True),
        ("notes.txt", True),
        ("a.png", False),
        ("a", False),
    ],
)
def test_what_is_no_image(name: str, ignored: bool) -> None:
    assert is_ignored(Path(name)) == ignored


def test_numbers_in_names_are_ordered_as_numbers() -> None:
    ordered = ["1b", "2", "10", "a", "a1", "a2b", "a10a", "a10b", "b"]
    assert sorted(ordered[4:] + ordered[:4], key=natural_key) == ordered
    assert natural_key("a01") != natural_key("a1")  # two files, always in the same order
    assert sorted(["a1", "a01"], key=natural_key) == sorted(["a01", "a1"], key=natural_key) == ["a01", "a1"]


@pytest.mark.parametrize(("name", "said"), [("inner/file", "inner/file"), (None, "folder")])
def test_what_cannot_be_read_is_a_problem_of_the_set(name: str | None, said: str) -> None:
    problem = unreadable(Path("folder"), PermissionError(13, "Permission denied", name))
    assert (problem.path, problem.found) == (said, "cannot be read (Permission denied)")
    assert problem.advice == "check its permissions"
    assert problem.of_the_set
