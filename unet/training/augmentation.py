"""Random augmentation of training patches: position, deformation, flips, and what a camera does to values.

The paper's augmentation (section 3.1, "Data Augmentation"): shift and rotation, elastic deformations "using
random displacement vectors on a coarse 3 by 3 grid" from "a Gaussian distribution with 10 pixels standard
deviation", displacements of pixels "computed using bicubic interpolation", and grey-value variations.

A patch is cut from a tile and deformed in one step; its valid centre is then the target. The mask of a
mirrored border is no ground truth: target pixels that come from outside the image are marked `IGNORE`, so
that padding is never learned.

Gamma, color jitter, blur and noise, which the paper does not have, draw their numbers from streams of their
own: with or without them, the same patches are cut, bent and turned the same way.
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

from unet.images.channels import is_stacked
from unet.masks.labels import IGNORE
from unet.tiling import mirror_index
from unet.training.settings import Augmentation

_GRID = 3  # control points of the elastic deformation on each axis
_HUE = 0.25  # largest shift of the hue, in turns of the color circle, for each unit of the color jitter
_KERNEL = 3  # radius of the kernel of a blur, in its standard deviations
_MARGIN = 3  # padding around a tile in pixels, so that every sample of the cubic kernel exists


class Patch(NamedTuple):
    """Position of a patch in a tile, in pixels of the tile.

    Attributes:
        top, left: first row and column of the patch, int32 scalars.
        side: height and width of the patch.
        halo: width of the border around the patch's valid centre.
        first, last: row and column, int32 [2], of the image's first pixel in the tile, and one past its last.
    """

    top: tf.Tensor
    left: tf.Tensor
    side: int
    halo: int
    first: tf.Tensor
    last: tf.Tensor


def cut(image: tf.Tensor, mask: tf.Tensor, patch: Patch) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts a patch without deforming it.

    Args:
        image: image of the tile, [H, W, C] of any type.
        mask: mask of the tile, [H, W, K] uint8, class indices first.
        patch: position of the patch, inside the tile.

    Returns:
        The patch, [side, side, C], and the valid centre of its mask, [side - 2 halo, side - 2 halo, K].
    """
    top, left, side, halo, first, last = patch
    image = image[top : top + side, left : left + side, :]  # [side, side, C]
    top, left, out = top + halo, left + halo, side - 2 * halo
    mask = mask[top : top + out, left : left + out, :]  # [out, out, K]
    rows, columns = (  # [out] bool each
        (position >= first[axis]) & (position < last[axis])
        for axis, position in ((0, top + tf.range(out)), (1, left + tf.range(out)))
    )
    mask = _only_inside(mask, rows[:, None] & columns[None])  # [out, out, K]
    return tf.ensure_shape(image, [side, side, image.shape[-1]]), tf.ensure_shape(
        mask, [out, out, mask.shape[-1]]
    )


