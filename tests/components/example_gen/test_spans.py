from __future__ import annotations

from pathlib import Path

import pytest

from components.example_gen.spans import find_spans, is_pattern, newest_span


@pytest.mark.parametrize(
    ("pattern", "folders", "expected"),
    [
        (
            "span-{SPAN}",
            ["span-1", "span-02", "span-10", "span-", "x"],
            {1: "span-1", 2: "span-02", 10: "span-10"},
        ),
        ("{SPAN:2}/data", ["01/data", "2/data", "03/other"], {1: "01/data"}),
        ("s{SPAN}/v{VERSION}", ["s1/v1", "s1/v10", "s1/v9", "s2/v1"], {1: "s1/v10", 2: "s2/v1"}),
        (
            "{YYYY}-{MM}-{DD}",
            ["1970-01-03", "2026-11-24", "2026-13-01"],
            {2: "1970-01-03", 20781: "2026-11-24"},
        ),
        ("{YYYY}/{MM}{DD}", ["1970/0102"], {1: "1970/0102"}),
        ("a.b-{SPAN}", ["aXb-1", "a.b-2"], {2: "a.b-2"}),
    ],
)
def test_folders_of_spans(tmp_path: Path, pattern: str, folders: list[str], expected: dict[int, str]) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    assert is_pattern(tmp_path / pattern)
    found = find_spans(tmp_path / pattern)
    assert {span: str(path.relative_to(tmp_path)) for span, path in found.items()} == expected
    assert list(found) == sorted(found)
    assert newest_span(tmp_path / pattern) == max(expected)
    assert list(find_spans(tmp_path / pattern, 1)) == [max(expected)]


def test_no_pattern(tmp_path: Path) -> None:
    assert not is_pattern(tmp_path / "{other}")
    assert newest_span(tmp_path) == newest_span(tmp_path / "{SPAN}") == 0
