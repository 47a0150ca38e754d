"""Measures the cost of the data in a training step: fed by the pipeline or by tensors in memory.

    python benchmarks/training.py
    python benchmarks/training.py --set spatial_augment_prob=0.25 --set patch_size=316

Cuts the bundled images into tiles like the pipeline, then times the same compiled step twice: fed by the
tf.data pipeline, and by one batch that stays in memory. Both alternate; their medians are compared. The time
of the data alone is the lower bound of a step on a faster device.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))


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


def main() -> None:
    """Prints the milliseconds of a step in both ways and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for run")
    parser.add_argument("--steps", type=int, default=40, help="steps in a round (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both twins (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config, tiles = tiles_of(options.set, Path(folder))
    from unet.training.batches import training_batches
    from unet.training.build import compile_network
    from unet.training.loop import set_seed
    from unet.training.settings import TrainSettings

    settings = TrainSettings.of(config)
    set_seed(settings)
    network = compile_network(settings, tiles)
    data = iter(training_batches(tiles, settings))
    alone = milliseconds(lambda: next(data), options.steps)
    stays = next(data)
    for _ in range(5):
        network.train_on_batch(*stays)
    rounds = []
    for _ in range(options.rounds):
        fed = milliseconds(lambda: network.train_on_batch(*next(data)), options.steps)
        memory = milliseconds(lambda: network.train_on_batch(*stays), options.steps)
        rounds.append((fed, memory))
    fed, memory = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"the data alone       {alone:8.1f} ms a batch")
    print(f"step on the pipeline {fed:8.1f} ms")
    print(f"step in memory       {memory:8.1f} ms")
    print(f"ratio                {fed / memory:8.3f}")


if __name__ == "__main__":
    main()
