"""What an output can show."""

from __future__ import annotations

import io
import os

import pytest

from pipeline.terminal.console import ascii_only, fit_to_terminal, make_console, moves
from tests.pipeline.terminals import terminal


class Screen(io.StringIO):
    """An output that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def isatty(self) -> bool:
        raise ValueError("I/O operation on closed file")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever these tests run in."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "LC_ALL", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CI", "true", False),
        ("CI", "1", False),
        ("CI", "False", True),
        ("CI", "0", True),
        ("CI", "", True),
        ("TERM", "dumb", False),
        ("TERM", "xterm", True),
    ],
)
def test_a_picture_moves_only_on_a_terminal_of_a_person(
    name: str, value: str, expected: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, value)
    assert moves(make_console(Screen())) == expected
    assert not moves(make_console(io.StringIO()))


@pytest.mark.parametrize(("locale", "expected"), [("C", True), ("POSIX", True), ("C.UTF-8", False)])
def test_a_plain_locale_gets_ascii_alone(locale: str, expected: bool, monkeypatch: pytest.MonkeyPatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setenv("LC_ALL", locale)
    assert ascii_only(make_console(output)) == expected


@pytest.mark.parametrize(("encoding", "expected"), [("UTF-8", False), ("utf-16", False), ("latin-1", True)])
def test_an_encoding_of_few_characters_gets_ascii_alone(encoding: str, expected: bool):
    assert ascii_only(make_console(io.TextIOWrapper(io.BytesIO(), encoding=encoding))) == expected


def test_a_color_that_is_forced_makes_no_terminal_of_a_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not make_console(io.StringIO()).is_terminal
    assert not make_console(Closed()).is_terminal
    assert make_console(Screen()).is_terminal


def test_text_is_printed_as_it_is():
    console = make_console(output := io.StringIO())
    console.print("[red]1 of 2[/red] :smile:")
    assert output.getvalue() == "[red]1 of 2[/red] :smile:\n"


def test_a_file_is_wide_enough_for_names_unless_somebody_says_how_wide(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "isatty", lambda number: False)
    assert make_console(io.StringIO()).width == 120
    monkeypatch.setenv("COLUMNS", "77")
    assert make_console(io.StringIO()).width == 77


def test_the_size_is_that_of_the_terminal_itself():
    with terminal(63, 17) as screen, os.fdopen(os.dup(screen.theirs), "w") as output:
        console = make_console(output)
        console.size = (10, 10)
        fit_to_terminal(console)
        assert console.size == (63, 17)


def test_an_output_without_a_size_keeps_the_one_it_has():
    console = make_console(io.StringIO())
    console.size = (10, 11)
    fit_to_terminal(console)
    assert console.size == (10, 11)
    with terminal(0, 0) as screen, os.fdopen(os.dup(screen.theirs), "w") as output:
        console = make_console(output)
        console.size = (10, 11)
        fit_to_terminal(console)
        assert console.size == (10, 11)


def test_a_reader_that_is_gone_ends_nothing():
    ours, theirs = os.pipe()
    os.close(ours)
    output = os.fdopen(theirs, "w", buffering=1)
    console = make_console(output)
    console.print("to nobody")
    assert console.quiet
    with pytest.raises(BrokenPipeError):
        output.close()
