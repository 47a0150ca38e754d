"""Measures speed and memory of the exported model and of other ways to apply the same network to an image.

    python benchmarks/inference.py
    python benchmarks/inference.py --size 4096 --filters 8 --only aligned
    python benchmarks/inference.py --torch ~/torch/bin/python      # an interpreter that has PyTorch

Each way runs in its own process, to measure its peak memory, on the same image of noise, with untrained
weights: one warm-up pass, then the fastest of `--repeats` passes.

aligned       what is exported: the tiles of `unet.tiling.plan_image`
naive         tiles of 572 pixels, 388 apart, one after the other: the usual code, with seams
half          patches of 572 pixels, 194 apart, whose probabilities are averaged: the usual sliding window
torch         the same network in PyTorch, eager, channels_last, one pass over the whole image
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parent.parent
WINDOW, STRIDE, HALO = 572, 388, 92


def keras_network(filters: int) -> Any:
    """Creates the paper's network for one channel and any size, with logits as outputs."""
    sys.path.insert(0, str(CHECKOUT))
    import keras

    from unet.network import create_unet

    keras.utils.set_random_seed(0)
    return create_unet((None, None, 1), base_filters=filters, decoder="paper", activation=None)


def aligned(image: np.ndarray, filters: int, memory: float) -> Callable[[], object]:
    """Returns a function that runs the exported model's own graph."""
    network = keras_network(filters)
    from unet.export.graph import Segmenter
    from unet.tiling import Geometry, tile_area

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


def torch_whole(image: np.ndarray, filters: int) -> Callable[[], object]:
    """Returns a function that runs the same network in PyTorch."""
    import torch
    from torch import nn
    from torch.nn import functional

    def pair(inner: int, outer: int) -> nn.Sequential:
        relu = nn.ReLU(inplace=True)
        return nn.Sequential(nn.Conv2d(inner, outer, 3), relu, nn.Conv2d(outer, outer, 3), relu)

    widths = [filters * 2**i for i in range(5)]
    downs = nn.ModuleList(pair(a, b) for a, b in zip([1, *widths], widths, strict=False))
    ups = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
    joins = nn.ModuleList(pair(2 * w, w) for w in reversed(widths[:-1]))
    last = nn.Conv2d(filters, 2, 1)
    for module in (downs, ups, joins, last):
        module.to(memory_format=torch.channels_last)

    def network(x: torch.Tensor) -> torch.Tensor:
        skips = []
        for i, down in enumerate(downs):
            x = down(functional.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for up, join, skip in zip(ups, joins, reversed(skips[:-1]), strict=True):
            x = up(x)
            cut = (skip.shape[-1] - x.shape[-1]) // 2
            x = join(torch.cat([skip[..., cut:-cut, cut:-cut], x], 1))
        return last(x)

    after = HALO + (4 - image.shape[0]) % 16

    def run() -> object:
        x = np.pad((image.astype(np.float32) - 128) / 60, [(HALO, after)] * 2, mode="reflect")
        with torch.inference_mode():
            tensor = torch.from_numpy(x)[None, None].to(memory_format=torch.channels_last)
            return network(tensor)[0, :, : image.shape[0], : image.shape[1]].argmax(0).numpy()

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
        "torch": lambda: torch_whole(image, filters),
    }[way]()
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"rate": size * size / min(times) / 1e6, "gigabytes": peak}))


def main() -> None:
    """Prints a table: megapixels a second, peak memory, and the speed-up of the exported model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="side of the image (default: 2048)")
    parser.add_argument("--filters", type=int, nargs="+", default=[8, 16], help="of the first level")
    parser.add_argument("--only", nargs="+", default=["aligned", "naive", "half"], metavar="WAY")
    parser.add_argument("--torch", metavar="PYTHON", help="interpreter that has PyTorch and NumPy")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of so many counts (default: 3)")
    parser.add_argument("--memory", type=float, default=1.5, help="the setting serving_memory (default: 1.5)")
    parser.add_argument("--one", metavar="WAY", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.size, options.filters[0], options.repeats, options.memory)
        return
    print(f"{options.size} x {options.size} pixels\nfilters  way       megapixels/s  peak GB  aligned is")
    for filters in options.filters:
        ways = [(way, sys.executable) for way in options.only]
        ways += [("torch", options.torch)] if options.torch else []
        first = None
        for way, python in ways:
            command = [python, __file__, "--one", way, "--size", options.size, "--filters", filters]
            command += ["--repeats", options.repeats, "--memory", options.memory]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            first = first or found["rate"]
            times = f"{first / found['rate']:10.2f} x"
            print(f"{filters:7}  {way:9} {found['rate']:12.2f} {found['gigabytes']:8.2f} {times}", flush=True)


if __name__ == "__main__":
    main()
