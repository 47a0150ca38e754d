"""Documents the attacks that the server is tested with in Markdown tables, from the set of the tests."""

from __future__ import annotations

from tests.serving.hostile.attack import CUT_OFF, Attack
from tests.serving.hostile.attacks import GROUPS


def markdown() -> str:
    """Returns a section for each group, with a table of its attacks: what is sent, and what is answered."""
    lines: list[str] = []
    for heading, attacks in GROUPS.items():
        lines += [f"## {heading}", "", "| what is sent | answer | what it says |", "|---|---|---|"]
        lines += [row(attack) for attack in attacks]
        lines.append("")
    return "\n".join(lines)


def row(attack: Attack) -> str:
    """Returns the row of an attack; the sentence is the part of it that the tests compare."""
    statuses = (attack.status, *attack.may_be.split())
    answer = ", or ".join("closed" if status == CUT_OFF else f"`{status}`" for status in statuses)
    said = f"`{attack.says}`" if attack.says else ""
    cells = (attack.name, answer, said)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
