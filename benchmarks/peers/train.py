"""Trains a peer for some minutes and predicts the held-out images. Runs in the environment of that peer.

    train.py monai FOLDER --out OUT --minutes 5 --classes '{"background": 0, "nucleus": 255}'

FOLDER holds `manifest.csv` as of the pipeline; the splits train and eval are learned from, test is predicted.
OUT gets `NAME.npy` for each test image, float16 probabilities [2, H, W, classes]: as they are, and averaged
over the eight flips and quarter turns; and `facts.json`. The clock starts after the first step, in which
TensorFlow traces the network.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from benchmarks.peers import patches

SCHEDULES = {
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "polynomial": lambda share: (1 - share) ** 0.9,  # of nnU-Net
}


def make(name: str, channels: int, classes: int, side: int, bfloat16: bool, seed: int) -> Any:
    """Makes a peer; PyTorch or TensorFlow is loaded here, as each has an environment of its own."""
    if name == "keras":
        from benchmarks.peers.keras_example import KerasExample

        return KerasExample(channels, classes, bfloat16, seed)
    from benchmarks.peers.networks import TorchPeer

    return TorchPeer(name, channels, classes, side, bfloat16, seed)


def main() -> None:
    """Trains and predicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("peer", choices=("monai", "dynunet", "smp", "keras"))
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--classes", type=json.loads, required=True, help="value in the masks by class, as JSON"
    )
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--steps", type=int, help="training steps, instead of minutes")
    parser.add_argument("--bfloat16", action="store_true", help="train in bfloat16")
    parser.add_argument("--side", type=int, default=256, help="side of the patches (default: 256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    values = list(options.classes.values())
    images = patches.read(options.folder, values, {"train", "eval"})
    peer = make(
        options.peer, images[0][1].shape[0], len(values), options.side, options.bfloat16, options.seed
    )
    start, steps = time.monotonic(), 0

    def progress() -> float:
        if options.steps:
            return steps / options.steps
        return (time.monotonic() - start) / (60 * options.minutes)

    while (share := progress()) < 1:
        rate = peer.rate * SCHEDULES[peer.schedule](share)
        peer.step(*patches.batch_of(images, peer.batch, options.side, generator), rate)
        steps += 1
        if steps == 1:
            start = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, image, _ in patches.read(options.folder, values, {"test"}):
        both = [peer.probabilities(image), patches.averaged(peer.probabilities, image)]
        np.save(options.out / f"{name}.npy", np.stack(both).astype(np.float16))
    (options.out / "facts.json").write_text(json.dumps({"steps": steps, "parameters": peer.parameters}))


if __name__ == "__main__":
    main()
