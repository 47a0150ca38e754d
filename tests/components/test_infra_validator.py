"""A fresh process rejects an export that does not do what serving needs, and says why."""

import json

import keras
import pytest
import tensorflow as tf

from components import infra_validator
from components.errors import ExportRejected
from components.images import encode_png
from components.serving_graph import Segmenter
from components.tiling import Geometry
from components.unet import create_unet


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "0.image"
    path.write_bytes(
        encode_png(tf.random.stateless_uniform([40, 30], [0, 0], 0, 255, tf.int32).numpy().astype("uint8"))
    )
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    network = create_unet((None, None, 1), base_filters=2, decoder="paper")
    folder = tmp_path_factory.mktemp("model")
    Segmenter(network, Geometry(4), 1, 100.0, 50.0, (0, 255)).export(folder)
    return folder


def test_a_good_model_passes(model, image):
    infra_validator.probe(model, "[0, 255]", [image], timeout=120)


def test_masks_with_undeclared_values_are_rejected(model, image):
    with pytest.raises(ExportRejected, match="other values"):
        infra_validator.probe(model, json.dumps([7, 9]), [image], timeout=120)


def test_a_folder_that_is_no_model_is_rejected(tmp_path, image):
    with pytest.raises(ExportRejected, match="could not serve"):
        infra_validator.probe(tmp_path, "[0, 255]", [image], timeout=120)


def test_a_model_that_does_not_answer_in_time_is_rejected(model, image):
    with pytest.raises(ExportRejected, match=r"did not answer 1 images in 0\.1 s"):
        infra_validator.probe(model, "[0, 255]", [image], timeout=0.1)
