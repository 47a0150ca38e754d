"""The exported model: encoded image of any size in, mask of the same size out, all of it inside one graph.

A graph decodes, normalises, mirror-pads and tiles the image (`components.tiling`), runs the network tile by
tile, and encodes the answer; plain TensorFlow loads it, without any code of this project. Its answer is that
of one pass over the whole image, but for float rounding, whatever the size of the tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from components import tiling
from components.decoding import DEPTH_SCALE, checked, decode_image
from components.masks import IGNORE
from components.normalise import moments, pixel_sums
from components.scale import resize, resize_image

PerTensor = Callable[[tf.Tensor], tf.Tensor]


class Segmenter(tf.Module):
    """A trained network with everything that lies between files and it."""

    def __init__(
        self,
        network: keras.Model,
        geometry: tiling.Geometry,
        channels: int,
        mean: ArrayLike | None,
        stddev: ArrayLike | None,
        class_values: Sequence[int] | Sequence[Sequence[int]],
        max_stride: int = 1024,
        scale: float = 1.0,
        symmetries: bool = False,
    ) -> None:
        """Puts the graph together; it is traced by the first use.

        Args:
            network: fully convolutional, [B, H, W, channels] -> logits or softmax of [B, H', W', classes].
            geometry: of the network.
            channels: of the network's input, 1 or 3.
            mean: of the training pixels on the 0..255 scale, one number or one for each channel; None
                normalises each image by its own mean and standard deviation.
            stddev: likewise, above 0.
            class_values: what a mask holds for each class, 0 to 65535; above 255 masks are 16 bits deep. Or
                red, green and blue of each, 0 to 255: masks in colour.
            symmetries: the answer is the mean over the eight flips and quarter turns of each tile, for eight
                times the work. Tiles are squares or not, but turned tiles are as legal as they were, and pair
                the same pixels: this is exact at any size, too.
            max_stride: largest stride of tiles in pixels; bounds the memory, not the result.
            scale: size of the images that the network sees as a part of their own. Its answers have the
                original size; probabilities of the resized image are then held in memory.

        Raises:
            ValueError: the arguments do not fit together.
        """
        super().__init__(name="segmenter")
        classes, side = network.output_shape[-1], geometry.smallest
        if channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
        if tuple(network.input_shape) != (None, None, None, channels):
            raise ValueError(
                f"`network` must take any size of image with {channels} channel(s). Received a network with "
                f"input_shape={network.input_shape}"
            )
        if network.compute_output_shape((1, side, side, channels))[1] != geometry.smallest_output:
            raise ValueError(f"`network` has another geometry. Received: geometry={geometry}")
        values = np.asarray(class_values).reshape(len(class_values), -1)  # [classes, 1 or 3]
        if len(values) != classes or len(np.unique(values, axis=0)) != classes or classes > 256:
            raise ValueError(
                f"`class_values` must be a different value for each of {classes} classes, of 256 at most. "
                f"Received: class_values={class_values!r}"
            )
        highest = 65535 if values.shape[1] == 1 else 255
        if values.min() < 0 or values.max() > highest:
            raise ValueError(
                f"`class_values` must be in 0..{highest}. Received: class_values={class_values!r}"
            )
        activation = network.layers[-1].activation
        if activation not in (keras.activations.softmax, keras.activations.linear):
            raise ValueError(f"`network` must end in logits or a softmax. Received: activation={activation}")
        tiling.plan(1, max_stride, geometry)  # raises for an impossible stride

        self._geometry, self._max_stride, self._scale = geometry, max_stride, scale
        self._channels, self._classes = channels, classes
        self._constants = None
        if mean is not None and stddev is not None:
            constants = [np.broadcast_to(np.asarray(v, np.float32), [channels]) for v in (mean, stddev)]
            if not (np.isfinite(constants).all() and (constants[1] > 0).all()):
                raise ValueError(f"`stddev` must be above 0. Received: {mean=}, {stddev=}")
            self._constants = constants
        self._values = values.astype(np.uint8 if values.max() < 256 else np.uint16)
        # What a SavedModel has to hold of the network are its weights. The model itself stays behind a
        # function, where tf.Module does not see it: its layers and optimizer would be saved as well.
        self._weights = [weight.value for weight in network.weights]
        self._logits = lambda x: network(x, training=False)
        self._softmax = tf.nn.softmax if activation is keras.activations.linear else tf.identity
        if symmetries:
            logits, softmax = self._logits, self._softmax
            self._logits = lambda x: _mean_over_symmetries(lambda turned: softmax(logits(turned)), x)
            self._softmax = tf.identity
        pixels = [tf.TensorSpec([None, None, channels], tf.uint16)]
        self._class_indices_fn = tf.function(self._class_indices, input_signature=pixels)
        self._predict_fn = tf.function(
            lambda image: self._answer(image, tf.identity, tf.float32, of_probabilities=True),
            input_signature=pixels,
        )

    def segment(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Class index of each pixel, [H, W], of an image [H, W, channels]."""
        return self._class_indices_fn(_sixteen_bits(image)).numpy()[..., 0]

    def predict(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float32]:
        """Probabilities of all classes, [H, W, classes], of an image [H, W, channels]."""
        return self._predict_fn(_sixteen_bits(image)).numpy()

    def export(self, path: str | PathLike[str]) -> None:
        """Writes a SavedModel with four signatures for batches of N; N may be 0, and sizes may differ.

        - `serving_default`: `image_bytes` [N] string -> `mask_bytes` [N] string, PNGs of class values.
        - `probabilities`: `image_bytes` [N] string -> `probabilities_bytes` [N, classes] string, grey PNGs of
          16 bits that hold round(65535 p).
        - `evaluate`: `examples` [N] string, serialized tf.Examples with `image` (encoded) and `mask` (PNG of
          class indices) -> `confusion` [N, classes * classes] float64 pixel counts, row = truth, column =
          prediction (float32 is exact up to 2^24 only, fewer pixels than a large image has).
        - `evaluate_segments`: the same, and `foreground_bytes` [N] string, grey PNGs of 16 bits of the
          probability of any class but the first, and `truth_bytes` [N] string, the masks of the examples.

        Args:
            path: folder to write.
        """
        encoded = tf.TensorSpec([None], tf.string, "image_bytes")
        examples = tf.TensorSpec([None], tf.string, "examples")
        maps = tf.TensorSpec([self._classes], tf.string, "probabilities_bytes")
        confusion = tf.TensorSpec([self._classes**2], tf.float64, "confusion")
        signatures = {
            "serving_default": _batch(self._mask_bytes, encoded, tf.TensorSpec([], tf.string, "mask_bytes")),
            "probabilities": _batch(self._probabilities_bytes, encoded, maps),
            "evaluate": _batch(self._confusion, examples, confusion),
            "evaluate_segments": _batch(
                self._segments,
                examples,
                confusion,
                tf.TensorSpec([], tf.string, "foreground_bytes"),
                tf.TensorSpec([], tf.string, "truth_bytes"),
            ),
        }
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(self, str(path), signatures=signatures, options=options)

    def _mask_bytes(self, encoded: tf.Tensor) -> tf.Tensor:
        def values(outputs: tf.Tensor) -> tf.Tensor:
            return tf.gather(self._values, _most_likely(outputs)[..., 0])

        pixels = decode_image(encoded, self._channels)
        return tf.io.encode_png(self._answer(pixels, values, self._values.dtype))

    def _probabilities_bytes(self, encoded: tf.Tensor) -> tf.Tensor:
        def quantised(probabilities: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.round(probabilities * 65535), tf.uint16)

        # Quantised tile by tile: probabilities of the whole image are never held as floats.
        pixels = decode_image(encoded, self._channels)
        maps = self._answer(pixels, quantised, tf.uint16, of_probabilities=True)
        # zlib's fastest level: noise in the low bits compresses no better with a higher one.
        return tf.stack([tf.io.encode_png(maps[..., i : i + 1], 1) for i in range(self._classes)])

    def _confusion(self, example: tf.Tensor) -> tf.Tensor:
        features = _parsed(example)
        predicted = self._class_indices(decode_image(features["image"], self._channels))
        return self._count(predicted, features["mask"])

    def _segments(self, example: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def both(probabilities: tf.Tensor) -> tf.Tensor:
            foreground = tf.cast(tf.round((1 - probabilities[..., :1]) * 65535), tf.uint16)
            return tf.concat([tf.cast(_most_likely(probabilities), tf.uint16), foreground], -1)

        features = _parsed(example)
        pixels = decode_image(features["image"], self._channels)
        answer = self._answer(pixels, both, tf.uint16, of_probabilities=True)
        foreground = tf.io.encode_png(answer[..., 1:], 1)
        return self._count(answer[..., :1], features["mask"]), foreground, features["mask"]

    def _count(self, predicted: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Pixel counts [classes * classes] of indices [H, W, 1] and the PNG of the true ones."""
        truth = tf.io.decode_png(mask, channels=1)
        same = tf.reduce_all(tf.shape(truth) == tf.shape(predicted))
        truth = checked(truth, same, "mask and image differ in size; the mask's:", tf.shape(truth))
        # [H, W, 1] -> [H * W]
        truth, predicted = (tf.reshape(tf.cast(mask, tf.int32), [-1]) for mask in (truth, predicted))
        counted = truth != IGNORE
        truth, predicted = (tf.boolean_mask(mask, counted) for mask in (truth, predicted))
        highest, classes = tf.reduce_max(truth), self._classes
        truth = checked(truth, highest < classes, f"a mask of {classes} classes cannot hold:", highest)
        return tf.math.bincount(truth * classes + predicted, None, classes**2, classes**2, tf.float64)

    def _class_indices(self, pixels: tf.Tensor) -> tf.Tensor:
        """[H, W, channels] uint16 -> [H, W, 1] uint8."""
        return self._answer(pixels, lambda outputs: tf.cast(_most_likely(outputs), tf.uint8), tf.uint8)

    def _answer(
        self,
        pixels: tf.Tensor,
        finish: PerTensor,
        dtype: tf.DType | np.dtype,
        of_probabilities: bool = False,
    ) -> tf.Tensor:
        """What the network says about an image of the original size.

        Args:
            pixels: [H, W, channels] uint16.
            finish: what to keep: [h, w, classes] -> [h, w, K].
            dtype: of what `finish` returns.
            of_probabilities: `finish` needs probabilities, not just anything that grows with them.

        Returns:
            [H, W, K].
        """
        if self._scale == 1:
            if of_probabilities:
                return self._tiled(pixels, lambda outputs: finish(self._softmax(outputs)), dtype)
            return self._tiled(pixels, finish, dtype)
        height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
        seen = self._tiled(resize_image(pixels, self._scale), self._softmax, tf.float32)
        return resize(seen, height, width, finish, dtype)

    def _tiled(self, pixels: tf.Tensor, finish: PerTensor, dtype: tf.DType | np.dtype) -> tf.Tensor:
        """Runs the network over an image tile by tile.

        Args:
            pixels: [H, W, channels] uint16.
            finish: what to keep of a tile: [h, w, classes] of the network -> [h, w, K]; K may be less.
            dtype: of what `finish` returns; the only thing that is held of the whole answer.

        Returns:
            [H, W, K].
        """
        mean, stddev = self._constants or moments(pixel_sums(pixels))
        geometry, shape = self._geometry, tf.shape(pixels)
        rows, cols = (tiling.plan(shape[axis], self._max_stride, geometry) for axis in (0, 1))
        row_index, col_index = (
            tiling.mirror_index(-geometry.halo, axis.padded_side(geometry), size, tf)
            for axis, size in ((rows, shape[0]), (cols, shape[1]))
        )

        def strip(i: tf.Tensor) -> tf.Tensor:
            """Row i of the tiles: [rows.kept(i), W, K]."""
            window = row_index[i * rows.stride :][: rows.tile_side(geometry)]
            context = tf.gather(pixels, window)  # still integers

            def tile(j: tf.Tensor) -> tf.Tensor:
                window = col_index[j * cols.stride :][: cols.tile_side(geometry)]
                x = tf.cast(tf.gather(context, window, axis=1), tf.float32) / DEPTH_SCALE
                outputs = self._logits(((x - mean) / stddev)[None])[0]
                kept = finish(outputs)[: rows.kept(i, geometry), : cols.kept(j, geometry)]
                return tf.transpose(kept, [1, 0, 2])  # tiles are joined along the first axis

            return tf.transpose(_join(cols.count, tile, dtype), [1, 0, 2])

        return _join(rows.count, strip, dtype)[: shape[0], : shape[1]]


def _most_likely(outputs: tf.Tensor) -> tf.Tensor:
    """[h, w, classes] -> [h, w, 1] int32; of equal classes the first."""
    return tf.argmax(outputs, -1, tf.int32)[..., None]


def _join(count: tf.Tensor, part: PerTensor, dtype: tf.DType | np.dtype) -> tf.Tensor:
    """part(0) to part(count - 1), one after the other, joined along the first axis."""
    parts = tf.TensorArray(dtype, count, infer_shape=False)
    # One at a time: each holds the activations of a tile, and convolutions use all cores anyway.
    _, parts = tf.while_loop(
        lambda i, _: i < count, lambda i, p: (i + 1, p.write(i, part(i))), (0, parts), parallel_iterations=1
    )
    return parts.concat()


def _parsed(example: tf.Tensor) -> dict[str, tf.Tensor]:
    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in ("image", "mask")}
    return tf.io.parse_single_example(example, spec)


def _mean_over_symmetries(network: PerTensor, x: tf.Tensor) -> tf.Tensor:
    """Mean of what a network says about the eight symmetries of the square of x, each turned back.

    Args:
        network: [1, H, W, C] -> [1, h, w, K].
        x: [1, H, W, C].

    Returns:
        [1, h, w, K].
    """

    def turned_back(i: tf.Tensor) -> tf.Tensor:
        turned = x
        for bit, change in enumerate(_SYMMETRIES):
            turned = tf.cond(i // 2**bit % 2 > 0, lambda t=turned, c=change: c(t), lambda t=turned: t)
        turned = network(tf.ensure_shape(turned, [1, None, None, x.shape[-1]]))
        for bit, change in reversed(list(enumerate(_SYMMETRIES))):
            turned = tf.cond(i // 2**bit % 2 > 0, lambda t=turned, c=change: c(t), lambda t=turned: t)
        return turned

    first = turned_back(tf.constant(0))
    # One after the other: each holds the activations of a tile.
    _, total = tf.while_loop(
        lambda i, _: i < 8,
        lambda i, total: (i + 1, total + turned_back(i)),
        (1, first),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([1, None, None, first.shape[-1]])),
        parallel_iterations=1,
    )
    return total / 8


# Each undoes itself; applied in turn, or not, they make all eight.
_SYMMETRIES: tuple[PerTensor, ...] = (
    lambda x: tf.transpose(x, [0, 2, 1, 3]),
    lambda x: tf.reverse(x, [1]),
    lambda x: tf.reverse(x, [2]),
)


def _batch(
    function: Callable[[tf.Tensor], Any], element: tf.TensorSpec, *answers: tf.TensorSpec
) -> Callable[..., dict[str, tf.Tensor]]:
    """A signature: `function` of one element of a batch after the other, so that their sizes may differ."""
    specs: Any = answers if len(answers) > 1 else answers[0]

    def each(batch: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.map_fn(function, batch, parallel_iterations=1, fn_output_signature=specs)
        found = found if len(answers) > 1 else (found,)
        return {spec.name: values for spec, values in zip(answers, found, strict=True)}

    return tf.function(each, input_signature=[element])


def _sixteen_bits(image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint16]:
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"`image` must be uint8 or uint16. Received: dtype={image.dtype}")
    return image.astype(np.uint16) * np.uint16(DEPTH_SCALE if image.dtype == np.uint8 else 1)
