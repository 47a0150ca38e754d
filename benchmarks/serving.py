"""Measures the overhead of the server over the bare model, and small images beside large ones.

    python benchmarks/serving.py overhead
    python benchmarks/serving.py mixed

`overhead` times the same 512x512 image, alternating between a request to the server and a call of the
SavedModel in a process with the same environment and settings. `mixed` times images of 64 pixels alone and
beside two clients that send images of 2,000 pixels, and then how long a pushed version, and a rollback, take
to answer; it exits with 1 if the small images take more than three times as long (p95), a push 10 s or a
rollback 5 s. Both serve a copy of the newest version, on this machine alone, and end by themselves.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import io
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from benchmarks import results  # noqa: E402

PYTHON = CHECKOUT / ".venv-serving/bin/python"
IMAGE = CHECKOUT / "data/nuclei/images/00071198d059.png"
JSON = {"Content-Type": "application/json"}
PREDICT = "/v1/models/unet:predict"

# Loads the model as the server does and times one call for each line on its standard input.
BARE = """
import os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["TF_ENABLE_ONEDNN_OPTS"] = "2", "1"
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
serve, image = model.signatures["serving_default"], open(sys.argv[2], "rb").read()
for line in sys.stdin:
    start = time.perf_counter()
    serve(image_bytes=tf.constant([image]))["mask_bytes"].numpy()
    print(time.perf_counter() - start, flush=True)
"""


class Server:
    """The server in its own process."""

    def __init__(self, folder: Path, log: Path) -> None:
        command = [str(PYTHON), "-m", "serving", "--model-dir", str(folder), "--http-port", "0"]
        with log.open("wb") as file:
            self.process = subprocess.Popen([*command, "--grpc-port", "0"], cwd=CHECKOUT, stderr=file)
        while not (found := re.search(r"127\.0\.0\.1:(\d+) ", log.read_text())) or not self.ready(found[1]):
            if self.process.poll() is not None or " ERROR " in log.read_text():
                self.process.kill()
                raise SystemExit(log.read_text())
            time.sleep(0.1)

    def ready(self, port: str) -> bool:
        """Whether the server is ready."""
        self.port = int(port)
        with contextlib.suppress(OSError):
            return self.send("GET", "/health/ready")[0] == 200
        return False

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        """Sends a request on a new connection; returns status, headers and body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=150)
        with contextlib.closing(connection):
            connection.request(method, path, body, JSON)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()

    def mebibytes(self) -> float:
        """Returns the resident memory of the server in MiB."""
        text = self.send("GET", "/metrics")[2].decode()
        return float(re.findall(r"^process_resident_memory_bytes (\S+)", text, re.M)[0]) / 2**20


@contextlib.contextmanager
def serving(models: Path) -> Iterator[tuple[Server, Path]]:
    """Starts a server of the newest version in a new folder; yields the server and the folder."""
    versions = sorted((int(path.name), path) for path in models.glob("[0-9]*") if path.name.isdigit())
    if not versions:
        raise SystemExit(f"there is no version in {models}: train one first (make run), or name --models")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(versions[-1][1], Path(folder, "unet/1"))
        server = Server(Path(folder, "unet"), Path(folder, "log"))
        try:
            yield server, Path(folder, "unet")
        finally:
            server.process.terminate()
            server.process.wait(60)


def png(side: int) -> bytes:
    """Draws a square image of nuclei with `side` pixels."""
    tile = Image.open(IMAGE).convert("L")
    image = Image.new("L", (side, side))
    for x in range(0, side, tile.width):
        for y in range(0, side, tile.height):
            image.paste(tile, (x, y))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def request(*images: bytes) -> bytes:
    """Returns the body of a predict call."""
    return json.dumps({"instances": [{"b64": base64.b64encode(image).decode()} for image in images]}).encode()


# ---- Overhead ----


