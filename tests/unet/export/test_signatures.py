"""What each signature of the exported model answers, and that plain TensorFlow alone can serve it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from tests.unet.encoded_images import gray_by_hand, noise, pillow, png
from tests.unet.export.segmenters import DEPTH, VALUES, network, segmenter
from unet.export.graph import Segmenter
from unet.export.signatures import EVALUATE_OUTPUTS, create_signatures, export
from unet.images.display import PALETTE
from unet.images.reader import encode_image
from unet.tiling import Geometry

Serve = Callable[..., dict[str, tf.Tensor]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "1"
    export(segmenter(), path, max_pixels=188 * 5000)  # those of the longest line of `SIZES`
    return path


@pytest.fixture(scope="module")
def signatures(exported: Path) -> dict[str, Serve]:
    return tf.saved_model.load(str(exported)).signatures


SIZES = [(1, 1), (1, 40), (17, 11), (64, 64), (90, 35), (5000, 1)]


def test_a_batch_of_mixed_sizes(signatures: dict[str, Serve]) -> None:
    images = [noise(*size, 1) for size in SIZES]
    batch = tf.constant([png(i) for i in images])
    masks = signatures["serving_default"](image_bytes=batch)["mask_bytes"].numpy()
    assert masks.shape == (len(SIZES),)
    model = segmenter()
    for image, encoded in zip(images, masks, strict=True):
        mask = np.asarray(Image.open(io.BytesIO(encoded)))
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, np.array(VALUES)[model.segment(image)])


def test_16_bits_rgb_and_jpeg(signatures: dict[str, Serve]) -> None:
    rgb, deep = noise(25, 31, 3), noise(31, 25, 1, dtype=np.uint16)
    jpeg = pillow(noise(33, 21), "JPEG")
    data = [png(rgb), png(deep), jpeg]
    pixels = [gray_by_hand(rgb).astype(np.uint8), deep, np.asarray(Image.open(io.BytesIO(jpeg)))[..., None]]
    masks = signatures["serving_default"](image_bytes=tf.constant(data))["mask_bytes"]
    model = segmenter()
    for encoded, image in zip(masks, pixels, strict=True):
        mask = tf.io.decode_png(encoded)[..., 0]
        np.testing.assert_array_equal(mask, np.array(VALUES)[model.segment(image)])


def test_probabilities(signatures: dict[str, Serve]) -> None:
    images = [noise(*size, 1) for size in ((1, 1), (70, 45))]
    batch = tf.constant([png(i) for i in images])
    maps = signatures["probabilities"](image_bytes=batch)["probabilities_bytes"]
    assert maps.shape == (2, 3)
    for image, encoded in zip(images, maps, strict=True):
        decoded = np.concatenate([tf.io.decode_png(e, dtype=tf.uint16) for e in encoded], -1)
        np.testing.assert_allclose(decoded / 65535, segmenter().predict(image), rtol=0, atol=1e-5)


def example(image: bytes, mask: bytes) -> bytes:
    values = {"image": image, "mask": mask, "name": b"unused"}
    features = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_confusion(signatures: dict[str, Serve]) -> None:
    images = [noise(*size, 1) for size in SIZES]
    ground_truths = [noise(*size, 1) % 3 for size in SIZES]
    examples = [example(png(i), png(t)) for i, t in zip(images, ground_truths, strict=True)]
    confusion = signatures["evaluate"](examples=tf.constant(examples))["confusion"].numpy()
    assert (confusion.shape, confusion.dtype) == ((len(SIZES), 9), np.float64)
    model = segmenter()
    for row, image, ground_truth in zip(confusion, images, ground_truths, strict=True):
        expected = np.zeros((3, 3))
        np.add.at(expected, (ground_truth[..., 0], model.segment(image)), 1)
        np.testing.assert_array_equal(row.reshape(3, 3), expected)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((5, 4, 1), np.uint8), "differ in size"),
        (np.full((4, 5, 1), 3, np.uint8), "of 3 classes cannot hold"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(
    signatures: dict[str, Serve], mask: NDArray, message: str
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["evaluate"](examples=tf.constant([example(png(noise(4, 5, 1)), png(mask))]))


def test_the_gate_gets_the_probabilities_of_all_classes_but_the_first_and_the_truth(
    signatures: dict[str, Serve],
) -> None:
    image = noise(40, 33, 1)
    ground_truth = noise(40, 33, 1) % len(VALUES)
    found = signatures["evaluate"](examples=tf.constant([example(png(image), png(ground_truth))]))
    assert set(found) == set(EVALUATE_OUTPUTS)
    assert found["ground_truth_bytes"][0].numpy() == png(ground_truth)
    maps = signatures["probabilities"](image_bytes=tf.constant([png(image)]))["probabilities_bytes"][0]
    assert len(found["probabilities_bytes"][0]) == len(VALUES) - 1
    for said, expected in zip(found["probabilities_bytes"][0], maps[1:], strict=True):
        pixels = [tf.io.decode_png(data, dtype=tf.uint16).numpy() for data in (said, expected)]
        np.testing.assert_array_equal(*pixels)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_tensors_are_answered_as_files_are(signatures: dict[str, Serve], depth: type) -> None:
    images = np.stack([noise(50, 37, 1, dtype=depth), noise(37, 50, 1, dtype=depth).swapaxes(0, 1)])
    files = signatures["serving_default"](image_bytes=tf.constant([png(image) for image in images]))
    masks = [tf.io.decode_png(mask)[..., 0] for mask in files["mask_bytes"]]
    arrays = tf.constant(images, tf.float32) / (1 if depth is np.uint8 else 257)
    answer = signatures["tensors"](images=arrays)["masks"]
    assert answer.dtype == tf.uint8
    np.testing.assert_array_equal(answer, np.stack(masks))
    assert signatures["tensors"](images=arrays[:0])["masks"].shape[0] == 0


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((1, 4, 4, 1), np.nan), "from 0 to 255"),
        (np.full((1, 4, 4, 1), 255.5), "from 0 to 255"),
        (np.full((1, 4, 4, 1), -1.0), "from 0 to 255"),
        (np.zeros((1, 0, 4, 1)), "must have pixels"),
    ],
)
def test_tensors_that_are_no_images(signatures: dict[str, Serve], images: NDArray, message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["tensors"](images=tf.constant(images, tf.float32))


def test_the_network_itself_for_callers_that_tile(signatures: dict[str, Serve]) -> None:
    patches = tf.random.stateless_normal([2, 48, 60, 1], [0, 0])
    answer = signatures["network"](patches=patches)["probabilities"]
    expected = network(1, "softmax")(patches)
    assert answer.shape == (2, 8, 20, 3)
    np.testing.assert_allclose(answer, keras.ops.convert_to_numpy(expected), atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"44 \+ 4 k; sides of these:\] \[48 61\]"):
        signatures["network"](patches=tf.zeros([1, 48, 61, 1]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"5776 pixels in all; these have:\] \[6912\]"):
        signatures["network"](patches=tf.zeros([3, 48, 48, 1]))


def test_masks_to_be_looked_at(signatures: dict[str, Serve]) -> None:
    image = noise(40, 33, 1)
    answer = signatures["colored"](image_bytes=tf.constant([png(image)]))["mask_bytes"][0]
    expected = np.array(PALETTE)[segmenter().segment(image)]
    np.testing.assert_array_equal(tf.io.decode_png(answer), expected)


def test_images_of_too_many_pixels_are_refused_by_their_header(signatures: dict[str, Serve]) -> None:
    # A line costs what a band of 188 pixels does.
    serve = create_signatures(segmenter(), max_pixels=188 * 200)["serving_default"]
    serve(tf.constant([png(noise(1, 200, 1)), png(noise(188, 200, 1))]))
    header_alone = png(noise(1, 201, 1))[:60]
    jpeg = pillow(noise(1, 201), "JPEG")
    for data in (header_alone, jpeg):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"37600 pixels at most.*\[(201 1|1 201)\]"):
            serve(tf.constant([data]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"940000 pixels at most.*\[(5001 1|1 5001)\]"):
        signatures["serving_default"](image_bytes=tf.constant([png(noise(1, 5001, 1))[:60]]))


def test_an_empty_batch_has_an_empty_answer(signatures: dict[str, Serve]) -> None:
    none = tf.zeros([0], tf.string)
    assert signatures["serving_default"](image_bytes=none)["mask_bytes"].shape == (0,)
    assert signatures["probabilities"](image_bytes=none)["probabilities_bytes"].shape == (0, 3)
    assert signatures["evaluate"](examples=none)["confusion"].shape == (0, 9)


def test_one_bad_image_refuses_the_batch(signatures: dict[str, Serve]) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[element 1\] \[accepted are PNG"):
        signatures["serving_default"](
            image_bytes=tf.constant([png(noise(4, 4, 1)), pillow(noise(4, 4), "BMP")])
        )


def test_class_values_above_255_make_16_bit_masks() -> None:
    values = (0, 255, 1000)
    model = segmenter(values=values)
    image = noise(30, 40, 1)
    encoded = create_signatures(model)["serving_default"](tf.constant([png(image)]))["mask_bytes"][0]
    mask = tf.io.decode_png(encoded, dtype=tf.uint16)[..., 0]
    np.testing.assert_array_equal(mask, np.array(values)[model.segment(image)])


def test_classes_in_color_make_masks_in_color() -> None:
    colors = [[0, 0, 0], [255, 0, 0], [0, 255, 128]]
    model = Segmenter(network(1), Geometry(DEPTH), 1, 100.0, 60.0, colors)
    image = noise(30, 40, 1)
    encoded = create_signatures(model)["serving_default"](tf.constant([png(image)]))["mask_bytes"][0]
    mask = tf.io.decode_png(encoded)
    np.testing.assert_array_equal(mask, np.array(colors)[model.segment(image)])


def test_ignored_pixels_are_in_no_confusion(signatures: dict[str, Serve]) -> None:
    image = noise(40, 50, 1)
    mask = np.full((40, 50, 1), 255, np.uint8)
    for counted in (0, 13):
        mask[:counted] = 1
        features = {"image": png(image), "mask": png(mask)}
        example = tf.train.Example(
            features=tf.train.Features(
                feature={
                    k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in features.items()
                }
            )
        )
        examples = tf.constant([example.SerializeToString()])
        confusion = signatures["evaluate"](examples=examples)["confusion"].numpy().reshape(3, 3)
        predicted = segmenter().segment(image)[:counted]
        np.testing.assert_array_equal(confusion[1], np.bincount(predicted.ravel(), minlength=3))
        assert confusion.sum() == counted * 50


# Runs with nothing but TensorFlow: no module of this project, no Keras layers needed.
ALONE = """
import sys
import tensorflow as tf
model, *paths = sys.argv[1:]
serve = tf.saved_model.load(model).signatures["serving_default"]
masks = serve(image_bytes=tf.constant([open(path, "rb").read() for path in paths]))["mask_bytes"].numpy()
for path, mask in zip(paths, masks):
    open(path + ".mask", "wb").write(mask)
