"""No stranger stops the server: each attack is refused in one sentence, and others are answered."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from tests.serving.hostile.attack import CUT_OFF, Attack
from tests.serving.hostile.attacks import GROUPS, MOST_MEMORY
from tests.serving.hostile.messages import INFER, channel, image, infer, tensor
from tests.serving.limits import GOOD
from tests.serving.running import PATIENCE, PYTHON, Server, Watched, free_port, running

pytestmark = pytest.mark.server

SECONDS = 5  # that a client has to send a request
ATTACKS = [(group, attack) for group, attacks in GROUPS.items() for attack in attacks]
# What no sentence for people holds: nothing of the graph, the language, or the files of the machine.
INNER = re.compile(
    r"\n|map/while|Traceback|\.py\b|\bb'|\bobject at 0x|<class|\bdtype\(|\bNone\b"
    r"|(?:^|[\s'\"])/(?!v[12]/|[a-z]+\.)\w+/"
)


@pytest.fixture(scope="module")
def attacked(
    exported: dict[int, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Watched]]:
    """The server that all attacks meet, with its limits as they are, and its port for health."""
    folder = tmp_path_factory.mktemp("attacked")
    shutil.copytree(exported[1], folder / "unet/1")
    watched = Watched(free_port())
    flags = ("--receive-seconds", str(SECONDS), "--metrics-port", str(watched.port))
    with running([str(PYTHON), "-m", "serving"], folder / "unet", folder / "log", *flags) as started:
        yield started, watched
        assert "Traceback" not in started.log()
        assert " ERROR " not in started.log()


class Health(threading.Thread):
    """Asks for health without a pause; tells what was answered."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(daemon=True)
        self._watched, self._done = watched, threading.Event()
        self.found: list[int] = []

    def run(self) -> None:
        while not self._done.is_set() or not self.found:
            self.found.append(self._watched.request("GET", "/v2/health/ready")[0])
            self._done.wait(0.02)

    def __enter__(self) -> Health:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join(PATIENCE)


def most_memory(server: Server) -> int:
    """The most bytes of memory that the server ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+) kB", status, re.M)[0]) * 1024


def asked_by_grpc(server: Server) -> bytes:
    """The answer to a small image, as soon as the calls of an attack have ended that its clients left."""
    end = time.monotonic() + 4 * SECONDS
    with channel(server) as connection:
        while True:
            try:
                return connection.unary_unary(INFER)(infer(tensor(), image()), PATIENCE)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > end:
                    raise
                time.sleep(0.1)


@pytest.mark.parametrize(("group", "attack"), ATTACKS, ids=[f"{g}: {a.name}" for g, a in ATTACKS])
def test_an_attack_is_refused_and_stops_nobody(
    attacked: tuple[Server, Watched], expected: Callable[[bytes, int], bytes], group: str, attack: Attack
):
    server, watched = attacked
    with Health(watched) as health:
        replies = attack.send(server)
    assert {*health.found} == {200}
    right = {attack.status, *attack.may_be.split()}
    found = {reply.status for reply in replies}
    # Of an answer to a client that goes on sending, nothing may arrive.
    assert attack.status in found or (found == {CUT_OFF} and CUT_OFF in right)
    for reply in replies:
        assert reply.status in right, reply
        assert not INNER.search(reply.sentence), reply
        if reply.status == attack.status:
            assert attack.says in reply.sentence
        if reply.status == "503":
            assert reply.retry
    assert server.mask(GOOD) == expected(GOOD, 1)
    if group == "gRPC":
        assert expected(GOOD, 1) in asked_by_grpc(server)
    assert most_memory(server) < MOST_MEMORY
