from __future__ import annotations

from pathlib import Path

import pytest

from unet.dataset.layouts import find_samples
from unet.dataset.spans import TwoFolders, find_spans, is_pattern, newest_span


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


def test_two_folders_of_one_span_are_not_taken_for_one(tmp_path: Path) -> None:
    for name in ("span-1", "span-2", "span-02"):
        (tmp_path / name).mkdir()
    with pytest.raises(TwoFolders, match="the same span as span-02"):
        find_spans(tmp_path / "span-{SPAN}")
    samples, [problem] = find_samples(tmp_path / "span-{SPAN}")
    assert (samples, problem.path, problem.of_the_set) == ([], str(tmp_path / "span-2"), True)
