"""The page of faults that once were names tests and cases of the torture that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.blocks import CHECKOUT, DOCS

PAGE = (DOCS / "explanation" / "kept-faults.md").read_text(encoding="utf-8")
TRIED = (DOCS / "explanation" / "reliability.md").read_text(encoding="utf-8")
HEAD = "| what was tried | what must happen | held by |"
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and line != HEAD]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
CASE = re.compile(r"torture `([^:`]+): ([^`]+)`")


def names_of_tests(path: Path) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def chapters() -> set[str]:
    """The chapters of the torture, as its table has them."""
    tree = ast.parse((CHECKOUT / "tools/torture/__main__.py").read_text(encoding="utf-8"))
    [table] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CHAPTERS"
    ]
    assert isinstance(table, ast.Dict)
    return {ast.literal_eval(key).replace("_", " ") for key in table.keys if key}


def test_each_fault_is_held_by_something():
    assert len(ROWS) > 40
    for row in ROWS:
        assert row.count(" | ") == 2, row
        held = row.rstrip(" |").rpartition(" | ")[2]
        assert TEST.search(held) or CASE.search(held), row
        assert not TEST.sub("", CASE.sub("", held)).strip(", "), row


def test_each_test_that_is_named_exists():
    named = set(TEST.findall(PAGE))
    there = {file: names_of_tests(CHECKOUT / file) for file in {file for file, _ in named}}
    assert not [f"{file}::{name}" for file, name in sorted(named) if name not in there[file]]


def test_each_case_of_the_torture_that_is_named_is_in_its_table():
    tried = set(re.findall(r"^\| ([^:|]+): ([^|]+) \| ", TRIED, re.MULTILINE))
    named = set(CASE.findall(PAGE))
    assert named
    assert {chapter for chapter, _ in named} <= chapters()
    assert named <= tried
