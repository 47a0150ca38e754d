"""A server of what is pushed, and a client that asks it without a pause and notes each answer."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from serving.client import segment
from tools.torture.cases import NotHeld, Skipped
from tools.torture.place import CHECKOUT, wait_until

PYTHON = CHECKOUT / ".venv-serving" / "bin" / "python"
PATIENCE = 120.0  # seconds until the server is ready, or has taken up a version
PAUSE = 0.3  # seconds between two requests


class Client(threading.Thread):
    """Asks for the mask of one image again and again, from its `start` until `end`.

    Attributes:
        failures: what was answered instead of a mask.
        masks: of each version that answered, the hashes of its masks.
    """

    def __init__(self, url: str, image: bytes):
        """Args: url: address of the server. image: the bytes of an image file."""
        super().__init__(daemon=True)
        self._url, self._image, self._ended = url, image, threading.Event()
        self._lock = threading.Lock()
        self._answers, self._seen = 0, list[int]()
        self.failures: list[str] = []
        self.masks: dict[int, set[str]] = {}

    def version(self) -> int:
        """Asks which version is in service."""
        with urllib.request.urlopen(f"{self._url}/v1/models/unet/metadata", timeout=PATIENCE) as answer:
            return int(json.load(answer)["model_spec"]["version"])

    def run(self) -> None:
        """Asks until it is told to end."""
        while not self._ended.wait(PAUSE):
            try:
                before = self.version()
                mask = segment(self._image, self._url)
                after = self.version()
            except Exception as error:  # whatever it is, it is no mask
                self.failures.append(repr(error))
                continue
            with self._lock:
                self._answers += 1
                self._seen += [v for v in dict.fromkeys((before, after)) if [v] != self._seen[-1:]]
            if before == after:  # else it is not known which of them made the mask
                self.masks.setdefault(before, set()).add(hashlib.sha256(mask).hexdigest())

    def take(self) -> tuple[int, list[int]]:
        """Returns how many masks came since the last call, and from which versions, in their order."""
        with self._lock:
            answers, seen = self._answers, self._seen
            self._answers, self._seen = 0, seen[-1:]
        return answers, seen

    def expect(self, version: int) -> None:
        """Waits until a version has answered; raises `NotHeld` if it does not come into service."""
        if not wait_until(lambda: self._seen[-1:] == [version], PATIENCE):
            raise NotHeld(f"version {version} did not come into service in {PATIENCE:.0f} s")

    def end(self) -> None:
        """Ends it after the request that it waits for."""
        self._ended.set()
        self.join()


@contextlib.contextmanager
def served(folder: Path, log: Path, image: bytes) -> Iterator[Client]:
    """Starts a server of a folder of versions, and a client of it.

    Args:
        folder: folder of the versions.
        log: path of the server's log.
        image: the bytes of the image whose mask the client asks for.

    Raises:
        Skipped: there is no environment for the server.
    """
    require_server()
    flags = ["--model-dir", str(folder), "--http-port", "0", "--grpc-port", "0", "--poll-seconds", "0.2"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(PYTHON), "-m", "serving", *flags],
            stdout=file, stderr=file, stdin=subprocess.DEVNULL, cwd=CHECKOUT, start_new_session=True,
        )  # fmt: skip
    try:

        def address() -> str | None:
            found = re.search(r"127\.0\.0\.1:(\d+) and gRPC on port", log.read_text("utf-8"))
            return f"http://127.0.0.1:{found[1]}" if found else None

        wait_until(lambda: address() or process.poll() is not None, PATIENCE)
        if not (url := address()):
            raise NotHeld(f"the server did not start: {log.read_text('utf-8')[-300:]}")
        client = Client(url, image)

        def ready() -> bool:
            with contextlib.suppress(OSError):  # urllib's errors are some
                return bool(client.version())
            return False

        if not wait_until(ready, PATIENCE):
            raise NotHeld(f"the server has no version: {log.read_text('utf-8')[-300:]}")
        client.start()
        try:
            yield client
        finally:
            client.end()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def require_server() -> None:
    """Raises `Skipped` where the environment of the server is missing."""
    if not PYTHON.exists():
        raise Skipped("there is no .venv-serving: make setup-serving makes it")
