"""Measures a training step: on the pipeline, on a batch that stays in memory, of bare Keras and of PyTorch.

    make setup-peers; python benchmarks/training.py
    python benchmarks/training.py --set spatial_augment_prob=0.25 --set patch_size=316 --set precision=float32

Cuts the bundled images into tiles like the pipeline, then times the network of the paper (`decoder=paper`,
cross-entropy, Adam) in four ways, one after the other in every round. Each is compared with the others of its
round, as a machine is not equally fast all the time; the median of these ratios counts:

the pipeline    the compiled step, fed by the tf.data pipeline
in memory       the same step on one batch that stays in memory: the difference is the cost of the data
bare Keras      `train_on_batch` of the network as Keras builds it, on that batch
PyTorch         the same network in eager PyTorch, channels_last, on a batch that stays in memory, in the
                same precision; where the environment of the peers is

The time of the data alone is the lower bound of a step on a faster device.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
PEERS = CHECKOUT / ".venv-peers/bin/python"
sys.path.insert(0, str(CHECKOUT))

from benchmarks import results, work  # noqa: E402


def tiles_of(settings: list[str], folder: Path) -> tuple:
    """Returns the configuration of a run on the bundled images, and the tiles of its training split."""
    from pipeline import graph
    from pipeline.config import profile
    from pipeline.engine import runner
    from pipeline.history.executions import Node
    from pipeline.root import Root

    class EnoughError(Exception):
        """The tiles are written; later nodes are not measured."""

    config = profile.load(overrides={"channels": 1, **profile.parse_overrides(settings)})
    found = []

    def end(node: Node) -> None:
        if node.name == "Transform":
            found.append(node.outputs["transformed_examples"][0].uri)
            raise EnoughError

    with contextlib.suppress(EnoughError):
        runner.run(graph.create_pipeline(config, Root(folder)), "benchmark", on_end=end)
    from unet.training.tiles import read_tiles

    return config, read_tiles([f"{found[0]}/Split-train/*.gz"])


def milliseconds(step: Callable[[], object], count: int) -> float:
    """Returns the median time of a call in milliseconds."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def bare_keras(settings: Any, channels: int) -> Any:
    """Compiles the network as anybody does who has Keras alone."""
    import keras

    from unet.network import create_unet
    from unet.training.build import precision_of

    keras.config.set_dtype_policy(precision_of(settings.precision))
    network = create_unet(
        (settings.patch_size, settings.patch_size, channels),
        base_filters=settings.base_filters,
        decoder=settings.decoder,
        activation=None,
    )
    keras.config.set_dtype_policy("float32")
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    return network


def pytorch(settings: Any, channels: int, steps: int) -> float:
    """Returns the median time of a step of PyTorch in milliseconds, measured in a process of its own."""
    from unet.training.build import precision_of

    words = ["step", "--filters", settings.base_filters, "--side", settings.patch_size, "--repeats", steps]
    words += ["--batch", settings.batch_size, "--channels", channels]
    words += ["--bfloat16"] if precision_of(settings.precision) == "mixed_bfloat16" else []
    command = [PEERS, CHECKOUT / "benchmarks/peers/speed.py", *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return 1000 * statistics.median(json.loads(done.stdout.splitlines()[-1])["seconds"])


def main() -> None:
    """Prints the milliseconds of a step in each way, and how many times that of the pipeline it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for run")
    parser.add_argument("--steps", type=int, default=40, help="steps of each way in a round (default: 40)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all ways (default: 5)")
    results.add_argument(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config, tiles = tiles_of(["decoder=paper", *options.set], Path(folder))
    from unet.training.batches import training_batches
    from unet.training.build import compile_network, precision_of
    from unet.training.loop import set_seed
    from unet.training.settings import TrainSettings

    settings = TrainSettings.of(config)
    set_seed(settings)
    network, bare = compile_network(settings, tiles), bare_keras(settings, tiles.channels)
    data = iter(training_batches(tiles, settings))
    alone = milliseconds(lambda: next(data), options.steps)
    x, y = next(data)
    classes = y[..., :1].numpy().clip(max=len(settings.classes) - 1)  # bare Keras knows no ignored pixels
    for _ in range(5):
        network.train_on_batch(x, y)
        bare.train_on_batch(x, classes)
    ways: dict[str, Callable[[], float]] = {
        "the pipeline": lambda: milliseconds(lambda: network.train_on_batch(*next(data)), options.steps),
        "in memory": lambda: milliseconds(lambda: network.train_on_batch(x, y), options.steps),
        "bare Keras": lambda: milliseconds(lambda: bare.train_on_batch(x, classes), options.steps),
    }
    if PEERS.exists():
        ways["PyTorch"] = lambda: pytorch(settings, tiles.channels, options.steps)
    rounds = [{name: measure() for name, measure in ways.items()} for _ in range(options.rounds)]
    parameters = bare.count_params()
    print(f"{parameters:,} parameters, {settings.patch_size} x {settings.patch_size} pixels, "
          f"{settings.batch_size} in a batch, {precision_of(settings.precision)}")  # fmt: skip
    print(f"{'the data alone':<14}{alone:10.1f} ms a batch")
    what = {key: getattr(settings, key) for key in ("base_filters", "patch_size", "batch_size")}
    what["precision"] = precision_of(settings.precision).removeprefix("mixed_")
    rate = work.multiplied(what["precision"])
    done = 3 * settings.batch_size * work.operations(bare)  # the gradients take twice what the outputs do
    found: dict[str, Any] = {"parameters": parameters, "operations": done, "multiplied": rate}
    found["data alone"] = alone
    for name in ways:
        times = [of[name] for of in rounds]
        found[name] = times
        taken = statistics.median(times)
        ratio = statistics.median(of["the pipeline"] / of[name] for of in rounds)
        print(f"{name:<14}{taken:10.1f} ms   the pipeline is {ratio:.3f} of it, "
              f"{1000 * done / taken / rate:.2f} of the rate of matrix multiplications")  # fmt: skip
    results.keep(options.json, "step", what, found)


if __name__ == "__main__":
    main()
