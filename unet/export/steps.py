"""The signatures of encoded images in steps, for callers that stop, or do something else, between tiles.

A call of a SavedModel ends when it ends. So the exported model holds, as its attribute `steps`, functions
that together are a signature: `begin` decodes an image, `<signature>_tile` predicts one of its tiles, and
`<signature>_end` encodes what the tiles gave. They are the parts that the signature itself consists of, so
both give the same bytes. Who has something else to do soon may ask `begin` for fine tiles: that changes
probabilities by float rounding alone. They are no signatures: no server offers them to clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from unet.export.graph import PerTensor, Segmenter
from unet.tiling import fine_area


class Answer(NamedTuple):
    """What a signature of encoded images answers.

    Attributes:
        name: name of the output.
        finish: converts the network's output: [h, w, classes] -> [h, w, K].
        dtype: type of the values that `finish` returns.
        of_probabilities: whether `finish` needs probabilities; otherwise it may get logits.
        encode: encodes the converted output of the whole image, [H, W, K].
    """

    name: str
    finish: PerTensor
    dtype: tf.DType
    of_probabilities: bool
    encode: PerTensor


class Steps(tf.Module):
    """The functions; each is traced when the model is saved."""

    def __init__(
        self,
        segmenter: Segmenter,
        decode: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        answers: Mapping[str, Answer],
    ) -> None:
        """Builds the functions.

        Args:
            segmenter: graph that predicts.
            decode: decodes an image: its bytes, and what an error message calls it -> [H, W, channels].
            answers: what each signature answers.
        """
        super().__init__(name="steps")
        text = tf.TensorSpec([], tf.string)
        number = tf.TensorSpec([], tf.int32)
        smaller = min(segmenter.max_area, fine_area(segmenter.geometry))

        def begin(encoded: tf.Tensor, name: tf.Tensor, fine: tf.Tensor) -> dict[str, tf.Tensor]:
            pixels = decode(encoded, name)  # [H, W, channels]
            area = tf.where(fine, smaller, segmenter.max_area)
            seen, mean, stddev, rows, columns = segmenter.begin(pixels, area)
            return {
                "area": area,
                "pixels": seen,  # [scaled H, scaled W, channels]
                "mean": mean,
                "stddev": stddev,
                "rows": rows,
                "columns": columns,
                "height": tf.shape(pixels)[0],
                "width": tf.shape(pixels)[1],
            }

        self.begin = _function(begin, text, text, tf.TensorSpec([], tf.bool))
        seen = tf.TensorSpec([None, None, segmenter.channels], tf.uint16)
        constants = tf.TensorSpec([segmenter.channels], tf.float32)
        for signature, answer in answers.items():
            convert, kind = segmenter.of_tiles(answer.finish, answer.dtype, answer.of_probabilities)
            joined = tf.TensorSpec([None, None, None], kind)

            def tile(*arguments: tf.Tensor, convert: PerTensor = convert) -> tf.Tensor:
                return convert(segmenter.tile(*arguments))  # [h, w, K]

            def end(
                joined: tf.Tensor, height: tf.Tensor, width: tf.Tensor, answer: Answer = answer
            ) -> dict[str, tf.Tensor]:
                found = segmenter.end(joined, height, width, answer.finish, answer.dtype)  # [H, W, K]
                return {answer.name: answer.encode(found)}

            numbers = number, number, number
            setattr(self, f"{signature}_tile", _function(tile, seen, constants, constants, *numbers))
            setattr(self, f"{signature}_end", _function(end, joined, number, number))


def _function(function: Callable, *specs: tf.TensorSpec) -> tf.types.experimental.PolymorphicFunction:
    return tf.function(lambda *arguments: function(*arguments), input_signature=specs, autograph=False)
