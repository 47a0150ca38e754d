"""The script of `docs/how-to/onnx.md` gives the masks of `predict`, with no code of this project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from tests.command_line import call
from tests.docs.blocks import DOCS
from unet.export.saved_model import write
from unet.network import create_unet
from unet.registry.records import training_record
from unet.tiling import Geometry

pytestmark = pytest.mark.usefixtures("loaded_once")
SCRIPT = DOCS / "how-to/onnx_mask.py"
DATASET = {"over": "dataset", "mean": [100.0], "stddev": [60.0]}
# Float rounding decides a pixel whose two best classes are as likely; a tile in the wrong place, other
# numbers or another border change more.
EQUAL = 0.9999
# What the script may load of what is installed: neither this project nor TensorFlow.
_RUN = (
    "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
    "loaded = {name.split('.')[0] for name in sys.modules}; "
    "found = loaded & {'tensorflow', 'keras', 'unet', 'pipeline', 'scipy'}; "
    "sys.exit(f'loaded: {found}' if found else 0)"
)


def pattern(height: int, width: int, *channels: int, kind: Any = np.uint8) -> np.ndarray:
    """Blobs of noise, so that a mask has regions and borders."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1, *channels), np.uint8)
    large = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    noisy = np.clip(large + rng.normal(0, 8, large.shape), 0, 255)
    return (noisy * (257 if kind == np.uint16 else 1)).astype(kind)


def masks(folder: Path, model: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mask of `predict` and that of the script."""
    path = folder / "image.png"
    Image.fromarray(image).save(path)
    for words in (
        ["predict", path, "--model", model, "--out", folder / "masks"],
        ["export", "onnx", "--model", model, "--out", folder / "model.onnx"],
    ):
        done = call(*words)
        assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [sys.executable, "-c", _RUN, SCRIPT, folder / "model.onnx", path, folder / "mask.png"],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = [np.asarray(Image.open(name)) for name in (folder / "masks/image.png", folder / "mask.png")]
    return found[0], found[1]


@pytest.mark.parametrize(
    ("change", "image"),
    [
        ({}, pattern(17, 13, kind=np.uint16)),  # by its own numbers, mirrored again and again
        ({"channels": 3, "normalization": DATASET | {"mean": [90.0, 100.0, 110.0], "stddev": [60.0] * 3},
          "scale": 0.4, "operating_point": {"aim": "dice", "factors": [0.8, 1.3, 1.0]}},
         pattern(301, 160)),  # gray to colors, resized, by factors
    ],
    ids=["16 bits", "scale"],
)  # fmt: skip
def test_it_gives_the_mask_of_predict(
    tmp_path: Path, export_tiny: Any, change: dict[str, Any], image: np.ndarray
) -> None:
    expected, found = masks(tmp_path, export_tiny(tmp_path / "model", **change), image)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() >= EQUAL


def test_in_tiles_by_a_threshold_and_in_colors_of_a_stem(tmp_path: Path, export_tiny: Any) -> None:
    record = training_record(export_tiny(tmp_path / "any")) | {
        "classes": ["background", "cell"], "class_values": [[0, 0, 0], [255, 128, 0]],
        "geometry": Geometry(2, 2).record, "operating_point": {"aim": "dice", "threshold": 0.6},
        "normalization": DATASET,
    }  # fmt: skip
    keras.utils.set_random_seed(8)
    network = create_unet((None, None, 1), base_filters=4, depth=2, stem_stride=2, activation="softmax")
    write([network], record, tmp_path / "model")
    image = pattern(1100, 530, 3)  # several tiles, colors to gray
    expected, found = masks(tmp_path, tmp_path / "model", image)
    assert found.shape == (1100, 530, 3)
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() >= EQUAL
