"""Documents the calls of standard clients that the server is tested with, from the list of the tests."""

from __future__ import annotations

from tests.serving.clients.call import Call
from tests.serving.clients.calls import CLIENTS


def markdown() -> str:
    """Returns a section for each client: what its users write first, and a table of its calls."""
    lines: list[str] = []
    for client in CLIENTS:
        lines += [f"## {client.name}", "", client.about, ""]
        lines += [f"```{client.language} no-test: comes before each call of the table", client.setup.strip()]
        lines += ["```", ""]
        if client.refusal:
            lines += [f"Status and sentence of a refusal are `{client.refusal}`.", ""]
        lines += ["| call | answer | what it says |", "|---|---|---|"]
        lines += [row(call) for call in client.calls]
        lines.append("")
    return "\n".join(lines)


def row(call: Call) -> str:
    """Returns the row of a call; the sentence is the part of it that the tests compare."""
    answer = call.words or f"`{call.status or shown(call.value)}`"
    cells = (f"`{call.code}`", answer, f"`{call.says}`" if call.says else "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def shown(value: object) -> str:
    """Returns a value as it is written, with the quotes of JSON."""
    return repr(value).replace("'", '"')
