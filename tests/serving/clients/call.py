"""What a client is: a package as its users set it up, and calls with what is answered to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mask:
    """The mask of an image, as the SavedModel itself makes it, where it stands in an answer."""

    image: str

    def __repr__(self) -> str:
        return f"mask of {self.image}"


MASK, OTHER_MASK = Mask("image.png"), Mask("other.jpg")


@dataclass(frozen=True)
class Call:
    """A call, and what is answered.

    Args:
        code: the call as its users write it, behind the setup of its client.
        value: what comes, as JSON has it.
        status: in place of a value, the status of a refusal.
        says: what the sentence of a refusal says.
        words: the value in words, where a page has no room for it.
    """

    code: str
    value: Any = None
    status: str = ""
    says: str = ""
    words: str = ""


def refused(status: str, says: str, *codes: str) -> list[Call]:
    """Calls that are refused alike."""
    return [Call(code, status=status, says=says) for code in codes]


@dataclass(frozen=True, eq=False)
class Client:
    """A client, and calls of it.

    Args:
        name: of the package or class.
        about: a sentence on it, for the page.
        python: runs it: an interpreter of the checkout, and its options.
        setup: what its users write before any call, with the server's default ports.
        refusal: status and sentence of `error`, an exception; empty for a shell.
        calls: one after the other.
        objects: names of the setup each of whose methods must be in a call.
        language: what setup and calls are written in, python or sh.
    """

    name: str
    about: str
    python: str
    setup: str
    refusal: str
    calls: list[Call]
    objects: tuple[str, ...] = ()
    language: str = "python"
