"""The steps of a signature give its bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.unet.encoded_images import noise, pillow, png
from tests.unet.export.segmenters import DEPTH, VALUES, network
from unet.export.graph import Segmenter
from unet.export.signatures import export
from unet.network import create_unet
from unet.tiling import Geometry, smallest_area


@pytest.fixture(scope="module", params=[(1.0, None), (0.6, None), (1.0, 0.5)])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Normalises each image by itself and cuts it into small tiles; of another scale, or a threshold, too."""
    path = tmp_path_factory.mktemp("model") / "1"
    geometry = Geometry(DEPTH)
    scale, threshold = request.param
    trained, values = network(1), [*VALUES]
    if threshold is not None:
        shape = (None, None, 1)
        trained = create_unet(shape, classes=2, base_filters=4, depth=DEPTH, activation=None)
        values = [*VALUES[:2]]
    area = smallest_area(geometry)
    whole = Segmenter(trained, geometry, 1, None, None, values, area, scale, threshold=threshold)
    export(whole, path)
    return tf.saved_model.load(str(path))


@pytest.mark.parametrize("signature", ["serving_default", "colored", "probabilities"])
def test_the_steps_give_the_bytes_of_the_signature(model: Any, signature: str) -> None:
    counts = []
    for image in (png(noise(70, 95, 1)), pillow(noise(41, 33, 3), "JPEG"), png(noise(1, 1, 1))):
        found = model.steps.begin(tf.constant(image), tf.constant("element 0"))
        tile, rows, columns = (
            getattr(model.steps, f"{signature}_tile"),
            *(range(int(found[key])) for key in ("rows", "columns")),
        )
        constants = [found[key] for key in ("pixels", "mean", "stddev")]
        parts = [
            np.concatenate([tile(*constants, tf.constant(i), tf.constant(j)) for j in columns], 1)
            for i in rows
        ]
        height, width = found["pixels"].shape[:2]
        joined = tf.constant(np.concatenate(parts)[:height, :width])
        answer = getattr(model.steps, f"{signature}_end")(joined, found["height"], found["width"])
        (name,) = answer
        whole = model.signatures[signature](image_bytes=tf.constant([image]))[name]
        assert np.array_equal(answer[name], whole[0])
        counts.append(len(rows) * len(columns))
    assert counts[0] > 1
    assert counts[-1] == 1


def test_a_bad_image_is_refused_by_the_name_it_is_given(model: Any) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="picture 7"):
        model.steps.begin(tf.constant(b"no image"), tf.constant("picture 7"))
