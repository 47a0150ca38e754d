"""The network sees the same values in training, validation, evaluation, service and prediction."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from numpy.typing import NDArray

from components.transform import cut_tiles, sums_of_images
from tests.unet.encoded_images import gray_by_hand, noise, pillow
from tests.unet.training.tiny import SETTINGS
from unet.export.graph import Segmenter
from unet.export.signatures import EVALUATE, SERVE, create_signatures
from unet.images.reader import decode, encode_png, read_image
from unet.inference.inputs import read
from unet.inference.tiled import NetworkSignature, probabilities
from unet.preprocessing.normalization import moments
from unet.preprocessing.settings import TileSettings
from unet.tiling import Geometry
from unet.training.batches import names_of_batch, training_batches
from unet.training.settings import STILL
from unet.training.tiles import Tiles, validation_tiles

# Largest difference in grey levels, 0 to 255. Every way takes the same integers of 16 bits, subtracts a mean
# and divides by a deviation in float32: the last place of 255 is 1.5e-5, and NumPy and TensorFlow sum the
# pixels of an image in another order. Another rounding to 16 bits would be 1/257 = 4e-3, one to 8 bits up
# to 1.
CLOSE = 1e-4
ROUNDED = 0.5 / 257 + CLOSE  # how far 16 bits are from the resized image

GEOMETRY = Geometry(2)
PATCH = 60
HEIGHT, WIDTH = 40, 53  # a single tile at each scale
SCALES, NORMALIZATIONS, CHANNELS = (0.5, 1.0, 1.7), ("dataset", "image"), (1, 3)
FILES = [
    f"{kind} of {bits} bits and {channels} channels"
    for kind, bits, channels in itertools.product(("PNG", "JPEG", "TIFF"), (8, 16), CHANNELS)
    if (kind, bits) != ("JPEG", 16)
]
Values = dict[str, NDArray[np.float32]]  # what the network sees of each file


def content(file: str) -> bytes:
    kind, _, bits, _, _, channels, _ = file.split()
    pixels = noise(HEIGHT, WIDTH, int(channels), dtype=np.uint8 if bits == "8" else np.uint16)
    if kind == "PNG":
        return encode_png(pixels)
    if kind == "JPEG":
        return pillow(np.squeeze(pixels), "JPEG")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.squeeze(pixels), photometric="minisblack" if channels == "1" else "rgb")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = {file: folder / file for file in FILES}
    for file, path in paths.items():
        path.write_bytes(content(file))
    return paths


def stored(files: dict[str, Path], scale: float, channels: int, normalize: Any) -> Tiles:
    """The tiles that Transform makes of the files; a single batch needs no Beam."""
    settings = TileSettings(
        scale=scale, normalize=normalize, image_channels=channels, class_count=3, with_border=False, depth=2,
        patch_size=PATCH, tile_stride=128,
    )  # fmt: skip
    images = [read_image(path) for path in files.values()]
    mask = encode_png(noise(HEIGHT, WIDTH, 1) % 3)
    inputs = {
        "image": tf.constant([image.data for image in images]),
        "mask": tf.constant([mask] * len(images)),
        "border": tf.constant([b""] * len(images)),
        "name": tf.constant(list(files)),
        "bit_depth": tf.constant([[image.bit_depth] for image in images], tf.int64),
    }

    @tf.function(autograph=False)
    def tiles() -> dict[str, tf.Tensor]:
        if normalize == "image":
            return cut_tiles(inputs, settings, None)
        sums = tf.reduce_sum(sums_of_images(inputs["image"], settings), 0)
        return cut_tiles(inputs, settings, moments(sums))

    features = {key: values.numpy() for key, values in tiles().items()}
    mean, stddev = features.pop("mean"), features.pop("stddev")
    return Tiles(features, mean, stddev)


def in_validation(tiles: Tiles) -> Values:
    seen = [x[0] for x, *_ in validation_tiles(tiles, GEOMETRY)]
    return {name.decode(): x for name, x in zip(tiles.features["name"], seen, strict=True)}


def in_training(tiles: Tiles) -> Values:
    """A patch of each file."""
    settings = SETTINGS.model_copy(
        update={
            "patch_size": PATCH,
            "batch_size": 1,
            **STILL,
            "oversample_rare": 0.0,
        }
    )
    batches = training_batches(tiles, settings).take(len(tiles))
    return {names_of_batch(tiles, settings, n)[0]: x[0].numpy() for n, (x, _) in enumerate(batches)}


def echo(channels: int, seen: list[NDArray[np.float32]]) -> keras.Model:
    """A network that answers with three classes, and keeps what it sees."""

    class Keep(keras.layers.Layer):
        def call(self, x: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.numpy_function(keep, [x], tf.float32), x.shape)

    def keep(x: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(x[0].copy())
        return x

    image = keras.Input((None, None, channels))
    inside = keras.layers.Cropping2D(GEOMETRY.halo)(Keep()(image))
    return keras.Model(image, keras.layers.Conv2D(3, 1)(inside))


def in_evaluation_and_service(
    files: dict[str, Path], scale: float, channels: int, constants: dict[str, Any]
) -> tuple[Values, Values]:
    seen: list[NDArray[np.float32]] = []
    mean, stddev = constants.get("mean"), constants.get("stddev")
    segmenter = Segmenter(echo(channels, seen), GEOMETRY, channels, mean, stddev, (0, 1, 2), scale=scale)
    signatures = create_signatures(segmenter)
    encoded = [read_image(path).data for path in files.values()]
    mask = encode_png(np.zeros((HEIGHT, WIDTH), np.uint8))
    examples = [example({"image": data, "mask": mask}) for data in encoded]
    found = []
    for answer in (
        lambda: signatures[EVALUATE](tf.constant(examples)),
        lambda: signatures[SERVE](tf.constant(encoded)),
    ):
        seen.clear()
        answer()
        found.append(dict(zip(files, seen, strict=True)))
    return found[0], found[1]


def example(features: dict[str, bytes]) -> bytes:
    values = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


def in_prediction(
    files: dict[str, Path], scale: float, channels: int, constants: dict[str, Any], large: bool
) -> Values:
    """`large`: TIFFs are read as images that do not fit into memory."""
    found: dict[str, Any] = {}

    def call(patches: NDArray[np.float32]) -> dict[str, tf.Tensor]:
        found[file] = patches[0]
        halo = GEOMETRY.halo
        return {"probabilities": tf.constant(patches[:, halo:-halo, halo:-halo])}

    record = {
        "scale": scale, "geometry": {"depth": GEOMETRY.depth}, "channels": channels, "base_filters": 4,
        "max_area": 2**22, "classes": ["class"] * channels, "normalization": constants,
    }  # fmt: skip
    for file, path in files.items():
        if "TIFF" in file or not large:
            list(probabilities([NetworkSignature(call, record)], read(path, large=large).pixels))
    return found


def by_hand(data: bytes, scale: float, channels: int) -> NDArray[np.float64]:
    """The resized image in grey levels, not rounded."""
    pixels = decode(data)
    unit = 1 if pixels.dtype == np.uint8 else 257
    if channels < pixels.shape[-1]:
        pixels = gray_by_hand(pixels)
    size = [round(HEIGHT * scale), round(WIDTH * scale)]
    resized = tf.image.resize(tf.constant(pixels, tf.float32), size, antialias=True).numpy()
    return np.broadcast_to(resized, (*size, channels)) / np.float64(unit)


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("scale", SCALES)
def test_the_network_sees_the_same_values_everywhere(
    scale: float, channels: int, normalize: str, files: dict[str, Path]
) -> None:
    tiles = stored(files, scale, channels, normalize)
    constants: dict[str, Any] = {"over": normalize}
    if normalize == "dataset":
        constants |= {"mean": tiles.mean[0].tolist(), "stddev": tiles.stddev[0].tolist()}
    validation, training = in_validation(tiles), in_training(tiles)
    evaluation, service = in_evaluation_and_service(files, scale, channels, constants)
    ways = {
        "evaluation": evaluation,
        "service": service,
        "prediction": in_prediction(files, scale, channels, constants, False),
        "prediction of a large TIFF": in_prediction(files, scale, channels, constants, True),
    }
    assert set(validation) == set(training) == set(files)
    halo = GEOMETRY.halo
    for tile, file in enumerate(tiles.features["name"].astype(str)):
        x, stddev = validation[file], tiles.stddev[tile]
        image = by_hand(read_image(files[file]).data, scale, channels)
        shown = x[halo : halo + len(image), halo : halo + image.shape[1]] * stddev + tiles.mean[tile]
        np.testing.assert_allclose(shown, image, rtol=0, atol=ROUNDED, err_msg=f"validation, {file}")
        patch = training[file]
        np.testing.assert_allclose(
            patch * stddev, found_in(x, patch) * stddev, rtol=0, atol=CLOSE, err_msg=f"training, {file}"
        )
        for way, seen in ways.items():
            if file in seen:
                rows, columns = (min(a, b) for a, b in zip(x.shape[:2], seen[file].shape[:2], strict=True))
                assert rows >= len(image) + 2 * halo
                assert columns >= image.shape[1] + 2 * halo
                np.testing.assert_allclose(
                    seen[file][:rows, :columns] * stddev,
                    x[:rows, :columns] * stddev,
                    rtol=0,
                    atol=CLOSE,
                    err_msg=f"{way}, {file}",
                )
        # The depth of a PNG; eight bits, where they are enough, take half of the bytes.
        assert tiles.features["tile"][tile][24] == (16 if scale != 1 or "16 bits" in file else 8)


def found_in(tile: NDArray[np.float32], patch: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of the tile whose first rows are most like those of the patch."""
    rows, columns = patch.shape[:2]
    starts = np.lib.stride_tricks.sliding_window_view(tile, columns, 1)  # [H, W - columns + 1, C, columns]
    last = len(tile) - rows + 1
    # Two rows: one alone occurs in its mirrored margin, too.
    distance = sum(np.abs(starts[i : last + i] - patch[i].T).sum((2, 3)) for i in (0, 1))
    top, left = np.unravel_index(np.argmin(distance), (last, starts.shape[1]))
    return tile[top : top + rows, left : left + columns]
