"""The border term of the paper's weight map (Ronneberger et al. 2015, section 3, equation 2).

    w(x) = w_c(x) + w_0 exp(-(d_1(x) + d_2(x))^2 / (2 sigma^2))

d_1 and d_2 are the distances of a pixel to the nearest and the second nearest cell. The exponential is
computed once for each image and stored in 8 bits; w_c and w_0 are the loss's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unet.masks.labels import IGNORE
from unet.masks.objects import label_objects

BLOCK = 256  # height and width, in pixels, of the block of an image that is processed at a time


def label_cells(indices: NDArray[np.uint8], instances: NDArray[np.uint16] | None = None) -> NDArray[np.int32]:
    """Numbers the cells of a mask.

    Args:
        indices: class of each pixel, [H, W]; 0 is the background.
        instances: object number of each pixel, 0 for none; an object of several pieces is one cell.

    Returns:
        Number of each pixel's cell, [H, W], 0 outside of cells. Without object numbers, a cell is a
        4-connected part of all classes but the background: parts that meet at a corner are two cells.
    """
    return label_objects((indices > 0) & (indices != IGNORE), instances)


def border(cells: NDArray[np.int32], sigma: float) -> NDArray[np.uint8]:
    """The border term exp(-(d_1 + d_2)^2 / (2 sigma^2)) in steps of 1/255.

    Distances are Euclidean, between centres of pixels. Inside cells the term is 0, as in figure 3d: it makes
    the network learn the background between cells, not their rims. The computing time grows with the number
    of pixels, and with the number of cells within a block of `BLOCK` pixels.

    Args:
        cells: number of each pixel's cell, [H, W], 0 for the background, as `label_cells` returns it.
        sigma: sigma of equation 2 in pixels, above 0.

    Returns:
        The border term, [H, W]; 0 for images of less than two cells.
    """
    weights = np.zeros(cells.shape, np.uint8)
    # At larger distances the term rounds to 0.
    reach = math.ceil(sigma * math.sqrt(2 * math.log(2 * 255)))
    for top in range(0, cells.shape[0], BLOCK):
        for left in range(0, cells.shape[1], BLOCK):
            first = max(0, top - reach), max(0, left - reach)
            around = cells[first[0] : top + BLOCK + reach, first[1] : left + BLOCK + reach]
            term = _border_of_block(around, sigma, reach)
            part = term[top - first[0] :, left - first[1] :][:BLOCK, :BLOCK]
            weights[top : top + BLOCK, left : left + BLOCK] = part
    return weights


def _border_of_block(cells: NDArray[np.int32], sigma: float, reach: int) -> NDArray[np.uint8]:
    """The border term of one block and its surroundings."""
    found, numbered = np.unique(cells, return_inverse=True)
    numbered = numbered.reshape(cells.shape) + (found[0] != 0)  # 0 stays the background
    nearest = np.full(cells.shape, np.inf, np.float32)
    second = nearest.copy()
    parts = ndimage.find_objects(numbered)
    if sum(part is not None for part in parts) < 2:
        return np.zeros(cells.shape, np.uint8)
    for number, part in enumerate(parts, 1):
        if part is None:
            continue
        patch = tuple(slice(max(0, axis.start - reach), axis.stop + reach) for axis in part)
        distance = ndimage.distance_transform_edt(numbered[patch] != number).astype(np.float32)
        one, two = nearest[patch], second[patch]
        np.minimum(two, np.maximum(one, distance), out=two)
        np.minimum(one, distance, out=one)
    term = np.exp(-np.square(nearest + second) / (2 * sigma**2))
    return np.where(numbered == 0, np.rint(255 * term), 0).astype(np.uint8)
