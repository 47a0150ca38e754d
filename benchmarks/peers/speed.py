"""Times the network of the paper in PyTorch: training steps, or a whole image. In the peers' own environment.

    speed.py step --filters 8 --side 444 --batch 2
    speed.py whole --filters 8 --size 2048
    speed.py sliding --filters 8 --size 2048

step      a step of Adam on one batch that stays in memory; valid convolutions, cross-entropy
whole     one pass over the whole image, mirrored at its border; valid convolutions
sliding   MONAI's sliding window: half-overlapping patches of 576 pixels with Gaussian weights, four in a
          batch; convolutions that keep the size
Prints the seconds of each repetition and the peak memory in bytes, as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from benchmarks.passes import seconds_of
from benchmarks.peers.twin import Twin

HALO = 92  # of four poolings


def step(options: argparse.Namespace) -> Callable[[], object]:
    """Returns a function that does a training step."""
    network = Twin(options.filters, options.channels).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    x = torch.randn(options.batch, options.channels, options.side, options.side)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 2, (options.batch, options.side - 2 * HALO, options.side - 2 * HALO))

    def run() -> object:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            logits = network(x)
        loss = functional.cross_entropy(logits.float(), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def image_of(options: argparse.Namespace) -> np.ndarray:
    """Returns an image of noise, [size, size] float32."""
    image = np.random.default_rng(0).integers(0, 256, (options.size, options.size), np.uint8)
    return (image.astype(np.float32) - 128) / 60


def whole(options: argparse.Namespace) -> Callable[[], object]:
    """Returns a function that predicts an image in one pass."""
    network, image = Twin(options.filters).eval(), image_of(options)
    after = HALO + (4 - options.size) % 16

    def run() -> object:
        x = np.pad(image, [(HALO, after)] * 2, mode="reflect")
        with torch.inference_mode():
            tensor = torch.from_numpy(x)[None, None].to(memory_format=torch.channels_last)
            return network(tensor)[0, :, : options.size, : options.size].argmax(0).numpy()

    return run


def sliding(options: argparse.Namespace) -> Callable[[], object]:
    """Returns a function that predicts an image by MONAI's sliding window."""
    network, image = Twin(options.filters, padded=True).eval(), image_of(options)

    def run() -> object:
        with torch.inference_mode():
            x = torch.from_numpy(image)[None, None].to(memory_format=torch.channels_last)
            return sliding_window_inference(x, 576, 4, network, 0.5, "gaussian")[0].argmax(0).numpy()

    return run


def main() -> None:
    """Warms up, measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ways = {"step": step, "whole": whole, "sliding": sliding}
    parser.add_argument("way", choices=ways)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--side", type=int, default=444, help="of the training patches")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=2048, help="side of the whole image")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bfloat16", action="store_true", help="train with autocast")
    options = parser.parse_args()
    run = ways[options.way](options)
    seconds = seconds_of(run, options.repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "bytes": peak}))


if __name__ == "__main__":
    main()