def overhead(models: Path, rounds: int, file: Path | None) -> int:
    """Prints the median times of both and their ratio, and keeps the times in a file if there is one."""
    with serving(models) as (server, folder):
        image = folder.parent / "image.png"
        image.write_bytes(png(512))
        body = request(image.read_bytes())
        command = [str(PYTHON), "-c", BARE, str(folder / "1"), str(image)]
        pipe, silent = subprocess.PIPE, subprocess.DEVNULL
        bare = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=silent, text=True)
        assert bare.stdin is not None
        assert bare.stdout is not None
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        times: dict[str, list[float]] = {"bare": [], "server": []}
        for _ in range(5 + rounds):
            bare.stdin.write("\n")
            bare.stdin.flush()
            times["bare"].append(float(bare.stdout.readline()))
            start = time.perf_counter()
            connection.request("POST", PREDICT, body, JSON)
            response = connection.getresponse()
            response.read()
            times["server"].append(time.perf_counter() - start)
            assert response.status == 200
        connection.close()
        bare.stdin.close()
        bare.wait(60)
    medians = {name: 1000 * statistics.median(values[5:]) for name, values in times.items()}  # 5 to warm up
    ratio = medians["server"] / medians["bare"]
    print(f"512x512, {rounds} rounds, p50:", ", ".join(f"{k} {v:.1f} ms" for k, v in medians.items()))
    results.keep(file, "server", {"what": "overhead"}, medians)
    print(f"overhead: {100 * (ratio - 1):.1f} %")
    return 0 if ratio <= 1.15 else 1


# ---- Mixed sizes ----


def mixed(models: Path, rounds: int) -> int:
    """Prints times of small images alone and beside large ones, of a push, a rollback, and the memory."""
    small, large = request(png(64)), request(png(2000))
    with serving(models) as (server, folder):
        timed(server, small, 20)  # warms up
        idle = timed(server, small, rounds)
        memory, answered, end = [server.mebibytes()], list[float](), threading.Event()

        def send_large() -> None:
            while not end.is_set():
                answered.extend(timed(server, large, 1))

        threads = [threading.Thread(target=send_large) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(5)
        busy = list[float]()
        for _ in range(10):
            busy += timed(server, small, rounds // 10)
            memory.append(server.mebibytes())
        shutil.copytree(folder / "1", folder / ".pushing")
        (folder / ".pushing/another").touch()  # or the server would know it
        (folder / ".pushing").rename(folder / "2")
        pushed = until_answered(server, small, 2)
        (folder / "2").rename(folder / "2.bad")
        rolled_back = until_answered(server, small, 1)
        end.set()
        for thread in threads:
            thread.join()
        memory.append(server.mebibytes())
        time.sleep(5)
        left = server.mebibytes()
    print(f"{rounds} images of 64 pixels, beside {len(answered)} of 2,000 pixels from two clients:")
    for name, values in (("alone", idle), ("beside them", busy), ("of 2,000 pixels", answered)):
        p50, p95 = (1000 * sorted(values)[min(len(values) - 1, int(len(values) * q))] for q in (0.5, 0.95))
        print(f"  {name:16} p50 {p50:7.0f} ms, p95 {p95:7.0f} ms")
    ratio = sorted(busy)[int(0.95 * len(busy))] / sorted(idle)[int(0.95 * len(idle))]
    print(f"p95 beside them is {ratio:.1f} times that alone")
    print(f"under this load a push answers after {pushed:.1f} s, a rollback after {rolled_back:.1f} s")
    print(f"memory at the start {memory[0]:.0f}, peak {max(memory):.0f}, afterwards {left:.0f} MiB")
    return 0 if ratio <= 3 and pushed <= 10 and rolled_back <= 5 else 1


def timed(server: Server, body: bytes, rounds: int) -> list[float]:
    """Sends a request several times; returns the seconds of each."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        status, _, answer = server.send("POST", PREDICT, body)
        found.append(time.perf_counter() - start)
        assert status == 200, answer
    return found


def until_answered(server: Server, body: bytes, version: int) -> float:
    """Returns the seconds until a version answers."""
    start = time.perf_counter()
    while server.send("POST", f"/v1/models/unet/versions/{version}:predict", body)[0] != 200:
        assert time.perf_counter() - start < 600
        time.sleep(0.05)
    return time.perf_counter() - start


def main() -> int:
    """Parses the command line and runs a benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["overhead", "mixed"])
    parser.add_argument(
        "--models", type=Path, default=CHECKOUT / "runs/serving/unet", help="folder of versions"
    )
    parser.add_argument("--rounds", type=int, default=100, help="of the overhead, and of mixed sizes")
    results.add_argument(parser)
    arguments = parser.parse_args()
    if arguments.what == "overhead":
        return overhead(arguments.models, arguments.rounds, arguments.json)
    return mixed(arguments.models, arguments.rounds)


if __name__ == "__main__":
    sys.exit(main())
