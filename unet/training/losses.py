"""Segmentation losses on logits: a weighted sum of the usual terms, all of which skip ignored pixels.

All terms are computed from logits: the logarithm of a float32 softmax saturates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from unet.masks.labels import IGNORE
from unet.training.settings import TERMS, Term

FOCAL_GAMMA = 2.0  # gamma of the focal loss
TVERSKY_BETA = 0.7  # weight of false negatives in the Tversky loss; false positives weigh 1 - TVERSKY_BETA


class SegmentationLoss(keras.losses.Loss):
    """A weighted sum of loss terms over all pixels that are not `IGNORE`.

    - `cross_entropy`: the paper's equation 1, as a mean: each pixel weighs w(x) of equation 2.
    - `focal`: the cross-entropy of each pixel times (1 - p)^2, where p is the predicted probability of the
      ground-truth class (Lin et al. 2017, eq. 5).
    - `dice`: 1 - soft Dice coefficient, mean over all classes but the background (Milletari et al. 2016, with
      plain sums in the denominator).
    - `tversky`: 1 - soft Tversky index, mean over the same classes (Salehi et al. 2017, eq. 2, beta = 0.7).

    Dice and Tversky pool the pixels of the batch, so that a patch without a class does not distort them.
    """

    def __init__(
        self,
        terms: Mapping[Term, float],
        class_weights: Sequence[float],
        border_weight: float = 0.0,
        first: int = 1,
    ):
        """Stores the weights of the sum.

        Args:
            terms: weight of each term, by its name.
            class_weights: w_c of equation 2, for each class.
            border_weight: w_0 of equation 2.
            first: index of the first class that Dice and Tversky count.
        """
        super().__init__(name="loss")
        if unknown := set(terms) - set(TERMS):
            raise ValueError(f"`terms` must be of {TERMS}. Received: {sorted(unknown)}")
        self._terms = {name: weight for name, weight in terms.items() if weight}
        self._class_weights, self._border_weight = list(class_weights), border_weight
        self._first = first

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of a batch, a scalar; 0 if all of its pixels are `IGNORE`.

        Args:
            y_true: ground truth, [B, H, W, 1 or 2]: class indices or `IGNORE`, and optionally the border term
                in steps of 1/255.
            y_pred: predicted logits, [B, H, W, classes].
        """
        classes = y_pred.shape[-1]
        indices = tf.cast(y_true[..., 0], tf.int32)  # [B, H, W]
        counted = indices != IGNORE  # [B, H, W] bool
        mask = tf.cast(counted, tf.float32)
        indices = tf.where(counted, indices, 0)
        weights = pixel_weights(y_true, self._class_weights, self._border_weight)  # [B, H, W]
        pixels = tf.maximum(tf.reduce_sum(mask), 1)  # []
        total = tf.constant(0.0)
        target = tf.one_hot(indices, classes)  # [B, H, W, classes]
        if "cross_entropy" in self._terms or "focal" in self._terms:
            # Takes half the time of TensorFlow's own operation on CPUs. [B, H, W]
            entropy = tf.reduce_logsumexp(y_pred, -1) - tf.reduce_sum(y_pred * target, -1)
        if "cross_entropy" in self._terms:
            total += self._terms["cross_entropy"] * tf.reduce_sum(weights * entropy) / pixels
        if "focal" in self._terms:
            focused = weights * entropy * (1 - tf.exp(-entropy)) ** FOCAL_GAMMA  # [B, H, W]
            total += self._terms["focal"] * tf.reduce_sum(focused) / pixels
        if "dice" in self._terms or "tversky" in self._terms:
            predicted = tf.nn.softmax(y_pred) * mask[..., None]  # [B, H, W, classes]
            target *= mask[..., None]
            intersection, predicted_sum, target_sum = (  # [classes that count] each
                tf.reduce_sum(values, [0, 1, 2])[self._first :]
                for values in (predicted * target, predicted, target)
            )
        if "dice" in self._terms:
            total += self._terms["dice"] * _soft_overlap_loss(2 * intersection, predicted_sum + target_sum)
        if "tversky" in self._terms:
            total += self._terms["tversky"] * _soft_overlap_loss(
                intersection, TVERSKY_BETA * target_sum + (1 - TVERSKY_BETA) * predicted_sum
            )
        return total


def pixel_weights(y_true: tf.Tensor, class_weights: Sequence[float], border_weight: float) -> tf.Tensor:
    """Weight w(x) of each pixel by the paper's equation 2, [B, H, W] float32; 0 for `IGNORE`.

    Its border term, exp(-(d_1 + d_2)^2 / (2 sigma^2)), was made by `unet.masks.weight_map`, in ExampleGen.

    Args:
        y_true: ground truth, [B, H, W, 1 or 2]: class indices or `IGNORE`, and optionally the border term in
            steps of 1/255.
        class_weights: w_c of each class.
        border_weight: w_0; 0 leaves the border term out.
    """
    indices = tf.cast(y_true[..., 0], tf.int32)  # [B, H, W]
    counted = indices != IGNORE  # [B, H, W] bool
    mask = tf.cast(counted, tf.float32)
    weights = mask
    if len(set(class_weights)) > 1 or class_weights[0] != 1:
        # [B, H, W]
        weights *= tf.gather(tf.constant(class_weights, tf.float32), tf.where(counted, indices, 0))
    if border_weight:
        weights += mask * tf.cast(y_true[..., 1], tf.float32) * (border_weight / 255)  # [B, H, W]
    return weights


def balanced_weights(pixels: Sequence[int]) -> list[float]:
    """Class weights w_c of equation 2, inversely proportional to the number of pixels of each class.

    Returns:
        Weights whose mean over all pixels is 1, so that the learning rate keeps its meaning; 1 for a class
        without any pixel.
    """
    present = sum(1 for n in pixels if n)
    return [sum(pixels) / (present * n) if n else 1.0 for n in pixels]


def _soft_overlap_loss(part: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
    """1 - mean of part / whole, both [classes that count]; a class absent from both adds no loss."""
    return 1 - tf.reduce_mean((part + 1) / (whole + 1))  # []; one more pixel avoids 0 / 0
