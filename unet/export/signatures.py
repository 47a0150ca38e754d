"""The signatures of the exported model: decoding and encoding around `unet.export.graph`.

Plain TensorFlow loads and serves the SavedModel, without any code of this project. Unusable input raises
INVALID_ARGUMENT; errors found in a header name the element of the batch, errors of TensorFlow's decoders do
not.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

import tensorflow as tf

from unet.export.graph import Segmenter
from unet.export.steps import Answer, Steps
from unet.images.depth import DEPTH_SCALE
from unet.images.display import class_colors
from unet.masks.labels import IGNORE
from unet.preprocessing.decoding import checked, decode_image

SERVE, PROBABILITIES, COLORED = "serving_default", "probabilities", "colored"
TENSORS, NETWORK = "tensors", "network"
EVALUATE = "evaluate"
Signature = Callable[..., dict[str, tf.Tensor]]
EVALUATE_OUTPUTS = ("confusion", "probabilities_bytes", "ground_truth_bytes")
PREDICTED = "predicted_bytes"  # a further output of `evaluate`, of models with an operating point


def export(segmenter: Segmenter, path: str | PathLike[str], max_pixels: int | None = None) -> None:
    """Writes a SavedModel with the signatures of `create_signatures`, and the `steps` of encoded images.

    Args:
        segmenter: graph that predicts.
        path: folder to write.
        max_pixels: larger encoded images are refused, see `decode_image`, except by `evaluate`.
    """
    each = _Signatures(segmenter, max_pixels)
    signatures = _traced(each)
    segmenter.steps = Steps(segmenter, each.decoded, each.answers())
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(segmenter, str(path), signatures=signatures, options=options)


def create_signatures(segmenter: Segmenter, max_pixels: int | None = None) -> dict[str, Signature]:
    """Makes the signatures for batches of N; N may be 0, sizes of encoded images may differ.

    Encoded images of other channels than grey or RGB are grey PNGs with their channels below one another.

    - `serving_default`: `image_bytes` [N] string -> `mask_bytes` [N] string, PNGs of class values.
    - `colored`: as `serving_default`, with PNGs in the colours of `unet.images.display`, for viewing.
    - `probabilities`: `image_bytes` [N] string -> `probabilities_bytes` [N, classes] string, grey PNGs of 16
      bits that hold round(65535 p).
    - `tensors`: `images` [N, H, W, channels] float32, 0 to 255 -> `masks` [N, H, W], class values, or
      [N, H, W, 3], colours.
    - `network`: `patches` [N, h, w, channels] float32, normalised, of valid input sizes, no more pixels in
      all than the largest tile -> `probabilities` [N, h - 184, w - 184, classes] float32: for callers that
      tile the image themselves.
    - `evaluate`: `examples` [N] string, serialized tf.Examples with `image` (encoded) and `mask` (PNG of
      class indices) -> `confusion` [N, classes * classes] float64 pixel counts, row = ground truth, column =
      prediction (float32 is exact up to 2^24 only, fewer pixels than a large image has);
      `probabilities_bytes` [N, classes - 1] string, uncompressed PNGs as in `probabilities` of all classes
      but the first; and `ground_truth_bytes` [N] string, the masks of the examples. A model that decides
      otherwise than by the most likely class tells its masks, too: `predicted_bytes` [N] string,
      uncompressed PNGs of class indices.

    Args:
        segmenter: graph that predicts.
        max_pixels: larger encoded images are refused, see `decode_image`, except by `evaluate`.

    Returns:
        Each signature by its name, a function that is traced at its first use.
    """
    return _traced(_Signatures(segmenter, max_pixels))


def _traced(s: _Signatures) -> dict[str, Signature]:
    segmenter = s.segmenter
    classes, channels = segmenter.classes, segmenter.channels
    encoded = tf.TensorSpec([None], tf.string, "image_bytes")
    examples = tf.TensorSpec([None], tf.string, "examples")
    arrays = tf.TensorSpec([None, None, None, channels], tf.float32, "images")
    patches = tf.TensorSpec([None, None, None, channels], tf.float32, "patches")
    mask = tf.TensorSpec([], tf.string, "mask_bytes")
    maps = tf.TensorSpec([classes], tf.string, "probabilities_bytes")
    evaluated = [
        tf.TensorSpec([classes**2], tf.float64, "confusion"),
        tf.TensorSpec([classes - 1], tf.string, "probabilities_bytes"),
        tf.TensorSpec([], tf.string, "ground_truth_bytes"),
    ]
    if segmenter.decision is not None:
        evaluated.append(tf.TensorSpec([], tf.string, PREDICTED))
    return {
        SERVE: _batch(s.mask_bytes, encoded, mask),
        COLORED: _batch(s.colored_bytes, encoded, mask),
        PROBABILITIES: _batch(s.probabilities_bytes, encoded, maps),
        TENSORS: tf.function(s.masks, input_signature=[arrays], autograph=False),
        NETWORK: tf.function(s.network, input_signature=[patches], autograph=False),
        EVALUATE: _batch(s.evaluate, examples, *evaluated),
    }


class _Signatures:
    """One method per signature, for a single element of a batch; `name` identifies it in error messages."""

    def __init__(self, segmenter: Segmenter, max_pixels: int | None):
        self.segmenter = segmenter
        # Traced once for all signatures that read images.
        self.decoded = tf.function(
            lambda encoded, name: decode_image(encoded, segmenter.channels, max_pixels, name),
            input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.string)],
            autograph=False,
        )

    def answers(self) -> dict[str, Answer]:
        """What the signatures of encoded images answer, by their names."""
        segmenter, colors = self.segmenter, class_colors(self.segmenter.classes, self.segmenter.first)

        def mask(values: Any) -> Answer:
            indices = lambda outputs: tf.cast(segmenter.decide(outputs), tf.uint8)  # noqa: E731
            return Answer("mask_bytes", indices, tf.uint8, False, lambda found: _coded(found, values))

        # Quantised tile by tile: probabilities of the whole image are never held as floats.
        # zlib's fastest level: a higher level does not compress the noise of the low bits any better.
        maps = Answer(
            "probabilities_bytes", _sixteen_bits, tf.uint16, True,
            lambda found: _grayscale_pngs(found, segmenter.classes, compression=1),
        )  # fmt: skip
        return {
            SERVE: mask(segmenter.values),
            COLORED: mask(tf.constant(colors, tf.uint8)),
            PROBABILITIES: maps,
        }

    def mask_bytes(self, encoded: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
        return self._masked(encoded, name, SERVE)  # []

    def colored_bytes(self, encoded: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
        return self._masked(encoded, name, COLORED)  # []

    def _masked(self, encoded: tf.Tensor, name: tf.Tensor, signature: str) -> tf.Tensor:
        indices = self.segmenter.class_indices_fn(self.decoded(encoded, name))  # [H, W, 1] uint8
        return self.answers()[signature].encode(indices)

    def probabilities_bytes(self, encoded: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
        answer = self.answers()[PROBABILITIES]
        pixels = self.decoded(encoded, name)  # [H, W, channels]
        # [H, W, classes]
        maps = self.segmenter.run(pixels, answer.finish, answer.dtype, answer.of_probabilities)
        return answer.encode(maps)  # [classes]

    def masks(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        inside = tf.reduce_all((images >= 0) & (images <= 255))  # []; false for NaN
        some = tf.reduce_min(tf.shape(images)[1:3]) > 0
        images = checked(images, inside, "images must hold numbers from 0 to 255; some are not")
        images = checked(images, some, "images must have pixels; shape of these:", tf.shape(images))
        values = self.segmenter.values

        def one(image: tf.Tensor) -> tf.Tensor:
            # The graph expects the scale of 16 bits; the values are not rounded.
            indices = self.segmenter.class_indices(image * DEPTH_SCALE)  # [H, W, 1]
            return tf.gather(values, tf.cast(indices[..., 0], tf.int32))  # [H, W, 1 or 3]

        spec = tf.TensorSpec([None, None, values.shape[1]], values.dtype)
        # [0, H, W, 1 or 3]
        none = tf.zeros(tf.concat([tf.shape(images)[:3], [values.shape[1]]], 0), values.dtype)
        found = tf.cond(  # [N, H, W, 1 or 3]
            tf.shape(images)[0] > 0,
            lambda: tf.map_fn(one, images, parallel_iterations=1, fn_output_signature=spec),
            lambda: none,
        )
        return {"masks": found[..., 0] if values.shape[1] == 1 else found}  # [N, H, W] or [N, H, W, 3]

    def network(self, patches: tf.Tensor) -> dict[str, tf.Tensor]:
        geometry, sides = self.segmenter.geometry, tf.shape(patches)[1:3]  # [2]
        valid = tf.reduce_all(
            (sides >= geometry.smallest) & ((sides - geometry.smallest) % geometry.step == 0)
        )
        message = f"sides of patches must be {geometry.smallest} + {geometry.step} k; sides of these:"
        patches = checked(patches, valid, message, sides)
        area, most = tf.reduce_prod(tf.cast(tf.shape(patches)[:3], tf.int64)), self.segmenter.max_area
        message = f"patches may have {most} pixels in all; these have:"
        return {"probabilities": self.segmenter.probabilities(checked(patches, area <= most, message, area))}

    def evaluate(self, example: tf.Tensor, name: tf.Tensor) -> tuple[tf.Tensor, ...]:
        def both(probabilities: tf.Tensor) -> tf.Tensor:
            return tf.concat(  # [h, w, classes]
                [tf.cast(decide(probabilities), tf.uint16), _sixteen_bits(probabilities[..., 1:])],
                -1,
            )

        decide = self.segmenter.decide
        spec = {key: tf.io.FixedLenFeature([], tf.string) for key in ("image", "mask")}
        features = tf.io.parse_single_example(example, spec)
        # No limit on pixels: it protects servers, and the evaluated images come from the pipeline itself.
        pixels = decode_image(features["image"], self.segmenter.channels, None, name)  # [H, W, channels]
        stacked = self.segmenter.run(pixels, both, tf.uint16, of_probabilities=True)  # [H, W, classes]
        # Not compressed: the calling process decodes the maps immediately. [classes - 1]
        maps = _grayscale_pngs(stacked[..., 1:], self.segmenter.classes - 1, compression=0)
        confusion = self._count(stacked[..., :1], features["mask"], name)
        if self.segmenter.decision is None:
            return confusion, maps, features["mask"]
        predicted = tf.io.encode_png(tf.cast(stacked[..., :1], tf.uint8), compression=0)
        return confusion, maps, features["mask"], predicted

    def _count(self, predicted: tf.Tensor, mask: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
        """Confusion matrix, [classes * classes], of predicted indices [H, W, 1] and the PNG of a mask."""
        ground_truth = tf.io.decode_png(mask, channels=1)  # [H, W, 1]
        same = tf.reduce_all(tf.shape(ground_truth) == tf.shape(predicted))
        ground_truth = checked(
            ground_truth,
            same,
            "mask and image differ in size; the mask's:",
            tf.shape(ground_truth),
            name=name,
        )
        ground_truth, predicted = (  # [H * W] each
            tf.reshape(tf.cast(mask, tf.int32), [-1]) for mask in (ground_truth, predicted)
        )
        counted = ground_truth != IGNORE  # [H * W] bool
        # [counted pixels] each
        ground_truth, predicted = (tf.boolean_mask(mask, counted) for mask in (ground_truth, predicted))
        highest, classes = tf.reduce_max(ground_truth), self.segmenter.classes  # [], int
        message = f"a mask of {classes} classes cannot hold:"
        ground_truth = checked(ground_truth, highest < classes, message, highest, name=name)
        # [classes * classes]
        return tf.math.bincount(ground_truth * classes + predicted, None, classes**2, classes**2, tf.float64)


def _coded(indices: tf.Tensor, values: Any) -> tf.Tensor:
    """PNG of a predicted mask [H, W, 1]; `values` [classes, 1 or 3] holds the value of each class."""
    return tf.io.encode_png(tf.gather(values, tf.cast(indices[..., 0], tf.int32)))  # [H, W, 1 or 3]


def _sixteen_bits(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(probabilities * 65535), tf.uint16)


def _grayscale_pngs(maps: tf.Tensor, count: int, compression: int) -> tf.Tensor:
    """Encodes each channel of [H, W, count] as a grey PNG: [count] string."""
    return tf.stack([tf.io.encode_png(maps[..., i : i + 1], compression) for i in range(count)])  # [count]


def _batch(
    function: Callable[[tf.Tensor, tf.Tensor], Any], element: tf.TensorSpec, *outputs: tf.TensorSpec
) -> Callable[..., dict[str, tf.Tensor]]:
    """Makes a signature that applies `function` to each element of a batch, whose image sizes may differ."""
    specs: Any = outputs if len(outputs) > 1 else outputs[0]

    def each(batch: tf.Tensor) -> dict[str, tf.Tensor]:
        # [N]
        names = tf.strings.join(["element ", tf.strings.as_string(tf.range(tf.shape(batch)[0]))])
        found = tf.map_fn(  # [N, ...] each
            lambda pair: function(*pair), (batch, names), parallel_iterations=1, fn_output_signature=specs
        )
        found = found if len(outputs) > 1 else (found,)
        return {spec.name: values for spec, values in zip(outputs, found, strict=True)}

    return tf.function(each, input_signature=[element], autograph=False)
