"""Masks of images in Python: by the served graph, and by its caller's own tiling, which must agree."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from unet.images.raster import ImageError
from unet.images.reader import decode, encode_png
from unet.inference import tiled
from unet.inference.inputs import InputImage
from unet.inference.model import Model, class_indices, predict
from unet.registry.records import ModelError

CLOSE = 1e-5
CHECKOUT = Path(__file__).parents[3]
DATASET = {"over": "dataset", "mean": [100.0], "stddev": [50.0]}
COLORS = [[0, 0, 0], [200, 30, 30], [30, 30, 200]]


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def blobs(height: int, width: int) -> np.ndarray:
    """Smooth grey values, of which the classes of an untrained network hang together."""
    small = Image.fromarray(noise(height // 8 + 1, width // 8 + 1))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, export_tiny: Any) -> Path:
    return export_tiny(tmp_path_factory.mktemp("model") / "1")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Model(folder)


def served(folder: Path, data: bytes) -> np.ndarray:
    """What plain TensorFlow gives for encoded bytes."""
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return np.asarray(
        Image.open(io.BytesIO(answer(image_bytes=tf.constant([data]))["mask_bytes"][0].numpy()))
    )


def test_masks_are_those_of_the_served_graph(folder: Path, tmp_path: Path) -> None:
    array = blobs(70, 50)
    path = tmp_path / "a.png"
    Image.fromarray(array).save(path)
    expected = served(folder, path.read_bytes())
    assert len(np.unique(expected)) > 1
    found = predict([path, str(path), path.read_bytes(), array, noise(9, 8, 3, dtype=np.uint16)], folder)
    for mask in found[:4]:
        np.testing.assert_array_equal(mask, expected)
    assert found[4].shape == (9, 8)
    assert found[4].dtype == np.uint8


@pytest.mark.parametrize(
    ("change", "shapes"),
    [
        ({}, [(300, 431), (130, 97, 3), (1, 1)]),
        ({"normalization": DATASET}, [(300, 231), (3, 200)]),
        ({"channels": 3, "class_values": COLORS}, [(61, 333, 3), (40, 40)]),
        ({"scale": 0.6}, [(210, 150)]),
        ({"scale": 1.7, "class_values": [0, 300, 65535]}, [(90, 120)]),
    ],
    ids=str,
)
def test_tiling_outside_the_graph_gives_what_the_graph_gives(
    tmp_path: Path, export_tiny: Any, monkeypatch: pytest.MonkeyPatch, change: Any, shapes: Any
) -> None:
    monkeypatch.setattr(tiled, "MEMORY", 30 * 4 * 150**2)  # tiles of about 150 x 150
    monkeypatch.setattr(tiled, "_STRIP", 3000)
    monkeypatch.setattr("unet.inference.scratch.IN_MEMORY", 1000)  # on disk
    model = Model(export_tiny(tmp_path / "1", **change))
    # Resized images are rounded to 16 bits: at a tie, strips of another height may round the other way.
    close = CLOSE if "scale" not in change else 1e-4
    for shape, dtype in zip(shapes * 2, [np.uint8] * len(shapes) + [np.uint16] * len(shapes), strict=True):
        pixels = noise(*shape, dtype=dtype)
        picture = InputImage(shape[0], shape[1], encode_png(pixels))
        assert model.serves(picture)
        shares: list[float] = []
        found = model.segment(picture, probabilities=True, progress=shares.append)
        maps = [decode(data)[..., 0] for data in model.served_probabilities(picture)]
        assert found.maps is not None
        np.testing.assert_allclose(found.maps / 65535, np.stack(maps) / 65535, atol=close + 1 / 65535)
        best = np.sort(model.probabilities(pixels), -1)
        clear = best[..., -1] - best[..., -2] > close
        assert clear.mean() > 0.5 or shape == (1, 1)  # normalised, one pixel is 0
        expected = class_indices(decode(model.served_mask(picture)), model.values)
        np.testing.assert_array_equal(found.indices[clear], expected[clear])
        assert shares[-1] == 1
        assert shares == sorted(shares)


def test_several_models_answer_with_the_mean_of_their_probabilities(tmp_path: Path, export_tiny: Any) -> None:
    folders = [
        export_tiny(tmp_path / str(seed), seed, normalization=how)
        for seed, how in enumerate([DATASET, {"over": "image"}])
    ]
    image = noise(60, 70)
    each = [Model(folder).probabilities(image) for folder in folders]
    together = Model(*folders).probabilities(image)
    np.testing.assert_allclose(together, np.mean(each, 0), atol=CLOSE)
    values = np.array([0, 100, 255])
    best = np.sort(together, -1)
    clear = best[..., -1] - best[..., -2] > CLOSE
    (mask,) = predict([image], folders)
    np.testing.assert_array_equal(mask[clear], values[np.mean(each, 0).argmax(-1)][clear])
    assert not np.array_equal(mask, predict([image], folders[0])[0])


def test_models_that_do_not_fit_together_are_refused(tmp_path: Path, folder: Path, export_tiny: Any) -> None:
    other = export_tiny(tmp_path / "other", classes=["background", "cell", "wall"])
    with pytest.raises(ModelError, match="classes differ from"):
        Model(folder, other)
    (other / "assets.extra" / "training.json").unlink()
    with pytest.raises(ModelError, match="no training record"):
        Model(folder, other)
    assert predict([noise(9, 9)], other)[0].shape == (9, 9)  # alone it answers


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a SavedModel"):
        Model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="not a model of this pipeline, or a damaged one"):
        Model(tmp_path)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((4, 4)), ValueError, "must be uint8 or uint16"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r"shape=\(4, 4, 4\)"),
        (np.zeros((0, 4), np.uint8), ValueError, "at least one pixel"),
        (b"not an image", ImageError, "not a PNG, JPEG, TIFF or BMP file"),
        (b"", ImageError, "empty file"),
        ("nowhere.png", ImageError, "cannot be read"),
    ],
)
def test_what_is_no_image_is_refused(model: Model, image: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        predict([image], model)


def test_a_single_image_is_no_list(model: Model) -> None:
    with pytest.raises(TypeError, match=r"give \[image\]"):
        predict(noise(4, 4), model)


def test_pages_are_not_dropped_silently(model: Model, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(3, 20, 20), photometric="minisblack")
    with pytest.raises(ImageError, match="several pages"):
        predict([tmp_path / "a.tif"], model)


def test_the_module_imports_no_tensorflow() -> None:
    code = "import sys, unet.inference.model; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CHECKOUT)
