"""The tables in the pages are those of the code, and read without building the site."""

from docs.generators import attacks, clients
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
