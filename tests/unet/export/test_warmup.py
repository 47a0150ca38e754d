from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from unet.export.warmup import WARMUP_REQUESTS, write_warmup
from unet.images.reader import decode


def requests(model: Path) -> list[tuple[str, str, np.ndarray]]:
    """Name of the model, signature and image of each request."""
    found = []
    for record in tf.data.TFRecordDataset(str(model / WARMUP_REQUESTS)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        [image] = tf.make_ndarray(request.inputs["image_bytes"])
        found.append((request.model_spec.name, request.model_spec.signature_name, decode(image)))
    return found


@pytest.mark.parametrize("channels", [1, 3])
def test_both_signatures_are_asked_about_noise_of_each_side(tmp_path: Path, channels: int) -> None:
    write_warmup(tmp_path, "cells", channels, sides=(5, 9))
    found = requests(tmp_path)
    assert [(name, signature, image.shape) for name, signature, image in found] == [
        ("cells", signature, (side, side, channels))
        for side in (5, 9)
        for signature in ("serving_default", "probabilities")
    ]
    for (_, _, image), (_, _, again) in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_array_equal(image, again)
        assert len(np.unique(image)) > image.size / 4


def test_all_gray_values_occur(tmp_path: Path) -> None:
    write_warmup(tmp_path, "cells", 1, sides=(512,))
    assert np.unique(requests(tmp_path)[0][2]).tolist() == list(range(256))


@pytest.mark.parametrize(
    ("most", "sides"),
    [(200 * 200, {8, 200}), (200 * 200 - 1, {8}), (188 * 188 - 1, set()), (None, {8, 200})],
)
def test_images_that_the_model_would_refuse_are_left_out(
    tmp_path: Path, most: int | None, sides: set[int]
) -> None:
    write_warmup(tmp_path, "cells", 1, most, sides=(8, 200))
    write_warmup(tmp_path, "cells", 1, most, sides=(8, 200))  # replaces the first ones
    found = requests(tmp_path)
    assert len(found) == 2 * len(sides)
    assert {image.shape[0] for _, _, image in found} == sides


def test_two_channels_are_asked_about_below_one_another(tmp_path: Path) -> None:
    write_warmup(tmp_path, "cells", 2, max_pixels=70000, sides=(5, 188, 300))
    assert [image.shape for _, _, image in requests(tmp_path)] == [(10, 5, 1)] * 2