def warp(
    image: tf.Tensor, mask: tf.Tensor, patch: Patch, augmentation: Augmentation, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts a patch that is rotated, zoomed and elastically deformed.

    The image is interpolated by cubics, the mask takes the nearest pixel. XLA compiles the deformation to one
    loop, in a quarter of the time. XLA needs a fixed size, so a square that holds the patch at any angle is
    cut from the tile first, mirrored where the tile ends.

    Args:
        image: image of the tile, [H, W, C] float32.
        mask: mask of the tile, [H, W, K] uint8, class indices first.
        patch: position of the patch without the deformation.
        augmentation: strengths of rotation, zoom and elastic deformation.
        seed: seed of the random numbers, shape [2].

    Returns:
        The patch and the valid centre of its mask, with the shapes of `cut`.
    """
    around = math.ceil((math.sqrt(2) - 1) / 2 * patch.side)
    side = patch.side + 2 * around
    start = tf.stack([patch.top, patch.left]) - around  # [2]
    for axis in (0, 1):
        index = mirror_index(start[axis], side, tf.shape(mask)[axis], tf)  # [side]
        # [side, W, C] and [side, W, K], then [side, side, C] and [side, side, K]
        image, mask = (tf.gather(values, index, axis=axis) for values in (image, mask))
    seeds = tf.random.split(seed, 2)  # [2, 2]
    angle, zoom = tf.unstack(tf.random.stateless_uniform([2], seeds[0], -1.0, 1.0))  # [] each
    # [2, 3, 3]
    vectors = tf.random.stateless_normal([2, _GRID, _GRID], seeds[1], stddev=augmentation.elastic_sigma)
    return _warp(patch.side, patch.halo)(
        tf.ensure_shape(image, [side, side, image.shape[-1]]),
        tf.ensure_shape(mask, [side, side, mask.shape[-1]]),
        tf.stack([patch.first, patch.last]) - start,  # [2, 2]
        angle * math.radians(augmentation.rotation),
        # A random exponent shrinks the patch as often as it enlarges it.
        tf.pow(1 + augmentation.zoom, zoom),
        vectors,
    )


def flip_and_turn(
    image: tf.Tensor, mask: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Flips and turns a patch by one of the symmetries of the square that are wanted, all equally likely.

    Args:
        image: the patch, [S, S, C].
        mask: its mask, [T, T, K].
        augmentation: which flips are wanted, and whether quarter turns are.
        seed: seed of the random numbers, shape [2].

    Returns:
        The changed patch and mask.
    """
    flip, turns = augmentation.flip, augmentation.quarter_turns
    if flip == "none" and not turns:
        return image, mask
    transpose, rows, columns = tf.unstack(
        tf.random.stateless_uniform([3], seed, 0, 2, tf.int32) > 0
    )  # [] each
    wanted: list[tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]] = []
    if turns:
        wanted.append((transpose, lambda values: tf.transpose(values, [1, 0, 2])))  # [S, S, C], of a square
    if turns or flip in ("vertical", "both"):
        wanted.append((rows, lambda values: tf.reverse(values, [0])))
    if turns or flip in ("horizontal", "both"):
        if flip == "none":  # an even number of reflections is a turn
            columns = tf.not_equal(transpose, rows)
        wanted.append((columns, lambda values: tf.reverse(values, [1])))
    for condition, change in wanted:
        image, mask = (_if(condition, change, values) for values in (image, mask))
    return image, mask


