"""Makes the calls of a client, in the environment of that client, and prints what comes of each, as JSON.

It is given `language`, `setup`, `refusal`, `objects` and `calls` as JSON, and needs nothing but Python.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import subprocess
import sys
from typing import Any


def plain(value: Any) -> Any:
    """What JSON has, of a value that it has not."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if hasattr(value, "tolist"):  # NumPy's
        return value.tolist()
    if hasattr(value, "DESCRIPTOR"):
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(value, preserving_proto_field_name=True)
    return list(value)


def by_python(setup: str, refusal: str, objects: list[str], calls: list[str]) -> dict[str, Any]:
    """What came of expressions, and the names of all calls that the objects have."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    names: dict[str, Any] = {}
    exec(setup, names)

    def asked(code: str) -> dict[str, Any]:
        try:
            value = eval(compile(code, code, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
            return {"value": loop.run_until_complete(value) if asyncio.iscoroutine(value) else value}
        except Exception as error:
            try:
                status, says = eval(refusal, {**names, "error": error})
            except AttributeError:  # the package's own complaint, not the server's
                status, says = type(error).__name__, str(error)
            return {"status": str(status), "says": says}

    answers = [asked(code) for code in calls]
    return {"answers": answers, "methods": [name for key in objects for name in dir(names[key])]}


def by_shell(setup: str, refusal: str, objects: list[str], calls: list[str]) -> dict[str, Any]:
    """What came of commands that print a body and, on a line of its own, the status."""

    def asked(code: str) -> dict[str, Any]:
        command = ["bash", "-c", f"{setup}\n{code}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        text, _, status = done.stdout.rpartition("\n")
        body = json.loads(text)
        return {"value": body} if status == "200" else {"status": status, "says": body["error"]}

    return {"answers": [asked(code) for code in calls], "methods": []}


def main() -> None:
    """Reads and prints JSON."""
    client = json.load(sys.stdin)
    found = {"python": by_python, "sh": by_shell}[client.pop("language")](**client)
    print(json.dumps(found, default=plain))


if __name__ == "__main__":
    main()
