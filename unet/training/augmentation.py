"""Random changes of training patches: where a patch lies, how it is bent, turned and lit.

What the paper does (section 3.1, "Data Augmentation"): shift and rotation, elastic deformations "using
random displacement vectors on a coarse 3 by 3 grid" from "a Gaussian distribution with 10 pixels standard
deviation", displacements of pixels "computed using bicubic interpolation", and grey-value variations.

A patch is cut from a tile and bent in one step, and only then is its valid centre the target. What the mask
of a mirrored border says is nobody's truth: pixels of the centre that come from outside the image are marked
`IGNORE`, so no padding is ever learned.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from unet.masks.labels import IGNORE
from unet.tiling import mirror_index
from unet.training.settings import Augmentation

_GRID = 3  # control points of the elastic deformation on each axis
_MARGIN = 3  # pixels around a tile, so that every tap of a cubic exists


class Patch(NamedTuple):
    """A patch to be cut from a tile, in pixels of the tile.

    Attributes:
        top, left: its first pixel, int32 scalars.
        side: of the patch.
        halo: what its valid centre lacks on each side.
        first, last: int32 [2], rows and columns of the tile that show the image itself: [first, last).
    """

    top: tf.Tensor
    left: tf.Tensor
    side: int
    halo: int
    first: tf.Tensor
    last: tf.Tensor


def cut(image: tf.Tensor, mask: tf.Tensor, patch: Patch) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts a patch as it is.

    Args:
        image: [H, W, C], of any type.
        mask: [H, W, K] uint8, class indices first.
        patch: lies inside of the tile.

    Returns:
        [side, side, C], and the centre of the mask, [side - 2 halo, side - 2 halo, K].
    """
    top, left, side, halo, first, last = patch
    image = image[top : top + side, left : left + side, :]
    top, left, out = top + halo, left + halo, side - 2 * halo
    mask = mask[top : top + out, left : left + out, :]
    rows, columns = (
        (position >= first[axis]) & (position < last[axis])
        for axis, position in ((0, top + tf.range(out)), (1, left + tf.range(out)))
    )
    mask = _only_inside(mask, rows[:, None] & columns[None])
    return tf.ensure_shape(image, [side, side, image.shape[-1]]), tf.ensure_shape(
        mask, [out, out, mask.shape[-1]]
    )


