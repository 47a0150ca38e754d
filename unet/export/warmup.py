"""Requests that a server answers to itself before it answers anybody else.

TensorFlow Serving replays `assets.extra/tf_serving_warmup_requests` of a version while it loads it: kernels
are chosen and buffers made before the first real request, not by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from unet.export.signatures import PROBABILITIES, SERVE
from unet.images.reader import encode_png
from unet.preprocessing.decoding import counted_pixels

WARMUP_REQUESTS = "assets.extra/tf_serving_warmup_requests"
SIDES = (64, 512)  # of the images, in pixels: a tile of the least size, and a usual one


def write_warmup(
    model: Path, name: str, channels: int, max_pixels: int | None = None, sides: Sequence[int] = SIDES
) -> None:
    """Adds warm-up requests to an exported model.

    The images are noise: nobody's data leave the house with a model.

    Args:
        model: folder of the SavedModel.
        name: of the model in the requests.
        channels: of its images.
        max_pixels: that the model takes; None: any number.
        sides: of the images, in pixels; those that it does not take are left out.
    """
    path = model / WARMUP_REQUESTS
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for side in sides:
            if max_pixels is not None and counted_pixels(side, side) > max_pixels:
                continue
            image = encode_png(noise.integers(0, 256, (side, side, channels), np.uint8))
            for signature in (SERVE, PROBABILITIES):
                request = predict_pb2.PredictRequest()
                request.model_spec.name = name
                request.model_spec.signature_name = signature
                request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image], tf.string))
                log = prediction_log_pb2.PredictLog(request=request)
                record = prediction_log_pb2.PredictionLog(predict_log=log)
                writer.write(record.SerializeToString())
