"""The steps of a signature give its bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.unet.encoded_images import noise, pillow, png
from tests.unet.export.segmenters import DEPTH, VALUES, network
from unet.export.graph import Segmenter
from unet.export.signatures import export
from unet.registry.decision import Decision
from unet.tiling import Geometry, smallest_area


@pytest.fixture(scope="module", params=[(1.0, None), (0.6, None), (1.0, [1, 0.5, 2])])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Normalises each image by itself, and cuts it into small tiles; of another scale, or by factors, too."""
    scale, factors = request.param
    decision = Decision.of({"factors": factors}) if factors else None
    area, path = smallest_area(Geometry(DEPTH)), tmp_path_factory.mktemp("model") / "1"
    whole = Segmenter(network(1), Geometry(DEPTH), 1, None, None, VALUES, area, scale, decision=decision)
    export(whole, path)
    return tf.saved_model.load(str(path))


def in_steps(model: Any, signature: str, image: bytes, fine: bool) -> tuple[dict[str, tf.Tensor], int]:
    """The answer for one image, and the number of its tiles."""
    found = model.steps.begin(tf.constant(image), tf.constant("element 0"), tf.constant(fine))
    tile, rows, columns = (
        getattr(model.steps, f"{signature}_tile"),
        *(range(int(found[key])) for key in ("rows", "columns")),
    )
    constants = [found[key] for key in ("pixels", "mean", "stddev")]
    parts = [
        np.concatenate([tile(*constants, tf.constant(i), tf.constant(j), found["area"]) for j in columns], 1)
        for i in rows
    ]
    height, width = found["pixels"].shape[:2]
    joined = tf.constant(np.concatenate(parts)[:height, :width])
    answer = getattr(model.steps, f"{signature}_end")(joined, found["height"], found["width"])
    return answer, len(rows) * len(columns)


@pytest.mark.parametrize("signature", ["serving_default", "colored", "probabilities"])
def test_the_steps_give_the_bytes_of_the_signature(model: Any, signature: str) -> None:
    counts = []
    for image in (png(noise(70, 95, 1)), pillow(noise(41, 33, 3), "JPEG"), png(noise(1, 1, 1))):
        answer, tiles = in_steps(model, signature, image, fine=False)
        (name,) = answer
        whole = model.signatures[signature](image_bytes=tf.constant([image]))[name]
        assert np.array_equal(answer[name], whole[0])
        counts.append(tiles)
    assert counts[0] > 1
    assert counts[-1] == 1


def test_fine_tiles_are_more_and_the_probabilities_are_the_same(tmp_path: Path, export_tiny: Any) -> None:
    model = tf.saved_model.load(str(export_tiny(tmp_path / "1")))
    image = png(noise(150, 95, 1))
    (whole, one), (fine, many) = (in_steps(model, "probabilities", image, fine) for fine in (False, True))
    assert one == 1
    assert many > 1
    (name,) = whole
    for encoded, other in zip(whole[name].numpy(), fine[name].numpy(), strict=True):
        values = [tf.io.decode_png(each, dtype=tf.uint16).numpy().astype(int) for each in (encoded, other)]
        assert np.ptp(values[0]) > 1000
        assert abs(values[0] - values[1]).max() <= 2  # of 65535


def test_a_bad_image_is_refused_by_the_name_it_is_given(model: Any) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="picture 7"):
        model.steps.begin(tf.constant(b"no image"), tf.constant("picture 7"), tf.constant(False))
