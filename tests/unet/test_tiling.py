"""Geometry tables, mirroring against numpy's, and the headline: tiles equal the whole-image pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from unet import tiling
from unet.network import create_unet
from unet.settings import Network
from unet.tiling import Axis, Geometry


def trace_side(side: int, depth: int, stem_stride: int = 1) -> int | None:
    """The output side, walked level by level as the network does; None where a step is impossible."""
    if stem_stride == 2:
        inner = trace_side(side // 2, depth) if side % 2 == 0 else None
        return inner and 2 * inner - 2
    side -= 4
    if depth:
        inner = trace_side(side // 2, depth - 1) if side > 0 and side % 2 == 0 else None
        if inner is None:
            return None
        side = 2 * inner - 4
    return side if side > 0 else None


@pytest.mark.parametrize(
    ("depth", "step", "halo", "smallest", "smallest_output", "crops"),
    [
        (1, 2, 8, 18, 2, (4,)),
        (2, 4, 20, 44, 4, (16, 4)),
        (3, 8, 44, 92, 4, (40, 16, 4)),
        (4, 16, 92, 188, 4, (88, 40, 16, 4)),
        (5, 32, 188, 380, 4, (184, 88, 40, 16, 4)),
    ],
)
def test_constants(
    depth: int, step: int, halo: int, smallest: int, smallest_output: int, crops: tuple[int, ...]
) -> None:
    g = Geometry(depth)
    assert (g.step, g.halo, g.smallest, g.smallest_output, g.crops) == (
        step, halo, smallest, smallest_output, crops,
    )  # fmt: skip


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
def test_legal_sides_are_those_of_the_recursion(depth: int, stem_stride: int) -> None:
    g = Geometry(depth, stem_stride)
    for side in range(1, g.smallest + 3 * g.step + 1):
        output = trace_side(side, depth, stem_stride)
        assert g.is_valid_size(side) == (output is not None), side
        if output is not None:
            assert g.output_size(side) == output


@pytest.mark.parametrize(
    ("side", "output"), [(188, 4), (252, 68), (316, 132), (444, 260), (572, 388), (700, 516)]
)
def test_output_sides(side: int, output: int) -> None:
    assert Geometry().output_size(side) == output


@pytest.mark.parametrize(
    ("side", "nearest"),
    [
        (1, (188, 188)),
        (188, (188, 188)),
        (189, (188, 204)),
        (512, (508, 524)),
        (570, (556, 572)),
        (572, (572, 572)),
    ],
)
def test_nearest_legal(side: int, nearest: tuple[int, int]) -> None:
    assert Geometry().nearest_valid_size(side) == nearest


def test_invalid_sizes_say_what_was_received() -> None:
    with pytest.raises(ValueError, match=r"556 and 572\. Received: size=570"):
        Geometry().output_size(570)
    with pytest.raises(ValueError, match="Received: depth=0"):
        Geometry(0)
    with pytest.raises(ValueError, match="Received: stem_stride=3"):
        Geometry(4, 3)
    with pytest.raises(ValueError, match=r"depth 3 and a stem of stride 2 takes sizes 184 \+ 16 k"):
        Geometry(3, 2).output_size(188)
    with pytest.raises(ValueError, match="Received: size=0"):
        tiling.plan(0, 16, Geometry())
    with pytest.raises(ValueError, match=r"multiple of 16\. Received: max_stride=388"):
        tiling.plan(100, 388, Geometry())
    with pytest.raises(ValueError, match="Received: max_stride=0"):
        tiling.plan(100, 0, Geometry())
    with pytest.raises(ValueError, match="nothing to stitch"):
        tiling.stitch([], 1, 1)


@pytest.mark.parametrize(
    ("size", "max_stride", "axis", "tile_size"),
    [
        (1, 1024, Axis(1, 16), 204),
        (20, 1024, Axis(1, 16), 204),
        (21, 1024, Axis(1, 32), 220),
        (388, 1024, Axis(1, 384), 572),
        (512, 1024, Axis(1, 512), 700),
        (1028, 1024, Axis(1, 1024), 1212),
        (1029, 1024, Axis(2, 528), 716),
        (2048, 1024, Axis(2, 1024), 1212),
        (2048, 384, Axis(6, 352), 540),
        (5000, 1024, Axis(5, 1008), 1196),
    ],
)
def test_plan(size: int, max_stride: int, axis: Axis, tile_size: int) -> None:
    assert tiling.plan(size, max_stride, Geometry()) == axis
    assert axis.tile_size(Geometry()) == tile_size


@pytest.mark.parametrize(
    "g", [*map(Geometry, (1, 2, 3, 4, 5)), *(Geometry(depth, 2) for depth in (1, 2, 3))], ids=str
)
def test_plan_covers_every_size_in_order(g: Geometry) -> None:
    for max_stride in (g.step, 3 * g.step, 8 * g.step):
        for size in range(1, 20 * g.step):
            axis = tiling.plan(size, max_stride, g)
            assert g.is_valid_size(axis.tile_size(g))
            assert axis.stride % g.step == 0
            assert axis.stride <= max_stride
            assert axis.padded_size(g) == (axis.count - 1) * axis.stride + axis.tile_size(g)
            assert sum(axis.kept(i, g) for i in range(axis.count)) >= size
            assert (axis.count - 1) * axis.stride < size  # no tile lies beyond the image
            fewer = (axis.count - 1) * max_stride + g.smallest_output
            assert axis.count == 1 or fewer < size


def test_plan_and_mirror_index_are_the_same_in_a_graph() -> None:
    g = Geometry()

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def in_graph(size: tf.Tensor) -> tuple[tf.Tensor, ...]:
        axis = tiling.plan(size, 64, g)
        index = tiling.mirror_index(-g.halo, axis.padded_size(g), size, tf)
        return axis.count, axis.stride, axis.kept(0, g), axis.kept(axis.count - 1, g), index

    for size in (1, 2, 3, 4, 5, 6, 20, 21, 64, 68, 69, 93, 200, 1000):
        axis = tiling.plan(size, 64, g)
        *scalars, index = in_graph(tf.constant(size))
        assert [int(s) for s in scalars] == [*axis, axis.kept(0, g), axis.kept(axis.count - 1, g)]
        np.testing.assert_array_equal(index, tiling.mirror_index(-g.halo, axis.padded_size(g), size))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 92, 93, 200])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (92, 92), (92, 107), (92, 300)])
def test_mirror_index_is_that_of_numpy(size: int, before: int, after: int) -> None:
    index = tiling.mirror_index(-before, before + size + after, size)
    np.testing.assert_array_equal(index, np.pad(np.arange(size), (before, after), mode="reflect"))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (37, 53, 1), (120, 9, 3)])
def test_tiles_put_together_are_the_image(shape: tuple[int, int, int]) -> None:
    g = Geometry(2)
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    rows, cols = (tiling.plan(size, 16, g) for size in shape[:2])
    padded = tiling.pad(image, rows, cols, g)
    assert padded.shape == (rows.padded_size(g), cols.padded_size(g), shape[2])
    cut = list(tiling.tiles(padded, rows, cols, g))
    assert len(cut) == rows.count * cols.count
    assert {tile.shape for _, _, tile in cut} == {(rows.tile_size(g), cols.tile_size(g), shape[2])}
    # A network that does nothing but lose its halo.
    centers = ((top, left, tile[g.halo : -g.halo, g.halo : -g.halo]) for top, left, tile in cut)
    np.testing.assert_array_equal(tiling.stitch(centers, *shape[:2]), image)


Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


# Geometry, channels, base_filters, and further layers.
NETWORKS: list[tuple[Geometry, int, int, dict[str, Any]]] = [
    (Geometry(2), 1, 4, {}),
    (Geometry(3), 3, 3, {}),
    (Geometry(4), 1, 2, {}),
    (Geometry(1, 2), 1, 4, {}),
    (Geometry(3, 2), 3, 3, {"normalization_layer": "batch", "residual": True}),
]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda p: f"{p[0]}, {p[1]} channels")
def random_network(request: pytest.FixtureRequest) -> tuple[Geometry, int, Predict]:
    geometry, channels, base_filters, more = request.param
    keras.utils.set_random_seed(8)
    network = create_unet(
        (None, None, channels),
        base_filters=base_filters,
        depth=geometry.depth,
        stem_stride=geometry.stem_stride,
        decoder="paper",
        classes=3,
        **more,
    )
    spec = tf.TensorSpec([1, None, None, channels], tf.float32)
    call = tf.function(lambda x: network(x, training=False), input_signature=[spec])
    return geometry, channels, lambda tile: call(tile[None]).numpy()[0]


def infer(
    image: NDArray[np.float32], max_stride: int, geometry: Geometry, predict: Predict
) -> NDArray[np.float32]:
    rows, cols = (tiling.plan(size, max_stride, geometry) for size in image.shape[:2])
    padded = tiling.pad(image, rows, cols, geometry)
    outputs = ((top, left, predict(tile)) for top, left, tile in tiling.tiles(padded, rows, cols, geometry))
    return tiling.stitch(outputs, *image.shape[:2])


@pytest.mark.parametrize("size", [(1, 1), (2, 70), (33, 64), (68, 69), (101, 47), (160, 5), (131, 132)])
def test_tiled_inference_equals_the_whole_image_pass(
    random_network: tuple[Geometry, int, Predict], size: tuple[int, int]
) -> None:
    geometry, channels, predict = random_network
    image = np.random.default_rng(1).normal(size=(*size, channels)).astype(np.float32)
    whole = infer(image, 1024, geometry, predict)
    assert whole.shape == (*size, 3)
    assert whole.size < 100 or np.ptp(whole) > 0.1  # the network sees something
    for max_stride in {geometry.step * 2, 32, 64}:
        tiled = infer(image, max_stride, geometry, predict)
        np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


# At depth 2 every output side is a multiple of the step.
@pytest.mark.parametrize("random_network", NETWORKS[1:3], indirect=True)
def test_a_stride_off_the_step_differs(random_network: tuple[Geometry, int, Predict]) -> None:
    """Why `plan` exists: the natural stride, the output side, pairs other pixels in the poolings."""
    geometry, channels, predict = random_network
    image = np.random.default_rng(2).normal(size=(120, 40, channels)).astype(np.float32)
    whole = infer(image, 1024, geometry, predict)
    rows, cols = tiling.plan(120, 1024, geometry), tiling.plan(40, 1024, geometry)
    padded = tiling.pad(image, rows, cols, geometry)
    top = geometry.output_size(geometry.smallest + 2 * geometry.step)
    naive = predict(padded[top : top + geometry.smallest + 2 * geometry.step])[:, :40]
    assert np.abs(naive - whole[top : top + len(naive)]).max() > 1e-3


@pytest.mark.parametrize("depth", [2, 4])
def test_tiles_hold_what_has_to_fit_into_them(depth: int) -> None:
    geometry = Geometry(depth)
    for min_stride, max_stride in ((0, 64), (64, 64), (48, 64), (384, 512)):
        for size in range(1, 1200, 7):
            axis = tiling.plan(size, max_stride, geometry, min_stride=min_stride)
            assert min_stride <= axis.stride <= max_stride
            assert axis.stride % geometry.step == 0
            assert axis.count * axis.stride + geometry.smallest_output >= size
            assert (axis.count - 1) * axis.stride < size  # no tile lies beyond the image


@pytest.mark.parametrize(
    ("size", "max_area", "expected"),
    [
        ((512, 512), 6_000_000, (Axis(1, 512), Axis(1, 512))),
        ((2048, 2048), 6_000_000, (Axis(1, 2048), Axis(1, 2048))),
        ((2048, 2048), 3_100_000, (Axis(1, 2048), Axis(2, 1024))),
        ((4096, 4096), 6_000_000, (Axis(2, 2048), Axis(2, 2048))),
        ((5000, 1), 6_000_000, (Axis(1, 5008), Axis(1, 16))),
        ((1, 1), 204**2, (Axis(1, 16), Axis(1, 16))),
    ],
)
def test_plan_of_an_image(size: tuple[int, int], max_area: int, expected: tuple[Axis, Axis]) -> None:
    assert tiling.plan_image(*size, max_area, Geometry()) == expected


def work(rows: Axis, cols: Axis, g: Geometry) -> int:
    return int(rows.count * rows.tile_size(g) * cols.count * cols.tile_size(g))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_no_plan_within_the_bound_is_less_work(depth: int, seed: int) -> None:
    g = Geometry(depth)
    numbers = np.random.default_rng(seed)
    height, width = (int(side) for side in numbers.integers(1, 40 * g.step, 2))
    max_area = int(numbers.integers(tiling.smallest_area(g), 4 * tiling.smallest_area(g)))
    strides = range(g.step, 60 * g.step, g.step)
    others = [
        work(rows, cols, g)
        for rows in (tiling.plan(height, stride, g) for stride in strides)
        for cols in (tiling.plan(width, stride, g) for stride in strides)
        if rows.tile_size(g) * cols.tile_size(g) <= max_area
    ]
    rows, cols = tiling.plan_image(height, width, max_area, g)
    assert rows.tile_size(g) * cols.tile_size(g) <= max_area
    assert sum(rows.kept(i, g) for i in range(rows.count)) >= height
    assert sum(cols.kept(i, g) for i in range(cols.count)) >= width
    assert work(rows, cols, g) == min(others)


def test_plan_of_an_image_is_the_same_in_a_graph() -> None:
    g = Geometry()

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)] * 2)
    def in_graph(height: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, ...]:
        rows, cols = tiling.plan_image(height, width, 300_000, g, tf)
        return *rows, *cols

    for size in ((1, 1), (5, 4), (300, 200), (1388, 1040), (20000, 20000), (60000, 1), (3, 5000)):
        rows, cols = tiling.plan_image(*size, 300_000, g)
        assert [int(v) for v in in_graph(*size)] == [*rows, *cols]


def test_the_geometry_is_that_of_the_settings() -> None:
    assert Geometry.of(Network()) == Geometry(4)
    assert Geometry.of(Network(depth=3, stem_stride=2)) == Geometry(3, 2)


@pytest.mark.parametrize("geometry", [Geometry(), Geometry(3, 2)], ids=str)
def test_the_record_of_a_model_holds_its_geometry(geometry: Geometry) -> None:
    assert Geometry.of_record({"geometry": geometry.record}) == geometry
    assert geometry.record["smallest"] - 2 * geometry.record["halo"] == geometry.smallest_output


def test_a_stem_leaves_room_for_a_larger_tile() -> None:
    assert tiling.tile_area(1e9, 16, Geometry(3, 2)) > 1.5 * tiling.tile_area(1e9, 16, Geometry(4))


def test_a_bound_below_the_smallest_tile_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 41616 pixels\. Received: max_area=41615"):
        tiling.plan_image(10, 10, 41615, Geometry())


@pytest.mark.parametrize("min_stride", [-16, 24, 80])
def test_a_lower_bound_that_no_stride_can_keep_is_refused(min_stride: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 16 up to max_stride.*min_stride={min_stride}$"):
        tiling.plan(100, 64, Geometry(), min_stride=min_stride)


@pytest.mark.parametrize("memory", [1e12, 1.7e308, float("inf")])
def test_a_tile_for_any_memory_can_be_planned_by_tensorflow(memory):
    area = tiling.tile_area(memory, 1, Geometry(2))
    rows, columns = tiling.plan_image(tf.constant(300), tf.constant(500), area, Geometry(2), tf)
    assert (int(rows.count), int(columns.count)) == (1, 1)