def vary_intensities(image: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Changes gamma and colors of a patch and blurs it, where that is wanted.

    Args:
        image: patch [S, S, C] float32 on the 0..255 scale.
        augmentation: strengths of gamma, color jitter and blur; colors change only where C is 3.
        seed: seed of the patch, shape [2].

    Returns:
        The changed patch, [S, S, C].
    """
    if augmentation.gamma:
        image = vary_gamma(image, _stream(seed, 1), augmentation.gamma)
    if augmentation.color_jitter and image.shape[-1] == 3:
        image = vary_colors(image, _stream(seed, 2), augmentation.color_jitter)
    if augmentation.blur:
        image = blur(image, _stream(seed, 3), augmentation.blur)
    return image


def vary_gamma(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Raises the values of a patch to a random power; its darkest and its brightest value stay.

    Values of 12 bits in an image of 16 use little of the scale, so the patch's own range is scaled to 0..1.

    Args:
        image: patch [S, S, C]; red, green and blue are scaled together, other channels each by itself.
        seed: seed of the random numbers, shape [2].
        strength: the power is between 1 / (1 + strength) and 1 + strength, as often below 1 as above.

    Returns:
        The changed patch, [S, S, C].
    """
    power = tf.pow(1 + strength, tf.random.stateless_uniform([], seed, -1.0, 1.0))  # []
    axes = [0, 1] if is_stacked(image.shape[-1]) else [0, 1, 2]
    low, high = tf.reduce_min(image, axes, keepdims=True), tf.reduce_max(image, axes, keepdims=True)
    extent = tf.maximum(high - low, 1e-6)  # [1, 1, 1 or C]
    return low + extent * tf.pow((image - low) / extent, power)


def vary_colors(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes saturation and hue of an RGB patch; brightness and contrast have their own augmentation.

    Args:
        image: patch [S, S, 3] on the 0..255 scale.
        seed: seed of the random numbers, shape [2].
        strength: the factor of the saturation is drawn from 1 +- strength, the shift of the hue from
            +- strength / 4 turns of the color circle.

    Returns:
        The changed patch, [S, S, 3].
    """
    seeds = tf.random.split(seed, 2)  # [2, 2]
    image = tf.clip_by_value(image / 255, 0.0, 1.0)  # cubics overshoot, and hue is defined on 0..1 only
    image = tf.image.stateless_random_saturation(image, 1 - strength, 1 + strength, seeds[0])
    return tf.image.stateless_random_hue(image, _HUE * strength, seeds[1]) * 255


def blur(image: tf.Tensor, seed: tf.Tensor, most: float) -> tf.Tensor:
    """Blurs a patch by a Gaussian, mirrored at the border, whose standard deviation is drawn from 0..most.

    Args:
        image: patch [S, S, C] float32.
        seed: seed of the random numbers, shape [2].
        most: largest standard deviation in pixels.

    Returns:
        The blurred patch, [S, S, C].
    """
    sigma = tf.random.stateless_uniform([], seed, 0.0, most)  # []
    radius = math.ceil(_KERNEL * most)
    distance = tf.range(-radius, radius + 1, dtype=tf.float32) / tf.maximum(sigma, 1e-3)  # [2 radius + 1]
    kernel = tf.exp(-tf.square(distance) / 2)  # [2 radius + 1]
    kernel = tf.repeat((kernel / tf.reduce_sum(kernel))[:, None], image.shape[-1], 1)  # [2 radius + 1, C]
    # [1, S + 2 radius, S + 2 radius, C]
    padded = tf.pad(image, [[radius, radius], [radius, radius], [0, 0]], "SYMMETRIC")[None]
    for weights in (kernel[:, None, :, None], kernel[None, :, :, None]):  # down, then across
        padded = tf.nn.depthwise_conv2d(padded, weights, [1, 1, 1, 1], "VALID")
    return tf.ensure_shape(padded[0], image.shape)


def add_noise(image: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    """Adds Gaussian noise to a patch, independent in each value.

    Args:
        image: patch [S, S, C], normalised to mean 0 and standard deviation 1.
        most: the standard deviation of the noise is drawn from 0..most; 0: the patch is returned as it is.
        seed: seed of the patch, shape [2].

    Returns:
        The noisy patch, [S, S, C].
    """
    if not most:
        return image
    seeds = tf.random.split(_stream(seed, 4), 2)  # [2, 2]
    sigma = tf.random.stateless_uniform([], seeds[0], 0.0, most)  # []
    return image + sigma * tf.random.stateless_normal(tf.shape(image), seeds[1])


def _stream(seed: tf.Tensor, number: int) -> tf.Tensor:
    """The seed of a stream of random numbers of its own, [2], from the seed of a patch."""
    return tf.random.experimental.stateless_fold_in(seed, tf.constant(number, tf.int64))


def vary_brightness_contrast(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Scales and shifts normalised grey values, as staining, exposure and gain do.

    Args:
        image: patch [S, S, C], normalised to mean 0 and standard deviation 1.
        seed: seed of the random numbers, shape [2].
        strength: the factor is drawn from 1 +- strength, the shift from +- strength.

    Returns:
        The changed patch, [S, S, C].
    """
    factor, shift = tf.unstack(tf.random.stateless_uniform([2], seed, -strength, strength))  # [] each
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
        first, last = extent[0][:, None, None], extent[1][:, None, None]  # [2, 1, 1] each
        out, whole = side - 2 * halo, mask.shape[0]
        at = positions(side, angle, ratio, vectors) + (whole - 1) / 2  # [2, side, side]
        center = tf.cast(tf.round(at[:, halo : side - halo, halo : side - halo]), tf.int32)  # [2, out, out]
        inside = tf.reduce_all((center >= first) & (center < last), 0)  # [out, out]
        rows, columns = tf.unstack(tf.clip_by_value(center, 0, whole - 1))  # [out, out] each
        flat = tf.reshape(mask, [-1, mask.shape[-1]])  # [whole * whole, K]
        indices = tf.gather(flat, tf.reshape(rows * whole + columns, [-1]))  # [out * out, K]
        bent = [cubic(image[..., channel], at) for channel in range(image.shape[-1])]  # C times [side, side]
        # [side, side, C], [out, out, K]
        return tf.stack(bent, -1), _only_inside(tf.reshape(indices, [out, out, -1]), inside)

    return tf.function(bend, jit_compile=True, autograph=False)


def positions(side: int, angle: tf.Tensor, ratio: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Source position of each pixel of a deformed patch, relative to the patch's centre, in pixels.

    Args:
        side: height and width of the patch.
        angle: angle of the rotation in radians.
        ratio: factor of the zoom.
        vectors: displacements of the elastic deformation at the grid points, [2, 3, 3], in pixels.

    Returns:
        Row and column of each pixel's source, [2, side, side] float32.
    """
    steps = tf.range(side, dtype=tf.float32) - (side - 1) / 2  # [side]
    down, right = steps[:, None], steps[None]  # [side, 1], [1, side]
    sine, cosine = tf.sin(angle) * ratio, tf.cos(angle) * ratio
    turned = tf.stack([cosine * down - sine * right, sine * down + cosine * right])  # [2, side, side]
    spline = _spline(side)  # [side, 3]
    # Bicubic: the same cubic spline along both axes.
    return turned + tf.einsum("ia,cab,jb->cij", spline, vectors, spline)  # [2, side, side]


@functools.cache
def _spline(side: int) -> NDArray[np.float32]:
    """Weights of the `_GRID` control points in the natural cubic spline at each pixel, [side, _GRID]."""
    knots = np.linspace(0, side - 1, _GRID)  # [_GRID]
    # [side, _GRID]
    return CubicSpline(knots, np.eye(_GRID), bc_type="natural")(np.arange(side)).astype(np.float32)


def cubic(image: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Interpolates an image by cubic convolution (Keys 1981, a = -1/2), mirrored at the border.

    Args:
        image: the image, [H, W], of static shape.
        at: row and column to sample for each output pixel, [2, h, w].

    Returns:
        The interpolated values, [h, w].
    """
    width = image.shape[1] + 2 * _MARGIN
    # [(H + 2 margin) * width]
    flat = tf.reshape(tf.pad(image, [[_MARGIN, _MARGIN]] * 2, "SYMMETRIC"), [-1])
    # Four neighbouring columns side by side: one look-up for each row of the kernel instead of four.
    columns = tf.stack([flat[i : flat.shape[0] - 3 + i] for i in range(4)], -1)  # [size of flat - 3, 4]
    out_shape = tf.shape(at)[1:]
    at = tf.stack(  # [2, h * w]
        [tf.clip_by_value(tf.reshape(at[axis], [-1]), -1.0, float(image.shape[axis])) for axis in (0, 1)]
    )
    corner = tf.floor(at)
    row_weights, column_weights = (_taps(at[axis] - corner[axis]) for axis in (0, 1))  # four [h * w] each
    first = tf.cast(corner, tf.int32) + _MARGIN - 1
    index = first[0] * width + first[1]  # [h * w]
    across = tf.stack(column_weights, -1)  # [h * w, 4]
    rows = [  # four [h * w]
        weight * tf.reduce_sum(tf.gather(columns, index + i * width) * across, -1)
        for i, weight in enumerate(row_weights)
    ]
    return tf.reshape(tf.add_n(rows), out_shape)  # [h, w]


def _taps(t: tf.Tensor) -> list[tf.Tensor]:
    """Kernel weights of the four neighbours of a point that lies t after the second one, 0 <= t < 1."""
    t2, t3 = t * t, t * t * t
    return [
        (2 * t2 - t - t3) / 2,
        1 - (5 * t2 - 3 * t3) / 2,
        (t + 4 * t2 - 3 * t3) / 2,
        (t3 - t2) / 2,
    ]


def _only_inside(mask: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    """Sets the class of mask pixels [h, w, K] outside the image to `IGNORE`; `inside` is [h, w] bool."""
    indices = tf.where(inside[..., None], mask[..., :1], tf.constant(IGNORE, tf.uint8))  # [h, w, 1]
    return tf.concat([indices, mask[..., 1:]], -1)  # [h, w, K]


def _if(wanted: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor], values: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.cond(wanted, lambda: change(values), lambda: values), values.shape)
