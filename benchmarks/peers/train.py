"""Trains a peer for some minutes and predicts the held-out images. Runs in the peers' own environment.

    train.py monai FOLDER --out OUT --minutes 5 --classes '{"background": 0, "nucleus": 255}'

FOLDER holds `manifest.csv` as of the pipeline; the splits train and eval are learned from, test is predicted.
OUT gets `NAME.npy` for each test image, float16 probabilities [2, H, W, classes]: as they are, and averaged
over the eight flips and quarter turns; and `facts.json`. The clock starts before the first step.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from benchmarks.peers.networks import make


def read(folder: Path, values: list[int], splits: set[str]) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Reads names, images [channels, H, W] of mean 0 and standard deviation 1, and classes [1, H, W]."""
    found = []
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] in splits:
                pixels = np.asarray(Image.open(folder / row["image"]), np.float32)
                pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
                mask = np.asarray(Image.open(folder / row["mask"]))
                classes = np.zeros(mask.shape, np.int64)
                for index, value in enumerate(values):
                    classes[mask == value] = index
                image = (pixels - pixels.mean()) / max(float(pixels.std()), 1e-6)
                found.append(
                    (Path(row["image"]).stem, torch.from_numpy(image), torch.from_numpy(classes)[None])
                )
    return found


def batch_of(
    images: list, count: int, side: int, generator: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws patches, flipped and turned at random; images that are smaller are reflected at their rims."""
    xs: list[torch.Tensor] = []
    ys: list[torch.Tensor] = []
    for _ in range(count):
        _, x, y = generator.choice(images)
        rim = [max(0, side - size) for size in x.shape[:0:-1]]  # of width, of height
        if any(rim):
            pad = (0, rim[0], 0, rim[1])
            x = torch.nn.functional.pad(x[None], pad, "reflect")[0]
            y = torch.nn.functional.pad(y[None].float(), pad, "reflect")[0].long()
        top, left = (generator.randint(0, size - side) for size in x.shape[1:])
        turns, flip = generator.randrange(4), generator.randrange(2)
        for patches, array in ((xs, x), (ys, y)):
            patch = torch.rot90(array[:, top : top + side, left : left + side], turns, (1, 2))
            patches.append(patch.flip(2) if flip else patch)
    return torch.stack(xs), torch.stack(ys)


def probabilities(network: torch.nn.Module, image: torch.Tensor, side: int) -> torch.Tensor:
    """Predicts [H, W, classes] of an image [channels, H, W]: half-overlapping windows, Gaussian weights."""
    logits = sliding_window_inference(
        image[None], side, 4, network, overlap=0.5, mode="gaussian", padding_mode="reflect"
    )
    return logits.softmax(1)[0].permute(1, 2, 0)


def averaged(network: torch.nn.Module, image: torch.Tensor, side: int) -> torch.Tensor:
    """The mean of the predictions of the eight flips and quarter turns, [H, W, classes]."""
    total = []
    for flip in (False, True):
        for turns in range(4):
            x = torch.rot90(image.flip(2) if flip else image, turns, (1, 2))
            y = torch.rot90(probabilities(network, x, side), -turns, (0, 1))
            total.append(y.flip(1) if flip else y)
    return torch.stack(total).mean(0)


def main() -> None:
    """Trains and predicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("peer", choices=("monai", "dynunet", "smp"))
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--classes", type=json.loads, required=True, help="value in the masks by class, as JSON"
    )
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--steps", type=int, help="training steps, instead of minutes")
    parser.add_argument("--bfloat16", action="store_true", help="train with autocast")
    parser.add_argument("--side", type=int, default=256, help="side of the patches (default: 256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    generator = random.Random(options.seed)
    values = list(options.classes.values())
    images = read(options.folder, values, {"train", "eval"})
    peer = make(options.peer, images[0][1].shape[0], len(values), options.side)
    network = peer.network.to(memory_format=torch.channels_last).train()
    start, steps, highest = time.monotonic(), 0, peer.optimizer.param_groups[0]["lr"]

    def progress() -> float:
        if options.steps:
            return steps / options.steps
        return (time.monotonic() - start) / (60 * options.minutes)

    while (share := progress()) < 1:
        peer.optimizer.param_groups[0]["lr"] = highest * peer.schedule(share)
        x, y = batch_of(images, peer.batch, options.side, generator)
        peer.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            logits = network(x.contiguous(memory_format=torch.channels_last))
        loss = peer.loss(logits.float(), y)
        loss.backward()
        if options.peer == "dynunet":
            torch.nn.utils.clip_grad_norm_(network.parameters(), 12)  # as nnU-Net
        peer.optimizer.step()
        steps += 1
    network.eval()
    options.out.mkdir(parents=True, exist_ok=True)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    with torch.inference_mode():
        for name, image, _ in read(options.folder, values, {"test"}):
            both = [f(network, image, options.side).numpy() for f in (probabilities, averaged)]
            np.save(options.out / f"{name}.npy", np.stack(both).astype(np.float16))
    facts = {"steps": steps, "parameters": parameters, "threads": torch.get_num_threads()}
    (options.out / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
