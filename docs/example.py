"""Makes docs/example.png, the picture of the README, from the last model that was pushed.

.venv/bin/python docs/example.py [NAME OF A TEST IMAGE]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

CHECKOUT = Path(__file__).resolve().parent.parent
NUCLEI = CHECKOUT / "data" / "nuclei"


def picture(image: np.ndarray, ground_truth: np.ndarray, prediction: np.ndarray) -> Image.Image:
    """Draws image, ground truth and prediction side by side.

    Args:
        image: [H, W] uint8.
        ground_truth: [H, W] bool.
        prediction: [H, W] bool.

    Returns:
        The picture. The prediction is colored: yellow for correct pixels, red for missed nuclei, green for
        false positives.
    """
    # Dark images are brightened for the picture only.
    shown = np.clip(image * (255.0 / np.percentile(image, 99.8)), 0, 255)
    colors = np.zeros((*image.shape, 3), np.uint8)
    colors[ground_truth & prediction] = (240, 200, 60)
    colors[ground_truth & ~prediction] = (215, 60, 50)
    colors[~ground_truth & prediction] = (60, 170, 90)
    gray = [np.repeat(panel[..., None], 3, -1).astype(np.uint8) for panel in (shown, ground_truth * 255)]
    gap = np.full((image.shape[0], 8, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([gray[0], gap, gray[1], gap, colors], axis=1))


def main(name: str) -> None:
    """Predicts one image of the bundled nuclei with the command line and draws the picture."""
    image, mask = (NUCLEI / folder / f"{name}.png" for folder in ("images", "masks"))
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, CHECKOUT / "run_pipeline.py", "predict", image, "--out", out]
        subprocess.run([*map(str, command), "--root", str(CHECKOUT / "runs")], check=True)
        panels = [np.asarray(Image.open(path)) for path in (image, mask, Path(out, f"{name}.png"))]
    picture(panels[0], panels[1] > 0, panels[2] > 0).save(CHECKOUT / "docs" / "example.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "0402a81e7526")
