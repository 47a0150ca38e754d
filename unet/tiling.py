"""The arithmetic of the overlap-tile strategy: the only module with the numbers 184, 16 and 92.

U-Net's convolutions are valid ones, so its output is smaller than its input by a constant; missing context
at the border is mirrored, and images of any size are cut into tiles that overlap by that constant
(Ronneberger, Fischer, Brox 2015, section 2 and figure 2). The network is equivariant only to shifts by
multiples of 2**depth, or of twice that with a stem of stride 2: in a tile that starts at any other offset,
the poolings pair other pixels than in one pass over the whole image. The tiles of `plan` start at such
multiples, so that tiled inference equals the whole-image pass but for float rounding.

Everything here is in pixels. The plans, `Axis` and `mirror_index` use only operators that Python integers,
numpy arrays and TensorFlow's int32 tensors share: the same lines run offline and inside a graph.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from unet.settings import Levels

# NumPy is imported where arrays are made: checking a configuration needs `Geometry` alone, and must be fast.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Int = Any  # an int, or an int32 scalar tensor in a graph
Scalar = TypeVar("Scalar", bound="np.generic")


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Valid input sizes of a U-Net of valid convolutions, and their output sizes.

    Level by level, with two 3x3 convolutions each side of a 2x2 pooling: a U-Net of depth d loses
    L(d) = 2 L(d - 1) + 8 pixels of a side, L(0) = 4, and needs a size n with n - 4 even and (n - 4) / 2 valid
    for depth d - 1. At the paper's depth of 4: n = 16 k + 12 >= 188, and 184 pixels are lost (figure 1: 572
    gives 388).

    With a stem of stride 2 that network works at half the resolution, and one more 3x3 convolution follows at
    the full one: 2 L(d) + 2 pixels are lost, n / 2 must be valid for depth d, and the step is twice as long.
    At depth 3: n = 16 k + 8 >= 184, and 178 pixels are lost.

    Attributes:
        depth: number of 2x2 poolings, at least 1.
        stem_stride: stride of the convolution before the first level: 1, where there is none, or 2.
    """

    depth: int = 4
    stem_stride: int = 1

    def __post_init__(self) -> None:
        """Raises `ValueError` for a depth below 1, and for a stride other than 1 and 2."""
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1. Received: depth={self.depth}")
        if self.stem_stride not in (1, 2):
            raise ValueError(f"stem_stride must be 1 or 2. Received: stem_stride={self.stem_stride}")

    @classmethod
    def of(cls, settings: Levels) -> Geometry:
        """The geometry of the network that has these settings."""
        return cls(settings.depth, settings.stem_stride)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Geometry:
        """The geometry of an exported model, from its training record."""
        found = record["geometry"]
        return cls(found["depth"], found.get("stem_stride", 1))

    @property
    def record(self) -> dict[str, int]:
        """What the training record tells of it: callers of the signature `network` tile images with it."""
        names = ("depth", "stem_stride", "halo", "step", "smallest")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        """Names the settings, as in "depth 4" or "depth 4 and a stem of stride 2"."""
        return f"depth {self.depth}" + (" and a stem of stride 2" if self.stem_stride > 1 else "")

    @staticmethod
    def _loss(depth: int) -> int:
        """Pixels by which the output is smaller than the input, L(depth): the recursion's closed form."""
        return 12 * 2**depth - 8

    @property
    def step(self) -> int:
        """Smallest shift, in pixels, to which the network is equivariant: 16 at depth 4."""
        return self.stem_stride * 2**self.depth

    @property
    def halo(self) -> int:
        """Pixels by which the input exceeds the output on each side: 92 at depth 4."""
        return self.stem_stride * self._loss(self.depth) // 2 + self._last_loss // 2

    @property
    def _last_loss(self) -> int:
        """Pixels that the convolution after the stem's up-convolution loses."""
        return 2 if self.stem_stride > 1 else 0

    @property
    def smallest(self) -> int:
        """Smallest valid input size: 188 at depth 4."""
        return 2 * self.halo + self.smallest_output

    @property
    def smallest_output(self) -> int:
        """Output size of the smallest valid input, 4 at depth 4; larger outputs add multiples of `step`."""
        return self.stem_stride * min(2**self.depth, 4) - self._last_loss

    @property
    def crops(self) -> tuple[int, ...]:
        """Pixels cropped from each border of the skip features, shallow to deep: 88, 40, 16, 4 at depth 4.

        With a stem of stride 2 the first one is cropped from the image.
        """
        return tuple(self._loss(depth) for depth in reversed(range(self.depth + self.stem_stride - 1)))

    def is_valid_size(self, size: int) -> bool:
        """Whether each 2x2 pooling gets an even size from this input size, and the output is not empty."""
        return size >= self.smallest and (size - self.smallest) % self.step == 0

    def nearest_valid_size(self, size: int) -> tuple[int, int]:
        """The nearest valid sizes below and above `size`; both are `smallest` for sizes below it."""
        beyond = max(size - self.smallest, 0)
        below = self.smallest + beyond // self.step * self.step
        above = self.smallest + -(-beyond // self.step) * self.step
        return below, above

    def output_size(self, size: int) -> int:
        """Output size for a valid input size; raises `ValueError` for any other one."""
        if not self.is_valid_size(size):
            below, above = self.nearest_valid_size(size)
            raise ValueError(
                f"A U-Net of {self} takes sizes {self.smallest} + {self.step} k; the nearest are "
                f"{below} and {above}. Received: size={size}"
            )
        return size - 2 * self.halo


class Axis(NamedTuple):
    """The tiles of one axis of an image.

    Tile i starts at pixel i * stride of the mirror-padded axis, and its output replaces the `kept(i)` pixels
    of the image that begin at i * stride.

    Attributes:
        count: number of tiles, all of the same size.
        stride: pixels from one tile to the next, a multiple of the geometry's step.
    """

    count: Int
    stride: Int

    def tile_size(self, geometry: Geometry) -> Int:
        """Input size of each tile, a valid input size of the network."""
        return self.stride + geometry.smallest

    def padded_size(self, geometry: Geometry) -> Int:
        """Length of the padded axis: halo, image, and mirrored pixels up to the end of the last tile."""
        return self.count * self.stride + geometry.smallest

    def kept(self, index: Int, geometry: Geometry) -> Int:
        """Number of leading output pixels used of tile `index`: `stride`, or all of the last tile."""
        is_last = (index + 1) // self.count  # 1 or 0, without a comparison that tensors do differently
        return self.stride + is_last * geometry.smallest_output


def plan(size: Int, max_stride: int, geometry: Geometry, min_stride: int = 0) -> Axis:
    """Fits the fewest equal tiles to one axis of an image.

    The work for each output pixel is (tile_size / stride)^2, and tiles that overshoot the image waste work:
    so a small image is a single tile of about its size, a large image a few equal tiles.

    Args:
        size: number of pixels of the axis, an int or an int32 scalar tensor; at least 1.
        max_stride: upper bound of the stride, a multiple of the geometry's step; it bounds the memory.
        geometry: geometry of the network.
        min_stride: lower bound of the stride, a multiple of the step and at most `max_stride`; it guarantees
            tiles of a minimum size.

    Returns:
        The tiles; count and stride are of the type of `size`. count * stride + smallest_output >= size.

    Raises:
        ValueError: `size` is an int below 1, or `max_stride` is no positive multiple of the step.
    """
    step = geometry.step
    if max_stride < step or max_stride % step:
        raise ValueError(f"max_stride must be a positive multiple of {step}. Received: {max_stride=}")
    if not 0 <= min_stride <= max_stride or min_stride % step:
        raise ValueError(f"min_stride must be a multiple of {step} up to max_stride. Received: {min_stride=}")
    if isinstance(size, int) and size < 1:
        raise ValueError(f"An image has at least one pixel. Received: size={size}")
    return _fit(size, max_stride, geometry, min_stride)


def _fit(size: Int, max_stride: Int, geometry: Geometry, min_stride: Int) -> Axis:
    step = geometry.step
    beyond = _larger(size - geometry.smallest_output, 1)
    count = (beyond + max_stride - 1) // max_stride
    stride = _larger((beyond + step * count - 1) // (step * count) * step, min_stride)
    return Axis((beyond + stride - 1) // stride, stride)


def _larger(a: Int, b: Int) -> Int:
    return (a + b + abs(a - b)) // 2  # tensors know abs, but not max


def smallest_area(geometry: Geometry) -> int:
    """Smallest allowed `max_area` of `plan_image` in pixels: one tile of the smallest stride."""
    return (geometry.smallest + geometry.step) ** 2


def fine_area(geometry: Geometry) -> int:
    """Pixels of a tile of whose sides two thirds are output: 2.25 times the work, and soon done."""
    return (6 * geometry.halo) ** 2


def plan_image(
    height: Int, width: Int, max_area: Int, geometry: Geometry, xp: Any = None
) -> tuple[Axis, Axis]:
    """Finds the tiling of an image with the least work among all tilings of bounded memory.

    Tries every number of rows of tiles, gives each the widest columns that `max_area` allows, and takes the
    tiling with the fewest input pixels in all: a single tile where the image fits. At most `height / step`
    tilings are tried; computed as arrays they take a hundredth of a millisecond.

    Args:
        height: height of the image in pixels, an int or an int32 scalar tensor; at least 1.
        width: width of the image in pixels, an int or an int32 scalar tensor; at least 1.
        max_area: largest input of a tile in pixels, at least `smallest_area(geometry)`, an int or an int32
            scalar tensor, which is not checked.
        geometry: geometry of the network.
        xp: the module that computes: `tensorflow` returns tensors; None: numpy.

    Returns:
        The tiles of the rows and the tiles of the columns.

    Raises:
        ValueError: `max_area` is too small.
    """
    if isinstance(max_area, int) and max_area < smallest_area(geometry):
        raise ValueError(f"max_area must be at least {smallest_area(geometry)} pixels. Received: {max_area=}")
    xp = xp or importlib.import_module("numpy")
    arange = xp.arange if hasattr(xp, "arange") else xp.range
    step, least = geometry.step, geometry.smallest
    beyond = _larger(height - geometry.smallest_output, 1)
    counts = arange(1, (beyond + step - 1) // step + 1)  # [tilings]
    rows = _fit(height, (beyond + step * counts - 1) // (step * counts) * step, geometry, 0)
    # The largest stride of the columns within `max_area`; below one step the tiling is impossible.
    room = (max_area // rows.tile_size(geometry) - least) // step * step
    columns = _fit(width, _larger(room, step), geometry, 0)
    # Input pixels for each pixel of the image, as floats: the products do not fit into int32.
    work = (rows.count * rows.tile_size(geometry) / height) * (
        columns.count * columns.tile_size(geometry) / width
    )
    best = xp.argmin(xp.where(room >= step, work, math.inf * xp.ones_like(work)))  # []
    return Axis(rows.count[best], rows.stride[best]), Axis(columns.count[best], columns.stride[best])


def mirror_index(start: Int, length: Int, size: Int, xp: Any = None) -> Any:
    """Source index of each pixel of a mirror-padded axis.

    Reflects without repeating the border pixel, as `np.pad(mode="reflect")` does, again and again where the
    image is smaller than the padding. An image of one pixel is repeated.

    Args:
        start: first position on the image's axis, in pixels; negative for padding before the image.
        length: number of positions.
        size: number of pixels of the image's axis, at least 1.
        xp: the module that computes: `tensorflow` returns a tensor; None: numpy.

    Returns:
        Integer indices into the image's axis, shape [length], each in [0, size).
    """
    xp = xp or importlib.import_module("numpy")
    arange = xp.arange if hasattr(xp, "arange") else xp.range
    period = 2 * size - 2 + 1 // size  # 1 // size: a size of 1 has period 1, not 0
    return size - 1 - abs(arange(start, start + length) % period - (size - 1))  # [length]


def pad(image: NDArray[Scalar], rows: Axis, cols: Axis, geometry: Geometry) -> NDArray[Scalar]:
    """Mirror-pads an image by the halo before it and as far after it as its tiles reach.

    Args:
        image: the image, [H, W, C] or [H, W].
        rows: plan of the H axis.
        cols: plan of the W axis.
        geometry: geometry of the network.

    Returns:
        The padded image, [rows.padded_size, cols.padded_size, C], a copy.
    """
    row_index = mirror_index(-geometry.halo, rows.padded_size(geometry), image.shape[0])  # [padded H]
    col_index = mirror_index(-geometry.halo, cols.padded_size(geometry), image.shape[1])  # [padded W]
    return image[row_index[:, None], col_index[None, :]]  # [padded H, padded W, C]


def tiles(
    padded: NDArray[Scalar], rows: Axis, cols: Axis, geometry: Geometry
) -> Iterator[tuple[int, int, NDArray[Scalar]]]:
    """Cuts a padded image into its tiles, row by row.

    Args:
        padded: image that `pad` returned for the same plans.
        rows: plan of the H axis.
        cols: plan of the W axis.
        geometry: geometry of the network.

    Yields:
        top and left, the first pixel of the *image* that the tile's output replaces; and the tile, a view of
        shape [rows.tile_size, cols.tile_size, C].
    """
    height, width = rows.tile_size(geometry), cols.tile_size(geometry)
    for top in range(0, rows.count * rows.stride, rows.stride):
        for left in range(0, cols.count * cols.stride, cols.stride):
            yield top, left, padded[top : top + height, left : left + width]  # [height, width, C]


def stitch(outputs: Iterable[tuple[int, int, NDArray[Scalar]]], height: int, width: int) -> NDArray[Scalar]:
    """Joins the network's outputs of all tiles to the output of the whole image.

    Args:
        outputs: top, left and output of each tile, in the order of `tiles`; the output is
            [rows.stride + smallest_output, cols.stride + smallest_output, K], or without K.
        height: height of the image in pixels.
        width: width of the image in pixels.

    Returns:
        The output of the whole image, [height, width, K].

    Raises:
        ValueError: there is no output.
    """
    import numpy as np

    whole: NDArray[Scalar] | None = None
    for top, left, output in outputs:
        if whole is None:
            whole = np.empty((height, width, *output.shape[2:]), output.dtype)  # [height, width, K]
        target = whole[top : top + output.shape[0], left : left + output.shape[1]]  # [h, w, K]
        # Where two tiles overlap the later one wins: of each tile just its stride is kept, as in `Axis.kept`.
        target[...] = output[: target.shape[0], : target.shape[1]]
    if whole is None:
        raise ValueError("There is nothing to stitch. Received: outputs=()")
    return whole


# Bytes of activations for each pixel of a tile and each filter of the first level, by the stride of the stem;
# see benchmarks/inference.py.
_BYTES_PER_FILTER = {1: 30, 2: 16}
_LARGEST_AREA = 2**31 - 1  # of the int32 scalars that TensorFlow's shapes are


def tile_area(memory: float, base_filters: int, geometry: Geometry) -> int:
    """Pixels of the largest tile whose activations fit into `memory` bytes; at least the smallest tile's."""
    area = min(memory / (_BYTES_PER_FILTER[geometry.stem_stride] * base_filters), _LARGEST_AREA)
    return max(int(area), smallest_area(geometry))
