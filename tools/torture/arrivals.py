"""Spans of images that arrive one after another where a run looks for them, good and bad ones."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from data.synthetic import write_cells
from unet.images.reader import encode_png

IMAGES = 10  # in each span
GOOD = "good"
BAD = ("wrong masks", "other exposure")


class Arrivals:
    """A folder in which spans arrive."""

    def __init__(self, folder: Path):
        """Args: folder: where they arrive."""
        self._folder = folder
        self._count = 0

    @property
    def pattern(self) -> str:
        """What `--data` is given to read the newest spans."""
        return str(self._folder / "span-{SPAN}")

    @property
    def image(self) -> Path:
        """An image of the first span."""
        return min((self._folder / "span-1" / "images").iterdir())

    def next(self, kind: str = GOOD) -> None:
        """Lets a new span arrive.

        Args:
            kind: `GOOD`, or how it is bad, one of `BAD`.
        """
        self._count += 1
        self._write(kind)

    def mend(self) -> None:
        """Replaces the newest span by what it should have been."""
        self._write(GOOD)

    def _write(self, kind: str) -> None:
        span, arriving = self._folder / f"span-{self._count}", self._folder / ".arriving"
        for folder in (span, arriving):
            shutil.rmtree(folder, ignore_errors=True)
        write_cells(arriving, IMAGES, seed=100 + self._count)
        for path in sorted(arriving.glob("*/*.png")):
            pixels = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
            if kind == "wrong masks" and path.parent.name == "masks":
                path.write_bytes(encode_png(255 - pixels))
            if kind == "other exposure" and path.parent.name == "images":
                path.write_bytes(encode_png((pixels // 2 + 100).astype(np.uint8)))
            path.rename(path.with_name(f"{self._count:02d}_{path.name}"))
        arriving.rename(span)
