from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.unet.encoded_images import noise, png
from tests.unet.export.segmenters import DEPTH, VALUES, area, network, segmenter
from unet.export.saved_model import write
from unet.export.warmup import WARMUP_REQUESTS
from unet.images.display import PALETTE
from unet.registry.records import TRAINING_RECORD


@pytest.mark.parametrize(("background", "colors"), [("first", PALETTE[:3]), ("none", PALETTE[1:4])])
def test_a_model_answers_as_its_record_says_and_carries_it(
    background: str, colors: Sequence[tuple[int, int, int]], tmp_path: Path
) -> None:
    record: dict[str, Any] = {
        "class_values": VALUES,
        "background": background,
        "channels": 1,
        "normalization": {"over": "dataset", "mean": [100.0], "stddev": [60.0]},
        "scale": 1.0,
        "test_time_augmentation": False,
        "max_pixels": 188 * 188,
        "geometry": {"depth": DEPTH},
        "max_area": area(32),
        "learning_rate": 0.5,
    }
    write([network(1)], record, tmp_path / "1")
    assert json.loads((tmp_path / "1" / TRAINING_RECORD).read_text()) == {**record, "class_values": [*VALUES]}
    image = noise(70, 45, 1)
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    answer = signatures["serving_default"]
    mask = tf.io.decode_png(answer(image_bytes=tf.constant([png(image)]))["mask_bytes"][0])[..., 0]
    np.testing.assert_array_equal(mask, np.array(VALUES)[segmenter().segment(image)])
    shown = tf.io.decode_png(signatures["colored"](image_bytes=tf.constant([png(image)]))["mask_bytes"][0])
    np.testing.assert_array_equal(shown, np.array(colors)[segmenter().segment(image)])
    requests = list(tf.data.TFRecordDataset(str(tmp_path / "1" / WARMUP_REQUESTS)))
    assert len(requests) == 2  # the larger ones would be refused
