"""How many connections there are: beyond a number they are closed, also where few files may be open."""

from __future__ import annotations

import contextlib
import socket
import subprocess

import pytest

from serving.listener import MAX_CONNECTIONS, OTHER_FILES, Listener
from tests.serving.running import ROOT

ASKED = "from serving.listener import most_connections as most; print(most())"


@pytest.mark.parametrize(
    ("files", "connections"),
    [
        ("-n 300", (300 - OTHER_FILES) // 2),
        ("-n 100", 1),
        ("-S -n 300", MAX_CONNECTIONS),  # the process may raise it
        ("-n 4096", MAX_CONNECTIONS),
    ],
)
def test_the_number_follows_the_limit_of_open_files(files: str, connections: int):
    command = f"ulimit {files} && exec .venv/bin/python -c '{ASKED}'"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    if "ulimit" in done.stderr:
        pytest.skip("this process may not have so many files")
    assert (done.stdout, done.stderr) == (f"{connections}\n", "")


def test_connections_beyond_the_number_are_closed_and_others_have_room_again():
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(Listener())
        listener.most = 2
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        clients = [
            opened.enter_context(socket.create_connection(listener.getsockname(), timeout=60))
            for _ in range(4)
        ]
        first, second = (opened.enter_context(listener.accept()[0]) for _ in range(2))
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        assert clients[2].recv(1) == b""  # closed
        first.close()
        third = opened.enter_context(listener.accept()[0])
        for connection, client in ((second, clients[1]), (third, clients[3])):
            connection.sendall(b"x")
            assert client.recv(1) == b"x"
