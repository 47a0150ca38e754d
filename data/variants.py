"""Writes the bundled nuclei as other people have their data: real files of other kinds, to try and to test.

    python data/variants.py OUT

- `OUT/deep`: `images/` and `masks/` of 16-bit TIFF; masks number the nuclei.
- `OUT/colour`: `train/`, `val/` and `test/` with JPEGs in colour; masks are PNGs in three colours.
- `OUT/stack`: two multi-page TIFFs side by side, `nuclei.tif` and `nuclei_mask.tif`.
- `OUT/classes`: `NAME.png` beside `NAME_mask.png` of three classes, and 255 where nobody can tell.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

NUCLEI = Path(__file__).resolve().parent / "nuclei"
COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)  # background, nucleus, border
BACKGROUND, NUCLEUS, BORDER, UNSURE = 0, 1, 2, 255


def nuclei(side: int = 256) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.bool_]]]:
    """Name, image and mask [side, side] of the bundled images of that size."""
    for path in sorted((NUCLEI / "images").iterdir()):
        image = np.asarray(Image.open(path))
        if image.shape == (side, side):
            yield path.stem, image, np.asarray(Image.open(NUCLEI / "masks" / path.name)) > 0


def three_classes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Background, inside and border of nuclei: the border is two pixels wide."""
    inside = ndimage.binary_erosion(mask, iterations=2)
    return np.where(inside, NUCLEUS, np.where(mask, BORDER, BACKGROUND)).astype(np.uint8)


def write_deep(folder: Path) -> None:
    """16-bit TIFFs of 12 significant bits, as cameras make them, and masks of ids."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number, (name, image, mask) in enumerate(nuclei()):
        noise = np.random.default_rng(number).integers(0, 16, image.shape, np.uint16)
        pixels = image.astype(np.uint16) * 16 + noise
        tifffile.imwrite(folder / "images" / f"{name}.tif", pixels, compression="lzw", predictor=True)
        labels, _ = ndimage.label(mask)
        tifffile.imwrite(folder / "masks" / f"{name}.tif", labels.astype(np.uint16), compression="zlib")


def write_color(folder: Path) -> None:
    """Stained, as a JPEG in colour; masks in colours."""
    for number, (name, image, mask) in enumerate(nuclei()):
        split = folder / {0: "val", 1: "test"}.get(number % 5, "train")
        for part in ("images", "masks"):
            (split / part).mkdir(parents=True, exist_ok=True)
        brightness = np.clip(image.astype(np.int16) * 3, 0, 255)
        stain = 255 - brightness[..., None] * np.array([0.55, 0.8, 0.3])  # [H, W, 3]
        rgb = Image.fromarray(stain.round().astype(np.uint8))
        rgb.save(split / "images" / f"{name}.jpg", quality=92, subsampling=0)
        Image.fromarray(COLORS[three_classes(mask)]).save(split / "masks" / f"{name}.png")


def write_stack(folder: Path) -> None:
    """Two multi-page TIFFs of as many pages."""
    folder.mkdir(parents=True)
    _, images, masks = zip(*nuclei(), strict=True)
    tifffile.imwrite(folder / "nuclei.tif", np.stack(images), compression="zlib", photometric="minisblack")
    labels = np.stack(masks).astype(np.uint8) * 255
    tifffile.imwrite(folder / "nuclei_mask.tif", labels, compression="zlib", photometric="minisblack")


def write_classes(folder: Path) -> None:
    """Pairs by a suffix in one folder; a frame of each mask is marked as unsure."""
    folder.mkdir(parents=True)
    for name, image, mask in nuclei():
        classes = three_classes(mask)
        classes[:8], classes[-8:] = UNSURE, UNSURE
        Image.fromarray(image).save(folder / f"{name}.png")
        Image.fromarray(classes).save(folder / f"{name}_mask.png")


VARIANTS = {"deep": write_deep, "colour": write_color, "stack": write_stack, "classes": write_classes}


def main(out: Path) -> None:
    """Writes all variants below `out`."""
    for name, write in VARIANTS.items():
        write(out / name)
        print(out / name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python data/variants.py OUT")
    main(Path(sys.argv[1]))
