"""How many connections there may be, and sockets that accept no more than that."""

from __future__ import annotations

import resource
import socket
import weakref
from typing import Any

MAX_CONNECTIONS = 512  # of each protocol
WATCHERS = 32  # connections for metrics and health, on a port of their own
REFUSED = 32  # further connections of a port at once, which are told that they are too many
# Files that are open beside connections: the model's, libraries', gRPC's; and the two lines above.
OTHER_FILES = 128


def most_connections() -> int:
    """How many connections of each protocol there may be: fewer where the process may open few files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, (soft - OTHER_FILES) // 2)
    return MAX_CONNECTIONS


class Listener(socket.socket):
    """A socket of a port that closes connections beyond a number, also before their TLS has begun.

    asyncio accepts as many as there are at once, and where the process may open no more files, it logs each
    of them thousands of times.
    """

    most = MAX_CONNECTIONS

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """Creates it, with the arguments of a socket."""
        super().__init__(*arguments, **more)
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accepts a connection.

        Raises:
            ConnectionAbortedError: it was one too many, and is closed.
        """
        connection, address = super().accept()
        if len(self._open) >= self.most:
            self._open = weakref.WeakSet(each for each in self._open if each.fileno() >= 0)
        if len(self._open) >= self.most:
            connection.close()
            raise ConnectionAbortedError("too many connections")
        self._open.add(connection)
        return connection, address