assert not any(name.startswith(("components", "unet")) for name in sys.modules)
"""


def test_plain_tensorflow_serves_it(exported: Path, tmp_path: Path) -> None:
    images = [noise(*size, 1) for size in SIZES]
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(png(image))
    command = [sys.executable, "-I", "-c", ALONE, str(exported), *map(str, paths)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    model = segmenter()
    for path, image in zip(paths, images, strict=True):
        mask = tf.io.decode_png(Path(f"{path}.mask").read_bytes())[..., 0]
        np.testing.assert_array_equal(mask, np.array(VALUES)[model.segment(image)])


def test_only_the_weights_are_saved(exported: Path) -> None:
    names = [name for name, _ in tf.train.list_variables(str(exported / "variables" / "variables"))]
    assert sum(name.startswith("network_weights") for name in names) == len(network(1).weights)
    assert not [name for name in names if "optimizer" in name]


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_come_as_tensors_or_below_one_another(channels: int) -> None:
    image = noise(40, 33, channels)
    model = Segmenter(network(channels), Geometry(DEPTH), channels, None, None, VALUES)
    expected = np.array(VALUES)[model.segment(image)]
    assert len(np.unique(expected)) > 1
    signatures = create_signatures(model)
    found = signatures["tensors"](tf.constant(image[None], tf.float32))["masks"]
    np.testing.assert_array_equal(found[0], expected)
    encoded = signatures["serving_default"](tf.constant([encode_image(image)]))["mask_bytes"][0]
    np.testing.assert_array_equal(tf.io.decode_png(encoded)[..., 0], expected)
    # Each channel counts: another one gives another mask.
    image[..., -1] = 255 - image[..., -1]
    assert (np.array(VALUES)[model.segment(image)] != expected).any()
