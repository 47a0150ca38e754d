"""Measures the server under load: many clients, images of all sizes, pushes and withdrawals.

    python benchmarks/server_load.py --minutes 10

32 clients send valid, invalid and huge requests of all sizes, while a new version is pushed every 15 s and
withdrawn twice. Prints statuses, times and memory. Exits with 1 if a request was dropped, got a wrong status
(503 with Retry-After is right) or a mask of a version that was not in service between its sending and its
answer, or if the memory grew. Serves a copy of the newest version, on this machine alone, and ends by itself.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import os
import random
import re
import shutil
import statistics
import sys
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from benchmarks.serving import PREDICT, Server, png, request, serving, until_answered  # noqa: E402

MOST_REQUESTS = 100_000
PUSH_SECONDS = 15


def shifted(version: Path, by: float) -> None:
    """Changes what a copy of a version answers: adds to the bias of its last convolution's second class."""
    import tensorflow as tf

    prefix = str(version / "variables/variables")
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    tensors = {name: tf.constant(reader.get_tensor(name)) for name in sorted(shapes)}
    # The weights are numbered from the input to the output.
    biases = [name for name, shape in shapes.items() if shape == [2] and "_weights/" in name]
    last = max(biases, key=lambda name: int(name.split("/")[1]))
    tensors[last] += tf.constant([0, by])
    shutil.rmtree(version / "variables")
    (version / "variables").mkdir()
    names = list(tensors)
    shard = f"{prefix}-unmerged"
    tf.raw_ops.SaveV2(
        prefix=shard, tensor_names=names, shape_and_slices=[""] * len(names), tensors=[*tensors.values()]
    )
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[shard], destination_prefix=prefix)


def push(source: Path, version: Path) -> None:
    """Puts a copy into the folder of versions, whole at once."""
    hidden = version.with_name(".pushing")
    shutil.copytree(source, hidden)
    hidden.rename(version)


def mix() -> list[tuple[str, float, int, bytes]]:
    """Returns the kinds of requests: name, weight, expected status, body."""
    small, cut = png(256), png(512)[:4000]
    return [
        ("64x64", 30, 200, request(png(64))),
        ("256x256", 30, 200, request(small)),
        ("512x512", 20, 200, request(png(512))),
        ("four of 256x256", 8, 200, request(*[small] * 4)),
        ("1500x1500", 2, 200, request(png(1500))),
        ("2500x2500", 1, 200, request(png(2500))),
        ("garbage", 5, 400, request(b"garbage" * 100)),
        ("cut short", 5, 400, request(cut)),
        ("no JSON", 5, 400, b'{"instances": ['),
        ("no instances", 5, 400, b'{"instances": []}'),
        ("70 MB", 1, 413, bytes(70 * 10**6)),
    ]


class Load:
    """Clients, the responses that they received, and the versions that were served meanwhile.

    Versions of odd and even numbers answer with different masks, and are served in turn, so that a mask tells
    whether it is of the version that was served when it was asked for, or of one that came before the answer.
    """

    def __init__(self, server: Server, seconds: float) -> None:
        self.server, self.seconds = server, seconds
        self.kinds = mix()
        self.masks: dict[tuple[str, int], bytes] = {}  # the answer by kind, and by the number modulo two
        # From when on which versions may answer: that in service; two while one replaces another.
        self.changes: list[tuple[float, set[int]]] = []
        self.statuses: collections.Counter[int] = collections.Counter()
        self.wrong: list[str] = []
        self.stale: list[str] = []
        self.dropped: list[str] = []
        self.times: dict[str, list[float]] = collections.defaultdict(list)
        self._lock = threading.Lock()

    def learn(self, version: int) -> None:
        """Asks the server alone for the answers of a version."""
        for name, _, status, body in self.kinds:
            if status == 200:
                self.masks[name, version % 2] = self.server.send("POST", PREDICT, body)[2]
        self.change(version)

    def change(self, *versions: int) -> None:
        """Records which versions may answer from now on."""
        self.changes.append((time.monotonic(), set(versions)))

    def may_answer(self, since: float) -> set[int]:
        """Returns the versions that may have answered at any time since then."""
        first = max(i for i, (start, _) in enumerate(self.changes) if start <= since)
        return set().union(*(versions for _, versions in self.changes[first:]))

    def start(self) -> None:
        """Starts the time."""
        self.end = time.monotonic() + self.seconds

    def client(self, seed: int) -> None:
        """Sends one request after the other until the end of the benchmark."""
        chosen = random.Random(seed)
        while time.monotonic() < self.end and sum(self.statuses.values()) < MOST_REQUESTS:
            name, _, right, body = chosen.choices(self.kinds, [kind[1] for kind in self.kinds])[0]
            start = time.monotonic()
            try:
                status, headers, answer = self.server.send("POST", PREDICT, body)
            except (OSError, http.client.HTTPException) as error:
                self.dropped.append(f"{name}: {error!r}")
                continue
            served = self.may_answer(start)
            with self._lock:
                self.statuses[status] += 1
                self.times[name].append(time.monotonic() - start)
                if status == 503 and "retry-after" in headers:
                    continue
                if status != right:
                    self.wrong.append(f"{name}: {status} {answer[:200]!r}")
                elif status == 200 and answer not in [self.masks[name, number % 2] for number in served]:
                    self.stale.append(f"{name}: not of {served}")


