"""Masks of images in Python: by the served graph, and by its caller's own tiling, which must agree."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from unet.export.signatures import EVALUATE_OUTPUTS
from unet.images.raster import ImageError
from unet.images.reader import decode, encode_png
from unet.inference.model import Model, predict
from unet.masks.labels import IGNORE
from unet.registry.records import ModelError

CLOSE = 1e-5
CHECKOUT = Path(__file__).parents[3]
DATASET = {"over": "dataset", "mean": [100.0], "stddev": [50.0]}
pytestmark = pytest.mark.usefixtures("loaded_once")


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


def test_an_image_is_evaluated_by_the_signature_of_the_gate(model: Model, folder: Path) -> None:
    image, ground_truth = blobs(70, 50), (blobs(70, 50) > 127).astype(np.uint8)
    ground_truth[:5] = IGNORE
    outputs = model.evaluated(encode_png(image), encode_png(ground_truth))
    assert set(outputs) == set(EVALUATE_OUTPUTS)
    (mask,) = predict([image], folder)
    predicted = np.searchsorted([0, 100, 255], mask)
    expected = [
        [((ground_truth == real) & (predicted == found)).sum() for found in range(3)] for real in range(3)
    ]
    np.testing.assert_array_equal(outputs["confusion"].reshape(3, 3), expected)
    np.testing.assert_array_equal(decode(outputs["ground_truth_bytes"])[..., 0], ground_truth)
    assert len(outputs["probabilities_bytes"]) == 2
    with pytest.raises(ImageError, match="mask and image differ in size"):
        model.evaluated(encode_png(image), encode_png(ground_truth[1:]))


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


@pytest.mark.parametrize("also", [[], ["evaluate"]], ids=["none", "one of an earlier version"])
def test_a_model_without_the_signature_of_the_gate_is_refused(tmp_path: Path, also: list[str]) -> None:
    module = tf.Module()
    given = tf.TensorSpec([None], tf.string)
    serve = tf.function(lambda image_bytes: {"mask_bytes": image_bytes, "threshold": tf.constant(0.5)})
    tf.saved_model.save(
        module,
        str(tmp_path / "1"),
        dict.fromkeys(["serving_default", *also], serve.get_concrete_function(given)),
    )
    with pytest.raises(ModelError, match="no signature `evaluate`"):
        Model(tmp_path / "1").evaluated(b"", b"")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a SavedModel"):
        Model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="not a model of this pipeline, or a damaged one"):
        Model(tmp_path)


def test_a_model_whose_weights_were_cut_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    module.weights = tf.Variable(tf.zeros([1000]))
    tf.saved_model.save(module, str(tmp_path))
    [weights] = tmp_path.glob("variables/*.data-*")
    os.truncate(weights, 500)
    with pytest.raises(ModelError, match="not a model of this pipeline, or a damaged one"):
        Model(tmp_path)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (
            np.zeros((4, 4)),
            ImageError,
            "64-bit floating-point values .*; the model was trained on images of 8",
        ),
        (np.zeros((4, 4), bool), ValueError, "must be an array of numbers"),
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


def test_channels_of_a_file_are_those_of_the_training(tmp_path: Path, export_tiny: Any) -> None:
    bands = np.stack([blobs(70, 50), blobs(70, 50).T.reshape(70, 50), noise(70, 50)], -1)
    path, gray = tmp_path / "a.tif", tmp_path / "b.png"
    tifffile.imwrite(path, np.moveaxis(bands, -1, 0), photometric="minisblack", metadata={"axes": "CYX"})
    Image.fromarray(bands[..., 0]).save(gray)
    two = Model(export_tiny(tmp_path / "two", channels=2, use_channels=[3, 1]))
    chosen = np.ascontiguousarray(bands[..., [2, 0]])
    expected = two.mask(chosen)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(two.mask(path), expected)
    # The caller's tiling sees what the graph sees.
    probabilities = two.probabilities(path)
    assert (np.array([0, 100, 255])[probabilities.argmax(-1)] == expected).mean() > 0.999
    with pytest.raises(ImageError, match="an image of 1 channel, which has no channel 3"):
        two.mask(gray)
    with pytest.raises(ValueError, match=r"array of numbers, \[H, W, 2\]\. Received: .*\(70, 50, 3\)"):
        two.mask(bands)
    every = Model(export_tiny(tmp_path / "all", channels=2, use_channels="all"))
    with pytest.raises(ImageError, match="an image of 3 channels, the model sees 2"):
        every.mask(path)
    one = Model(export_tiny(tmp_path / "one"))
    with pytest.raises(ImageError, match=r"^a TIFF of 3 channels; keep one channel, or three as RGB"):
        one.mask(path)
