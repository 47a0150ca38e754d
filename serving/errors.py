"""The error that refuses a request in every protocol."""

from __future__ import annotations

import re
from pathlib import Path

NO_LABELS = "there are no version labels: without one, the served version answers"
MOST_CHARACTERS = 1000  # of a message
MOST_QUOTED = 200  # of a text that a client sent, in a message


class Refused(Exception):
    """A request is refused, with a message for the client."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        """Creates the error.

        Args:
            status: HTTP status; other protocols map it to their own.
            message: one sentence that says what was wrong and what is valid.
            retry_after: seconds after which the client should try again, or None.
        """
        # gRPC clients take a few kilobytes; and what a client sent may be in it.
        message = message if len(message) <= MOST_CHARACTERS else f"{message[:MOST_CHARACTERS]} ..."
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


def bad_request(message: str) -> Refused:
    """Creates the error for an invalid request, which would fail again if repeated."""
    return Refused(400, message)


def quoted(text: str) -> str:
    """Returns a text that a client sent as messages show it.

    It is cut before: to quote that of the largest request takes seconds, in which no other thread runs.
    """
    return repr(text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]} ...")


def require_model(asked: str, name: str) -> None:
    """Refuses a request for another model than the one that is served."""
    if asked != name:
        raise Refused(404, f"there is no model {quoted(asked)}, only {name!r}")


def without_paths(reason: str, folder: Path) -> str:
    """What clients are told of why a version cannot be loaded: paths only from the folder of versions on.

    Args:
        reason: the message of an error.
        folder: folder of the versions.
    """
    told = reason.replace(f"{folder}/", "").replace(f"{folder.resolve()}/", "")
    told = re.sub(r"(?<![\w.])/(?:[^\s/'\":]+/)+", "", told)  # of any other path, the name is left
    return re.sub(r"\bb(?=['\"])", "", told)  # TensorFlow writes some paths as Python's bytes
