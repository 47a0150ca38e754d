"""Warm-up requests, which a server runs before it accepts real requests.

TensorFlow Serving replays `assets.extra/tf_serving_warmup_requests` of a version while loading it, so that
the first real request does not have to wait for kernels to be chosen and buffers to be allocated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from unet.export.signatures import PROBABILITIES, SERVE
from unet.images.channels import stored_rows
from unet.images.reader import encode_image
from unet.preprocessing.decoding import counted_pixels

WARMUP_REQUESTS = "assets.extra/tf_serving_warmup_requests"
SIDES = (64, 512)  # height and width of the images in pixels, for a tile of the smallest and of a usual size


def write_warmup(
    model: Path, name: str, channels: int, max_pixels: int | None = None, sides: Sequence[int] = SIDES
) -> None:
    """Adds warm-up requests to an exported model.

    The images are noise, so that a model never carries private data.

    Args:
        model: folder of the SavedModel.
        name: name of the model in the requests.
        channels: number of channels of the images.
        max_pixels: largest image that the model accepts, in pixels; None: no limit.
        sides: height and width of each image in pixels; images above `max_pixels` are left out.
    """
    path = model / WARMUP_REQUESTS
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for side in sides:
            if max_pixels is not None and counted_pixels(stored_rows(side, channels), side) > max_pixels:
                continue
            image = encode_image(noise.integers(0, 256, (side, side, channels), np.uint8))
            for signature in (SERVE, PROBABILITIES):
                request = predict_pb2.PredictRequest()
                request.model_spec.name = name
                request.model_spec.signature_name = signature
                request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image], tf.string))
                log = prediction_log_pb2.PredictLog(request=request)
                record = prediction_log_pb2.PredictionLog(predict_log=log)
                writer.write(record.SerializeToString())
