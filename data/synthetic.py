"""Synthetic cells for tests: bright ellipses on a noisy background, cheap to make and quick to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unet.images.reader import encode_png


def write_cells(
    folder: Path,
    count: int,
    size: tuple[int, int] = (96, 96),
    *,
    seed: int = 0,
    classes: int = 2,
    bit_depth: int = 8,
    channels: int = 1,
    cells: int = 8,
) -> list[str]:
    """Writes `folder/images/cell_000.png` and so on, and masks of the same names in `folder/masks`.

    Image i is the same for any `count`. With two classes the masks hold 0 and 255, else 0 to classes - 1.

    Args:
        folder: created if missing.
        count: number of images.
        size: height and width in pixels.
        seed: another seed, other images.
        classes: 2 or more, the background among them; the cells of each are brighter than those before.
        bit_depth: 8 or 16.
        channels: 1, or 3 with 8 bits: red, green and blue then fade in this order.
        cells: ellipses in an image; all classes occur in each image if there are enough of them.

    Returns:
        The names of the images, without extension.
    """
    names = [f"cell_{i:03d}" for i in range(count)]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        brightness, labels = draw_cells(size, cells, classes, np.random.default_rng([seed, i]))
        pixels = brightness[..., None] * np.linspace(1.0, 0.6, channels)  # [height, width, channels]
        pixels = (pixels * (2**bit_depth - 1)).round().astype(np.uint8 if bit_depth == 8 else np.uint16)
        mask = labels * 255 if classes == 2 else labels
        (folder / "images" / f"{name}.png").write_bytes(encode_png(pixels))
        (folder / "masks" / f"{name}.png").write_bytes(encode_png(mask.astype(np.uint8)))
    return names


def draw_cells(
    size: tuple[int, int], cells: int, classes: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws one image.

    Returns:
        Brightness, float64 [height, width] in 0..1, and class indices, int64 [height, width].
    """
    height, width = size
    y, x = np.mgrid[:height, :width]
    labels = np.zeros(size, np.int64)
    for i in range(cells):
        center_y, center_x = generator.uniform(0, height), generator.uniform(0, width)
        radius_y, radius_x = generator.uniform(0.06, 0.12, 2) * min(height, width)
        inside = ((y - center_y) / radius_y) ** 2 + ((x - center_x) / radius_x) ** 2 <= 1
        labels[inside] = 1 + i % (classes - 1)
    brightness = 0.15 + 0.7 * labels / (classes - 1) + generator.normal(0, 0.05, size)
    return brightness.clip(0, 1), labels
