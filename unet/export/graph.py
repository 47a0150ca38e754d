"""Predicts the class of each pixel of an image of any size, inside one graph.

The graph normalises, mirror-pads and tiles the image (`unet.tiling`) and runs the network tile by tile.
Its output equals that of one pass over the whole image but for float rounding, for any size of the tiles.
`unet.export.signatures` adds decoding and encoding, and exports the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from unet import tiling
from unet.images.depth import DEPTH_SCALE
from unet.preprocessing.normalization import moments, pixel_sums
from unet.preprocessing.resizing import resize, resize_image
from unet.registry.decision import Decision, scores

PerTensor = Callable[[tf.Tensor], tf.Tensor]


class Segmenter(tf.Module):
    """A trained network with normalisation, resizing and tiling: from pixels to predictions."""

    def __init__(
        self,
        networks: keras.Model | Sequence[keras.Model],
        geometry: tiling.Geometry,
        channels: int,
        mean: ArrayLike | None,
        stddev: ArrayLike | None,
        class_values: Sequence[int] | Sequence[Sequence[int]],
        max_area: int = 2**22,
        scale: float = 1.0,
        test_time_augmentation: bool = False,
        first: int = 1,
        decision: Decision | None = None,
    ) -> None:
        """Builds the graph, which is traced at its first use.

        Args:
            networks: fully convolutional, [B, H, W, channels] -> logits or softmax of [B, H', W', classes];
                the prediction of several networks is the mean of their probabilities.
            geometry: geometry of the networks.
            channels: number of channels of the networks' input.
            mean: mean of the training pixels on the 0..255 scale, one number or one for each channel; None
                normalises each image by its own mean and standard deviation.
            stddev: standard deviation of the training pixels, in the form of `mean`; above 0.
            class_values: value of each class in predicted masks, 0 to 65535; above 255 masks have 16 bits.
                Or red, green and blue of each class, 0 to 255, for masks in colour.
            test_time_augmentation: whether the prediction is the mean over the eight flips and quarter turns
                of each tile, for eight times the work. A turned tile has a valid input size, too, and its
                poolings pair the same pixels: the mean does not depend on the size of the tiles.
            max_area: largest tile in pixels, see `tile_area`; it bounds the memory, not the result.
            scale: factor by which images are resized for the network. Predictions have the original size; the
                probabilities of the resized image are held in memory if the factor is not 1.
            first: index of the first class that counts, 0 without a background: for masks in colours.
            decision: how the class of a pixel follows from its probabilities, which are not changed by it;
                None takes the most likely class.

        Raises:
            ValueError: the arguments do not fit together.
        """
        super().__init__(name="segmenter")
        networks = [networks] if isinstance(networks, keras.Model) else list(networks)
        if not networks or len({network.output_shape for network in networks}) > 1:
            raise ValueError(f"`networks` must be of the same classes. Received: networks={networks}")
        if channels < 1:
            raise ValueError(f"`channels` must be at least 1. Received: channels={channels}")
        for network in networks:
            _require_fit(network, geometry, channels)
        classes = networks[0].output_shape[-1]
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
        if decision is not None and decision.factors.shape != (classes,):
            raise ValueError(f"`decision` must be of {classes} classes. Received: {decision=}")
        tiling.plan_image(1, 1, max_area, geometry)  # raises for an impossible area

        self.geometry, self.scale = geometry, scale
        self.channels, self.classes, self.first = channels, classes, first
        self.max_area, self.decision = max_area, decision
        self._constants = None
        if mean is not None and stddev is not None:
            constants = [np.broadcast_to(np.asarray(v, np.float32), [channels]) for v in (mean, stddev)]
            if not (np.isfinite(constants).all() and (constants[1] > 0).all()):
                raise ValueError(f"`stddev` must be above 0. Received: {mean=}, {stddev=}")
            self._constants = constants
        self.values = values.astype(np.uint8 if values.max() < 256 else np.uint16)
        # The SavedModel needs only the weights of the networks. The Keras models stay hidden in a function:
        # as attributes, tf.Module would save their layers and optimizers, too. `unet.export.average` reads
        # this attribute.
        self.network_weights = [weight.value for network in networks for weight in network.weights]
        self._logits, self._softmax = _logits_of(networks[0])
        if len(networks) > 1:
            each = [_probabilities_of(network) for network in networks]
            # [N, h, w, classes]
            self._logits, self._softmax = lambda x: tf.add_n([f(x) for f in each]) / len(each), tf.identity
        if test_time_augmentation:
            logits, softmax = self._logits, self._softmax
            self._logits = lambda x: _mean_over_flips(lambda turned: softmax(logits(turned)), x)
            self._softmax = tf.identity
        elif decision is not None:  # of probabilities, never of logits
            logits, softmax = self._logits, self._softmax
            self._logits, self._softmax = lambda x: softmax(logits(x)), tf.identity
        patches = [tf.TensorSpec([None, None, None, channels], tf.float32)]
        # Hidden from tf.Module in a function, as below. Signatures share one trace of the networks.
        traced = tf.function(self._logits, input_signature=patches, autograph=False)
        self._logits = lambda x: traced(x)
        # Signatures share these traces, too: what they add is small, so that a model is exported and loaded
        # in less time. A client's tensors are no integers.
        constants, number = tf.TensorSpec([channels], tf.float32), tf.TensorSpec([], tf.int32)
        self.begin = _traced_once(self._begin, channels, [number])
        self.tile = _traced_once(self._tile, channels, [constants, constants, number, number, number])
        pixels = [tf.TensorSpec([None, None, channels], tf.uint16)]
        self.class_indices_fn = tf.function(self.class_indices, input_signature=pixels, autograph=False)
        predict = tf.function(
            lambda image: self.run(image, tf.identity, tf.float32, of_probabilities=True),
            input_signature=pixels,
            autograph=False,
        )
        # Hidden from tf.Module in a function: otherwise it would be traced for each SavedModel, although no
        # signature uses it.
        self._predict = lambda image: predict(image)

    def segment(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Class index of each pixel, [H, W], of an image [H, W, channels]."""
        return self.class_indices_fn(_sixteen_bits(image)).numpy()[..., 0]  # [H, W]

    def predict(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float32]:
        """Probabilities of all classes, [H, W, classes], of an image [H, W, channels]."""
        return self._predict(_sixteen_bits(image)).numpy()

    def probabilities(self, patches: tf.Tensor) -> tf.Tensor:
        """Probabilities of normalised patches: [N, h, w, channels] -> [N, h - 184, w - 184, classes]."""
        return self._softmax(self._logits(patches))

    def class_indices(self, pixels: tf.Tensor) -> tf.Tensor:
        """Predicted class of each pixel: [H, W, channels] uint16 -> [H, W, 1] uint8."""
        return self.run(pixels, lambda outputs: tf.cast(self.decide(outputs), tf.uint8), tf.uint8)

    def decide(self, outputs: tf.Tensor) -> tf.Tensor:
        """The model's class of each pixel: the only place that decides.

        Args:
            outputs: what `finish` of `run` gets, or probabilities, [h, w, classes].

        Returns:
            Class indices, [h, w, 1] int32; of equal scores the first class.
        """
        return tf.argmax(scores(outputs, self.decision), -1, tf.int32)[..., None]  # [h, w, 1]

    def run(
        self,
        pixels: tf.Tensor,
        finish: PerTensor,
        dtype: tf.DType | np.dtype,
        of_probabilities: bool = False,
    ) -> tf.Tensor:
        """Predicts an image of any size; the output has the size of the image.

        Args:
            pixels: the image, [H, W, channels], uint16 or any numbers of the same range.
            finish: converts the network's output: [h, w, classes] -> [h, w, K].
            dtype: type of the values that `finish` returns.
            of_probabilities: whether `finish` needs probabilities; otherwise it may get logits.

        Returns:
            The converted output, [H, W, K].
        """
        area = tf.constant(self.max_area)
        seen, mean, stddev, rows, cols = self.begin(pixels, area)
        convert, kind = self.of_tiles(finish, dtype, of_probabilities)

        def strip(i: tf.Tensor) -> tf.Tensor:
            """Output of row i of the tiles: [kept rows, W, K]."""

            def part(j: tf.Tensor) -> tf.Tensor:
                # [w, h, K]: tiles are joined along the first axis
                return tf.transpose(convert(self.tile(seen, mean, stddev, i, j, area)), [1, 0, 2])

            return tf.transpose(_join(cols, part, kind), [1, 0, 2])  # [h, >= W, K]

        joined = _join(rows, strip, kind)[: tf.shape(seen)[0], : tf.shape(seen)[1]]
        return self.end(joined, tf.shape(pixels)[0], tf.shape(pixels)[1], finish, dtype)

    def _begin(
        self, pixels: tf.Tensor, area: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """What is done once for an image, before its tiles.

        Args:
            pixels: the image, [H, W, channels].
            area: largest input of a tile in pixels.

        Returns:
            The image as the network sees it, [scaled H, scaled W, channels]; mean and standard deviation for
            its normalisation, [channels] each; and the numbers of rows and of columns of its tiles.
        """
        seen = resize_image(pixels, self.scale)
        mean, stddev = self._constants or moments(pixel_sums(seen))  # [channels] each
        rows, cols = self._plan(tf.shape(seen), area)
        return seen, tf.convert_to_tensor(mean), tf.convert_to_tensor(stddev), rows.count, cols.count

    def _tile(
        self,
        seen: tf.Tensor,
        mean: tf.Tensor,
        stddev: tf.Tensor,
        i: tf.Tensor,
        j: tf.Tensor,
        area: tf.Tensor,
    ) -> tf.Tensor:
        """What the tile of row i and column j contributes to the network's output: [h, w, classes].

        Args:
            seen: the image as the network sees it, [scaled H, scaled W, channels].
            mean: mean for the normalisation, [channels].
            stddev: standard deviation for the normalisation, [channels].
            i: index of the row of tiles.
            j: index of the column of tiles.
            area: largest input of a tile in pixels, the same for all tiles of an image.
        """
        geometry, shape = self.geometry, tf.shape(seen)
        rows, cols = self._plan(shape, area)
        context = seen
        for axis, (index, side, size) in enumerate(((i, rows, shape[0]), (j, cols, shape[1]))):
            mirrored = tiling.mirror_index(-geometry.halo, side.padded_size(geometry), size, tf)
            within = mirrored[index * side.stride :][: side.tile_size(geometry)]
            context = tf.gather(context, within, axis=axis)  # still integers
        x = tf.cast(context, tf.float32) / DEPTH_SCALE  # [tile h, tile w, channels]
        outputs = self._logits(((x - mean) / stddev)[None])[0]  # [out h, out w, classes]
        return outputs[: rows.kept(i, geometry), : cols.kept(j, geometry)]

    def _plan(self, shape: tf.Tensor, area: tf.Tensor) -> tuple[tiling.Axis, tiling.Axis]:
        """The tiles along the height and along the width of an image."""
        return tiling.plan_image(shape[0], shape[1], area, self.geometry, tf)

    def of_tiles(
        self, finish: PerTensor, dtype: tf.DType | np.dtype, of_probabilities: bool
    ) -> tuple[PerTensor, tf.DType | np.dtype]:
        """The conversion of a tile's output, and its type: of a resized image the probabilities are kept."""
        if self.scale != 1:
            return self._softmax, tf.float32
        return (lambda outputs: finish(self._softmax(outputs))) if of_probabilities else finish, dtype

    def end(
        self,
        joined: tf.Tensor,
        height: tf.Tensor,
        width: tf.Tensor,
        finish: PerTensor,
        dtype: tf.DType | np.dtype,
    ) -> tf.Tensor:
        """Output of the image, [height, width, K], from that of all its tiles, [scaled H, scaled W, ...]."""
        return joined if self.scale == 1 else resize(joined, height, width, finish, dtype)


def _require_fit(network: keras.Model, geometry: tiling.Geometry, channels: int) -> None:
    side = geometry.smallest
    if tuple(network.input_shape) != (None, None, None, channels):
        raise ValueError(
            f"A network must take any size of image with {channels} channel(s). Received a network with "
            f"input_shape={network.input_shape}"
        )
    if network.compute_output_shape((1, side, side, channels))[1] != geometry.smallest_output:
        raise ValueError(f"The network has another geometry. Received: {geometry=}")
    activation = network.layers[-1].activation
    if activation not in (keras.activations.softmax, keras.activations.linear):
        raise ValueError(f"A network must end in logits or a softmax. Received: activation={activation}")


def _traced_once(
    function: Callable[..., Any], channels: int, more: Sequence[tf.TensorSpec]
) -> Callable[..., Any]:
    """A function of an image, and of `more`, that is traced once for integers and once for other numbers.

    The traces are hidden from tf.Module in a function: otherwise both would be part of each SavedModel.
    """
    traces = {
        kind: tf.function(
            function, input_signature=[tf.TensorSpec([None, None, channels], kind), *more], autograph=False
        )
        for kind in (tf.uint16, tf.float32)
    }
    return lambda image, *arguments: traces[image.dtype](image, *arguments)


def _logits_of(network: keras.Model) -> tuple[PerTensor, PerTensor]:
    """Two functions: the network's output, and the conversion of that output to probabilities."""
    is_linear = network.layers[-1].activation is keras.activations.linear
    return lambda x: network(x, training=False), tf.nn.softmax if is_linear else tf.identity


def _probabilities_of(network: keras.Model) -> PerTensor:
    logits, softmax = _logits_of(network)
    return lambda x: softmax(logits(x))


def _join(count: tf.Tensor, part: PerTensor, dtype: tf.DType | np.dtype) -> tf.Tensor:
    """Computes part(0) to part(count - 1) one after the other, and joins them along the first axis."""
    parts = tf.TensorArray(dtype, count, infer_shape=False)
    # One part at a time: each needs memory for the activations of a tile, and convolutions use all cores.
    _, parts = tf.while_loop(
        lambda i, _: i < count, lambda i, p: (i + 1, p.write(i, part(i))), (0, parts), parallel_iterations=1
    )
    return parts.concat()  # [sum of the parts' rows, ...]


def _mean_over_flips(network: PerTensor, x: tf.Tensor) -> tf.Tensor:
    """Test-time augmentation: mean of a network's outputs for the eight flips and quarter turns of its input.

    Args:
        network: function [N, H, W, C] -> [N, h, w, K].
        x: input of the network, [N, H, W, C].

    Returns:
        Mean of the outputs, each turned back, [N, h, w, K].
    """

    def turned_back(i: tf.Tensor) -> tf.Tensor:
        turned = x
        for bit, change in enumerate(_SYMMETRIES):
            turned = tf.cond(i // 2**bit % 2 > 0, lambda t=turned, c=change: c(t), lambda t=turned: t)
        # [N, h, w, K], or [N, w, h, K] for a transposed input
        turned = network(tf.ensure_shape(turned, [None, None, None, x.shape[-1]]))
        for bit, change in reversed(list(enumerate(_SYMMETRIES))):
            turned = tf.cond(i // 2**bit % 2 > 0, lambda t=turned, c=change: c(t), lambda t=turned: t)
        return turned

    first = turned_back(tf.constant(0))  # [N, h, w, K]
    # One after the other: each needs memory for the activations of a tile.
    _, total = tf.while_loop(
        lambda i, _: i < 8,
        lambda i, total: (i + 1, total + turned_back(i)),
        (1, first),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, None, first.shape[-1]])),
        parallel_iterations=1,
    )
    return total / 8


# Each of these changes undoes itself; their combinations are the eight symmetries of the square.
_SYMMETRIES: tuple[PerTensor, ...] = (
    lambda x: tf.transpose(x, [0, 2, 1, 3]),  # [N, W, H, C]
    lambda x: tf.reverse(x, [1]),
    lambda x: tf.reverse(x, [2]),
)


def _sixteen_bits(image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint16]:
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"`image` must be uint8 or uint16. Received: dtype={image.dtype}")
    return image.astype(np.uint16) * np.uint16(DEPTH_SCALE if image.dtype == np.uint8 else 1)
