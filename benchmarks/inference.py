"""Measures speed and memory of the exported model and of other ways to apply the same network to an image.

    python benchmarks/inference.py
    python benchmarks/inference.py --size 4096 --filters 8 --only aligned
    make setup-peers; python benchmarks/inference.py --size 512    # beside PyTorch and MONAI, too

Each way runs in its own process, to measure its peak memory, on the same image of noise, with untrained
weights: one warm-up pass, then the fastest of `--repeats` passes; one pass alone where it takes over 20 s.

aligned       what is exported: the tiles of `unet.tiling.plan_image`
naive         tiles of 572 pixels, 388 apart, one after the other: the usual code, with seams
half          patches of 572 pixels, 194 apart, whose probabilities are averaged: the usual sliding window
whole         the same network in PyTorch, eager, channels_last, one pass over the whole image
sliding       a U-Net of the same size in PyTorch, by MONAI's sliding window: half-overlapping patches of 576

The last two where the environment of the peers is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parent.parent
PEERS = CHECKOUT / ".venv-peers/bin/python"
WINDOW, STRIDE, HALO = 572, 388, 92
sys.path.insert(0, str(CHECKOUT))

from benchmarks import results, work  # noqa: E402
from benchmarks.passes import seconds_of  # noqa: E402
from unet.tiling import Geometry  # noqa: E402


def keras_network(filters: int, side: int | None = None) -> Any:
    """Creates the paper's network for one channel and a size, or any, with logits as outputs."""
    import keras

    from unet.network import create_unet

    keras.utils.set_random_seed(0)
    return create_unet((side, side, 1), base_filters=filters, decoder="paper", activation=None)


def aligned(image: np.ndarray, filters: int, memory: float) -> Callable[[], object]:
    """Returns a function that runs the exported model's own graph."""
    network = keras_network(filters)
    from unet.export.graph import Segmenter
    from unet.tiling import tile_area

    area = tile_area(1e9 * memory, filters, Geometry())
    segmenter = Segmenter(network, Geometry(), 1, 128.0, 60.0, (0, 255), max_area=area)
    return lambda: segmenter.segment(image[..., None])


def windows(image: np.ndarray, filters: int, stride: int) -> Callable[[], object]:
    """Returns a function that predicts patches of a fixed size and averages overlapping probabilities."""
    network = keras_network(filters)
    import tensorflow as tf

    predict = tf.function(lambda x: tf.nn.softmax(network(x, training=False)))
    out = WINDOW - 2 * HALO
    height, width = image.shape
    tops, lefts = (range(0, max(1, side - out + stride), stride) for side in (height, width))
    reach = [(HALO, HALO + axis[-1] + out - side) for axis, side in ((tops, height), (lefts, width))]

    def run() -> object:
        x = np.pad((image.astype(np.float32) - 128) / 60, reach, mode="reflect")
        if stride == out:
            mask = np.empty((tops[-1] + out, lefts[-1] + out), np.uint8)
            for top in tops:
                for left in lefts:
                    p = predict(x[None, top : top + WINDOW, left : left + WINDOW, None])
                    mask[top : top + out, left : left + out] = tf.argmax(p[0], -1)
            return mask[:height, :width]
        total = np.zeros((tops[-1] + out, lefts[-1] + out, 2), np.float32)
        count = np.zeros((*total.shape[:2], 1), np.float32)
        for top in tops:
            for left in lefts:
                p = predict(x[None, top : top + WINDOW, left : left + WINDOW, None])
                total[top : top + out, left : left + out] += p[0]
                count[top : top + out, left : left + out] += 1
        return (total / count).argmax(-1)[:height, :width]

    return run


def one(way: str, size: int, filters: int, repeats: int, memory: float) -> None:
    """Measures one way and prints a JSON object."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    image = np.random.default_rng(0).integers(0, 256, (size, size), np.uint8)
    run = {
        "aligned": lambda: aligned(image, filters, memory),
        "naive": lambda: windows(image, filters, STRIDE),
        "half": lambda: windows(image, filters, STRIDE // 2),
    }[way]()
    times = seconds_of(run, repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # Of the network at a size that it takes, without what the tiles share: what any way has to do at least.
    side = Geometry().nearest_valid_size(size + 2 * HALO)[1]
    fewest = work.operations(keras_network(filters, side)) * (size / (side - 2 * HALO)) ** 2
    share = fewest / min(times) / work.multiplied("float32")
    print(json.dumps({"seconds": times, "bytes": peak, "of the matrix multiplications": share}))


def main() -> int:
    """Prints a table: megapixels a second, peak memory, and the speed-up of the exported model.

    Returns:
        1 if a way of this project failed; a peer may have too little memory for an image.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="side of the image (default: 2048)")
    parser.add_argument("--filters", type=int, nargs="+", default=[8, 16], help="of the first level")
    peers = ["whole", "sliding"]
    ways = ["aligned", "naive", "half", *(peers if PEERS.exists() else [])]
    parser.add_argument("--only", nargs="+", default=ways, metavar="WAY")
    parser.add_argument("--repeats", type=int, default=3, help="passes, of which the fastest counts")
    parser.add_argument("--memory", type=float, default=1.5, help="the setting serving_memory (default: 1.5)")
    parser.add_argument("--one", metavar="WAY", help=argparse.SUPPRESS)
    results.add_argument(parser)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.size, options.filters[0], options.repeats, options.memory)
        return 0
    print(
        f"{options.size} x {options.size} pixels\n"
        "filters  way       megapixels/s  peak GB  aligned is  of matmul"
    )
    failed = 0
    for filters in options.filters:
        first: float | None = None
        for way in options.only:
            if way in peers:
                command = [PEERS, CHECKOUT / "benchmarks/peers/speed.py", way]
            else:
                command = [sys.executable, __file__, "--memory", options.memory, "--one", way]
            command += ["--size", options.size, "--filters", filters, "--repeats", options.repeats]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            if done.returncode:  # a whole image of PyTorch can take more memory than there is
                why = (done.stderr.splitlines() or ["killed"])[-1]
                print(f"{filters:7}  {way:9} failed: {why}", flush=True)
                failed += way not in peers
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            results.keep(options.json, "image", {"size": options.size, "filters": filters, "way": way}, found)
            rate = options.size**2 / min(found["seconds"]) / 1e6
            first = rate if way == "aligned" else first
            peak, times = found["bytes"] / 1e9, f"{first / rate:10.2f} x" if first else " " * 12
            share = found.get("of the matrix multiplications", float("nan"))
            print(f"{filters:7}  {way:9} {rate:12.2f} {peak:8.2f} {times} {share:9.2f}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
