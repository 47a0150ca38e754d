"""The one way to turn a request down, whatever the protocol."""

from __future__ import annotations


class Refused(Exception):
    """A request that is not answered, with a message for the client."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        """A refusal.

        Args:
            status: of HTTP; other protocols say the same in their words.
            message: one sentence, what was wrong and what would be right.
            retry_after: seconds after which another try makes sense.
        """
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


def bad_request(message: str) -> Refused:
    """A request that is wrong in itself: sent again, it will be refused again."""
    return Refused(400, message)