def warp(
    image: tf.Tensor, mask: tf.Tensor, patch: Patch, augmentation: Augmentation, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts a patch that is rotated, zoomed and elastically deformed.

    The image is interpolated by cubics, the mask takes the nearest pixel. Compiled by XLA, which makes one
    loop of it, it takes a quarter of the time; that needs a fixed size, so a square that holds the patch at
    any angle is cut from the tile first, and mirrored where the tile ends.

    Args:
        image: [H, W, C] float32.
        mask: [H, W, K] uint8, class indices first.
        patch: where it would lie without the deformation.
        augmentation: strengths.
        seed: shape [2].

    Returns:
        As `cut`.
    """
    around = math.ceil((math.sqrt(2) - 1) / 2 * patch.side)
    side = patch.side + 2 * around
    start = tf.stack([patch.top, patch.left]) - around
    for axis in (0, 1):
        index = mirror_index(start[axis], side, tf.shape(mask)[axis], tf)
        image, mask = (tf.gather(values, index, axis=axis) for values in (image, mask))
    seeds = tf.random.split(seed, 2)
    angle, zoom = tf.unstack(tf.random.stateless_uniform([2], seeds[0], -1.0, 1.0))
    vectors = tf.random.stateless_normal([2, _GRID, _GRID], seeds[1], stddev=augmentation.elastic_sigma)
    return _warp(patch.side, patch.halo)(
        tf.ensure_shape(image, [side, side, image.shape[-1]]),
        tf.ensure_shape(mask, [side, side, mask.shape[-1]]),
        tf.stack([patch.first, patch.last]) - start,
        angle * math.radians(augmentation.rotation),
        # As often smaller as larger: exponents of the same base.
        tf.pow(1 + augmentation.zoom, zoom),
        vectors,
    )


def flip_and_turn(image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies one of the eight symmetries of the square to a patch [S, S, C] and its mask [T, T, K]."""
    choices = tf.random.stateless_uniform([3], seed, 0, 2, tf.int32)
    for i, change in enumerate(_SYMMETRIES):
        wanted = choices[i] > 0
        image, mask = (_if(wanted, change, values) for values in (image, mask))
    return image, mask


def vary_brightness_contrast(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Scales and shifts normalised grey values, as staining, exposure and gain do.

    Args:
        image: [S, S, C], normalised to mean 0 and standard deviation 1.
        seed: shape [2].
        strength: the factor is drawn from 1 +- strength, the shift from +- strength.

    Returns:
        The same shape.
    """
    factor, shift = tf.unstack(tf.random.stateless_uniform([2], seed, -strength, strength))
    return image * (1 + factor) + shift


@functools.cache
def _warp(side: int, halo: int) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """The compiled part of `warp`, for patches of one size."""

    def bend(
        image: tf.Tensor,
        mask: tf.Tensor,
        extent: tf.Tensor,
        angle: tf.Tensor,
        ratio: tf.Tensor,
        vectors: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        first, last = extent[0][:, None, None], extent[1][:, None, None]
        out, whole = side - 2 * halo, mask.shape[0]
        at = positions(side, angle, ratio, vectors) + (whole - 1) / 2
        center = tf.cast(tf.round(at[:, halo : side - halo, halo : side - halo]), tf.int32)
        inside = tf.reduce_all((center >= first) & (center < last), 0)
        rows, columns = tf.unstack(tf.clip_by_value(center, 0, whole - 1))
        flat = tf.reshape(mask, [-1, mask.shape[-1]])
        indices = tf.gather(flat, tf.reshape(rows * whole + columns, [-1]))
        bent = [cubic(image[..., channel], at) for channel in range(image.shape[-1])]
        return tf.stack(bent, -1), _only_inside(tf.reshape(indices, [out, out, -1]), inside)

    return tf.function(bend, jit_compile=True)


def positions(side: int, angle: tf.Tensor, ratio: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Where each pixel of a warped patch comes from, [2, side, side] float32, from the patch's centre.

    Args:
        side: of the patch.
        angle: of the rotation, in radians.
        ratio: of the zoom.
        vectors: displacements of the elastic deformation, [2, 3, 3], in pixels.
    """
    steps = tf.range(side, dtype=tf.float32) - (side - 1) / 2
    down, right = steps[:, None], steps[None]
    sine, cosine = tf.sin(angle) * ratio, tf.cos(angle) * ratio
    turned = tf.stack([cosine * down - sine * right, sine * down + cosine * right])
    spline = _spline(side)
    # Bicubic: the same cubic spline along both axes.
    return turned + tf.einsum("ia,cab,jb->cij", spline, vectors, spline)


@functools.cache
def _spline(side: int) -> NDArray[np.float32]:
    """What each of `_GRID` points over the patch adds to the natural cubic spline at each pixel."""
    knots = np.linspace(0, side - 1, _GRID)
    return CubicSpline(knots, np.eye(_GRID), bc_type="natural")(np.arange(side)).astype(np.float32)


def cubic(image: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Cubic convolution (Keys 1981, a = -1/2), mirrored at the border.

    Args:
        image: [H, W], both known.
        at: [2, h, w], row and column of each pixel of the answer.

    Returns:
        [h, w].
    """
    width = image.shape[1] + 2 * _MARGIN
    flat = tf.reshape(tf.pad(image, [[_MARGIN, _MARGIN]] * 2, "SYMMETRIC"), [-1])
    # The four columns of each pixel lie side by side: one look-up for each row instead of four.
    columns = tf.stack([flat[i : flat.shape[0] - 3 + i] for i in range(4)], -1)
    out_shape = tf.shape(at)[1:]
    at = tf.stack(
        [tf.clip_by_value(tf.reshape(at[axis], [-1]), -1.0, float(image.shape[axis])) for axis in (0, 1)]
    )
    corner = tf.floor(at)
    row_weights, column_weights = (_taps(at[axis] - corner[axis]) for axis in (0, 1))
    first = tf.cast(corner, tf.int32) + _MARGIN - 1
    index = first[0] * width + first[1]
    across = tf.stack(column_weights, -1)
    rows = [
        weight * tf.reduce_sum(tf.gather(columns, index + i * width) * across, -1)
        for i, weight in enumerate(row_weights)
    ]
    return tf.reshape(tf.add_n(rows), out_shape)


def _taps(t: tf.Tensor) -> list[tf.Tensor]:
    """Weights of the four neighbours of a point that lies t after the second one, 0 <= t < 1."""
    t2, t3 = t * t, t * t * t
    return [
        (2 * t2 - t - t3) / 2,
        1 - (5 * t2 - 3 * t3) / 2,
        (t + 4 * t2 - 3 * t3) / 2,
        (t3 - t2) / 2,
    ]


def _only_inside(mask: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    indices = tf.where(inside[..., None], mask[..., :1], tf.constant(IGNORE, tf.uint8))
    return tf.concat([indices, mask[..., 1:]], -1)


# Applied in turn, or not, they make all eight.
_SYMMETRIES: tuple[Callable[[tf.Tensor], tf.Tensor], ...] = (
    lambda values: tf.transpose(values, [1, 0, 2]),
    lambda values: tf.reverse(values, [0]),
    lambda values: tf.reverse(values, [1]),
)


def _if(wanted: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor], values: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.cond(wanted, lambda: change(values), lambda: values), values.shape)