def change_versions(folder: Path, sources: list[Path], load: Load) -> tuple[int, int]:
    """Pushes a version every 15 s, but withdraws the newest after a third and two thirds of the time.

    Returns:
        The numbers of pushes and of withdrawals.
    """
    pushed = withdrawn = 0
    versions, bad = [1, 2], 0
    began = time.monotonic()
    while time.monotonic() + PUSH_SECONDS < load.end:
        time.sleep(PUSH_SECONDS)
        due = withdrawn < 2 and time.monotonic() - began > load.seconds * (withdrawn + 1) / 3
        if due and len(versions) > 1:
            bad = versions.pop()
            load.change(bad, versions[-1])
            (folder / str(bad)).rename(folder / f"{bad}.bad")
            withdrawn += 1
        else:
            # The next number that is not taken, and that answers otherwise than the newest version.
            number = bad + 2 if versions[-1] < bad else versions[-1] + 1
            load.change(versions[-1], number)
            push(sources[number % 2], folder / str(number))
            versions.append(number)
            pushed += 1
            if len(versions) > 2:
                shutil.rmtree(folder / str(versions.pop(0)))
        until_answered(load.server, request(png(64)), versions[-1])
        load.change(versions[-1])
    return pushed, withdrawn


def under_load(models: Path, minutes: float, clients: int) -> int:
    """Prints the clients' results and the memory over time; returns 1 if any of them is wrong."""
    with serving(models) as (server, folder):
        load = Load(server, 60 * minutes)
        sources = [folder.parent / "even", folder.parent / "odd"]
        for source in sources:
            shutil.copytree(folder / "1", source)
        shifted(sources[0], 1.0)
        load.learn(1)
        push(sources[0], folder / "2")
        until_answered(server, request(png(64)), 2)
        load.learn(2)
        alike = [name for name, parity in load.masks if load.masks[name, 0] == load.masks[name, 1]]
        assert not alike, f"both versions answer alike: {alike}"
        memory: list[float] = []
        load.start()
        threads = [threading.Thread(target=load.client, args=[seed]) for seed in range(clients)]
        changed: list[tuple[int, int]] = []
        threads.append(
            threading.Thread(target=lambda: changed.append(change_versions(folder, sources, load)))
        )
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(1)
            memory.append(server.mebibytes())
        text = server.send("GET", "/metrics")[2].decode()
        (current,) = re.findall(r"^serving_model_version (\S+)", text, re.M)
    answered = ", ".join(f"{status}: {count}" for status, count in sorted(load.statuses.items()))
    print(f"{clients} clients, {minutes:g} minutes, {sum(load.statuses.values())} answers: {answered}")
    pushed, withdrawn = changed[0]
    print(
        f"{pushed} versions pushed, {withdrawn} withdrawn; at the end {current} is served, "
        f"and should be {load.changes[-1][1]}"
    )
    for name, values in load.times.items():
        values.sort()
        p50, p99 = (1000 * values[min(len(values) - 1, int(len(values) * q))] for q in (0.5, 0.99))
        print(f"  {name:16} {len(values):6} answers, p50 {p50:7.0f} ms, p99 {p99:7.0f} ms")
    failures = {"dropped": load.dropped, "another status": load.wrong, "stale masks": load.stale}
    for title, found in failures.items():
        print(f"{title}: {len(found)}", *found[:5], sep="\n  ")
    # Single requests cause peaks; a leak would raise the level, so thirds of the time are compared.
    third = len(memory) // 3
    levels = [statistics.median(memory[i * third : (i + 1) * third]) for i in range(3)]
    print("memory, median of each third: " + ", ".join(f"{level:.0f}" for level in levels), end=" MiB; ")
    print(f"at the start {memory[0]:.0f}, at the end {memory[-1]:.0f}, peak {max(memory):.0f} MiB")
    flat = levels[2] < 1.1 * levels[1]
    return 0 if not any(failures.values()) and {float(current)} == load.changes[-1][1] and flat else 1


def main() -> int:
    """Parses the command line and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--models", type=Path, default=CHECKOUT / "runs/serving/unet", help="folder of versions"
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    return under_load(options.models, options.minutes, options.clients)


if __name__ == "__main__":
    sys.exit(main())
