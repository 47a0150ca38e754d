"""Measures how well touching objects are split by their shape: true masks whose numbers are forgotten.

    python benchmarks/split_objects.py --labels DSB/labels

LABELS holds images of object numbers, 0 for none. The mask of each is split by several depths, and its parts
are scored against the numbers: what `split_objects` makes of a perfect prediction.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from unet.images.formats import read_raster
from unet.images.reader import MAX_PIXELS
from unet.masks.object_rule import ObjectRule
from unet.metrics import objects
from unet.metrics.names import OBJECT_SCORES

DEPTHS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def main() -> None:
    """Prints a line for each depth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="folder of images of object numbers")
    totals = np.zeros((len(DEPTHS), objects.COUNTS))
    files = sorted(parser.parse_args().labels.iterdir())
    for path in files:
        numbers = read_raster(path, 0, MAX_PIXELS).pixels[..., 0].astype(np.uint16)
        mask = (numbers > 0).astype(np.uint8)
        for row, depth in zip(totals, DEPTHS, strict=True):
            row += objects.object_counts(mask, mask, mask >= 0, 2, 1, numbers, ObjectRule(depth))[0]
    print(f"{len(files)} images, {totals[0, objects.TRUE]:.0f} objects")
    print("depth  parts  found", *OBJECT_SCORES)
    for depth, row in zip(DEPTHS, totals, strict=True):
        values = " ".join(f"{float(value):.4f}" for value in objects.scores(row))
        print(f"{depth:5g} {row[objects.PREDICTED]:6.0f} {row[objects.SUM + 1]:6.0f}", values)


if __name__ == "__main__":
    main()
