"""Tiling outside the graph: of a network that answers with its input, and as the served graph does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from unet.images.reader import decode, encode_png, to_grayscale
from unet.inference import tiled
from unet.inference.inputs import InputImage
from unet.inference.model import Model, class_indices
from unet.inference.tiled import NetworkSignature, probabilities
from unet.tiling import Geometry

CLOSE = 1e-5
GEOMETRY = Geometry(2)
DATASET = {"over": "dataset", "mean": [100.0], "stddev": [50.0]}
COLORS = [[0, 0, 0], [200, 30, 30], [30, 30, 200]]


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


class Echo:
    """A network that answers with the middle of its patches, times a factor."""

    def __init__(self, factor: float = 1.0):
        self.factor = factor
        self.areas: list[int] = []

    def __call__(self, patches: np.ndarray) -> dict[str, tf.Tensor]:
        height, width = patches.shape[1:3]
        assert GEOMETRY.is_valid_size(height)
        assert GEOMETRY.is_valid_size(width)
        self.areas.append(height * width)
        halo = GEOMETRY.halo
        return {"probabilities": tf.constant(self.factor * patches[:, halo:-halo, halo:-halo])}


def record(**change: Any) -> dict[str, Any]:
    whole = {"scale": 1, "geometry": {"depth": 2}, "channels": 1, "base_filters": 4, "max_area": 80**2}
    return whole | {"classes": ["a"], "normalization": {"over": "image"}} | change


def echoed(pixels: np.ndarray, *networks: NetworkSignature, **how: Any) -> np.ndarray:
    """The whole answer, each pixel of which must come."""
    found = np.full((*pixels.shape[:2], networks[0].record["channels"]), np.nan, np.float32)
    for top, left, block in probabilities(networks, pixels, **how):
        assert block.dtype == np.float32
        rows, columns = block.shape[:2]
        assert top + rows <= len(pixels)
        assert left + columns <= pixels.shape[1]
        found[top : top + rows, left : left + columns] = block
    return found


@pytest.mark.parametrize(("dtype", "unit"), [(np.uint8, 1), (np.uint16, 257)])
@pytest.mark.parametrize("strip", [1, 1000, 1 << 22])
@pytest.mark.parametrize("size", [(1, 1), (70, 50), (3, 200), (201, 130)])
def test_each_image_is_normalized_over_itself(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], strip: int, dtype: Any, unit: int
) -> None:
    monkeypatch.setattr(tiled, "_STRIP", strip)
    pixels, echo = noise(*size, 1, dtype=dtype), Echo()
    x = pixels / unit
    expected = (x - x.mean()) / (x.std() or 1)
    np.testing.assert_allclose(echoed(pixels, NetworkSignature(echo, record())), expected, atol=CLOSE)
    assert max(echo.areas) <= 80**2


def test_channels_are_normalized_by_themselves_and_made_as_many_as_the_network_sees() -> None:
    color, gray = noise(60, 70, 3), noise(60, 70, 1)
    three = NetworkSignature(Echo(), record(channels=3))
    expected = (color - color.mean((0, 1))) / color.std((0, 1))
    np.testing.assert_allclose(echoed(color, three), expected, atol=CLOSE)
    once = (gray - gray.mean()) / gray.std()
    np.testing.assert_allclose(echoed(gray, three), np.repeat(once, 3, -1), atol=CLOSE)
    luminance = to_grayscale(color)[..., None].astype(float)
    expected = (luminance - luminance.mean()) / luminance.std()
    np.testing.assert_allclose(echoed(color, NetworkSignature(Echo(), record())), expected, atol=CLOSE)


def test_an_even_image_is_divided_by_1() -> None:
    answer = echoed(np.full((50, 60, 1), 77, np.uint8), NetworkSignature(Echo(), record()))
    np.testing.assert_allclose(answer, 0, atol=1e-3)


def test_several_networks_answer_with_their_mean_each_normalized_its_own_way() -> None:
    pixels = noise(90, 70, 1)
    other = {"over": "dataset", "mean": [10.0], "stddev": [20.0]}
    networks = [
        NetworkSignature(Echo(2.0), record(normalization=DATASET)),
        NetworkSignature(Echo(), record(normalization=other)),
    ]
    expected = (2 * (pixels - 100.0) / 50 + (pixels - 10.0) / 20) / 2
    np.testing.assert_allclose(echoed(pixels, *networks), expected, atol=CLOSE)


def test_the_memory_of_the_caller_limits_tiles_as_that_of_the_model_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    areas = []
    for memory in (tiled.MEMORY, 30 * 4 * 60**2):
        monkeypatch.setattr(tiled, "MEMORY", memory)
        echo = Echo()
        shares: list[float] = []
        echoed(noise(300, 200, 1), NetworkSignature(echo, record(max_area=10**6)), progress=shares.append)
        areas.append(max(echo.areas))
        tiles = len(echo.areas)
        assert shares == [(i + 1) / tiles for i in range(tiles)]
    assert areas[1] < areas[0] < 10**6


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_scaled_even_image_stays_what_it_is(scale: float) -> None:
    network = NetworkSignature(Echo(), record(scale=scale, normalization=DATASET))
    answer = echoed(np.full((61, 50, 1), 150, np.uint8), network)
    np.testing.assert_allclose(answer, 1, atol=1e-3)


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
