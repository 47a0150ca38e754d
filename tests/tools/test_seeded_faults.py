"""Where faults may be, that they are found again elsewhere, and what becomes of them."""

import ast
import json
from collections import Counter

import pytest

from tools import seeded_faults
from tools.seeded_faults import Fault, Trial, choose, faults_in, index, place, room, sources_of

SOURCE = '''
"""A module with 1 < 2 and True."""
HALF: float = 0.5


def inner(values, last: "int" = 3, *, wide=True):
    """Adds 1 + 1."""
    print("up to", last - 1)
    # 2 + 2
    if "é" in values and (last) >= len(values) or values[0] is not None:
        return last + (1), f"{last + 1} of {wide}"
    raise ValueError("less than 4" + "5" * 6)
'''


def changes(source: str) -> set[tuple[str, str]]:
    return {(fault.kind, fault.changed) for fault in faults_in("unet/a.py", source)}


def test_each_token_that_decides_something_and_no_other():
    condition = 'if "é" in values and (last) >= len(values) or values[0] is not None:'
    assert changes(SOURCE) == {
        ("number", "HALF: float = 1.0"),
        ("number", 'def inner(values, last: "int" = 6, *, wide=True):'),
        ("boolean", 'def inner(values, last: "int" = 3, *, wide=False):'),
        ("bound", condition.replace(" in ", " not in ")),
        ("and/or", condition.replace(" and ", " or ")),
        ("bound", condition.replace(">=", ">")),
        ("and/or", condition.replace(" or ", " and ")),
        ("off by one", condition.replace("[0]", "[1]")),
        ("bound", condition.replace("is not", "is")),
        ("operator", 'return last - (1), f"{last + 1} of {wide}"'),
        ("off by one", 'return last + (2), f"{last + 1} of {wide}"'),
    }


def test_faults_of_this_code_spread_over_rooms_and_leave_it_readable():
    sources = sources_of(seeded_faults.CHECKOUT)
    faults = choose(sources, 60, seed=1)
    assert len({*map(str, faults)}) == 60
    few = {path: sources[path] for path in sources if path.startswith("unet/metrics/")}
    assert choose(few, 5, seed=1) == choose(few, 5, seed=1) != choose(few, 5, seed=2)
    with_faults = {room(path) for path in sources if faults_in(path, sources[path])}
    assert {room(fault.path) for fault in faults} == with_faults
    assert max(Counter(room(fault.path) for fault in faults).values()) == 2
    assert len(Counter(fault.kind for fault in faults)) == 6
    where = index(sources)
    for fault in faults:
        path, number = place(fault, where) or pytest.fail(str(fault))
        assert path == fault.path
        lines = sources[path].split("\n")
        lines[number] = lines[number].replace(fault.line, fault.changed)
        ast.parse("\n".join(lines))


def test_a_fault_is_found_by_its_text_in_another_file():
    [fault] = faults_in("components/a.py", "def f(x):\n    return x < 2\n")[:1]
    moved = {"unet/b.py": "def g(x):\n    return x < 2\n\n\nclass C:\n    def f(x):\n        return x < 2\n"}
    assert place(fault, index(moved)) == ("unet/b.py", 6)
    assert place(fault, index({"unet/b.py": "def f(x):\n    return x <= 2\n"})) is None
    assert place(fault, index(moved | {"unet/c.py": moved["unet/b.py"]})) is None  # which of both?


def test_tests_of_a_file_begin_with_the_nearest():
    sources = {
        "unet/masks/a.py": "",
        "unet/masks/b.py": "from unet.masks.a import x",
        "tests/unet/masks/test_a.py": "",
        "tests/unet/test_direct.py": "from unet.masks import a",
        "tests/unet/masks/test_b.py": "import unet.masks.b",
        "tests/unet/masks/test_last.py": "",
        "tests/unet/test_other.py": "import json",
    }
    assert seeded_faults.tests_of("unet/masks/a.py", sources, 9) == [
        "tests/unet/masks/test_a.py",
        "tests/unet/test_direct.py",
        "tests/unet/masks/test_b.py",
        "tests/unet/masks/test_last.py",
    ]
    assert seeded_faults.tests_of("unet/masks/a.py", sources, 1) == ["tests/unet/masks/test_a.py"]


def test_what_becomes_of_faults(tmp_path, capsys):
    code = "def count(n):\n    while n < 2:\n        n += 1\n    return n\n\n\n"
    code += "def unused(n):\n    return n + 3\n"
    test = "from unet.a import count\n\ndef test_wrong():\n    assert count(5) == 6\n\n"
    test += "def test_count():\n    assert count(0) == 2\n"
    for path, text in {"unet/a.py": code, "tests/unet/test_a.py": test}.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    faults = {fault.changed: fault for fault in faults_in("unet/a.py", code)}
    endless, gone = faults["n -= 1"], Fault("bound", "unet/gone.py", "gone", "n < 1", 2, "<", "<=")
    assert Trial(tmp_path, most=2, seconds=1, markers=None).try_fault(endless)["status"] == "timed out"
    results = tmp_path / "results.jsonl"
    for _ in range(2):  # the second time all is known
        trial = Trial(tmp_path, most=2, seconds=300, markers=None)
        seeded_faults.run([faults["while n < 3:"], faults["return n + 4"], gone], results, trial)
        entries = [json.loads(line) for line in results.read_text().splitlines()]
        assert [entry["status"] for entry in entries] == ["caught", "survived", "not found"]
        assert entries[0]["by"] == "tests/unet/test_a.py::test_count"
        printed = capsys.readouterr().out
        assert printed.endswith("1 of 3 caught\n")
    assert "left out" not in printed
    assert (tmp_path / "unet" / "a.py").read_text() == code
    assert sources_of(tmp_path) == {"unet/a.py": code}
