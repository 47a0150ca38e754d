"""A fresh process rejects an export that does not do what serving needs, and says why."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.infra_validator.component import probe, write_expected, write_probe_images
from unet.errors import ExportRejected
from unet.export import signatures
from unet.export.graph import Segmenter
from unet.export.warmup import write_warmup
from unet.images.reader import encode_image, encode_png
from unet.network import create_unet
from unet.tiling import Geometry

RECORD: dict[str, Any] = {
    "channels": 1, "scale": 1.0, "test_time_augmentation": False, "geometry": {"depth": 2},
    "normalization": {"over": "dataset", "mean": [100.0], "stddev": [50.0]},
}  # fmt: skip
MEMORY = 3000
SEED = 1  # of an untrained network that answers with both classes


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(SEED)
    return create_unet((None, None, 1), base_filters=2, depth=2, decoder="paper")


@pytest.fixture(scope="module")
def image(tmp_path_factory, network):
    path = tmp_path_factory.mktemp("images") / "0.image"
    path.write_bytes(encode_png(np.random.default_rng(0).integers(0, 256, (300, 30), np.uint8)))
    write_expected(network, path, RECORD)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory, network):
    folder = tmp_path_factory.mktemp("model")
    arguments: dict[str, Any] = {"mean": 100.0, "stddev": 50.0, "class_values": (0, 255)}
    signatures.export(Segmenter(network, Geometry(2), 1, **arguments), folder)
    write_warmup(folder, "unet", 1, sides=(20,))
    return folder


def test_a_good_model_passes(model, image):
    assert np.load(image.with_suffix(".npz"))["clear"].mean() > 0.3
    probe(model, [0, 255], [image], 120, MEMORY)


def test_a_good_model_of_two_channels_passes(tmp_path):
    keras.utils.set_random_seed(SEED)
    network = create_unet((None, None, 2), base_filters=2, depth=2, decoder="paper")
    arguments: dict[str, Any] = {"mean": None, "stddev": None, "class_values": (0, 255)}
    signatures.export(Segmenter(network, Geometry(2), 2, **arguments), tmp_path / "model")
    write_warmup(tmp_path / "model", "unet", 2, sides=(20,))
    path = tmp_path / "0.image"
    path.write_bytes(encode_image(np.random.default_rng(0).integers(0, 256, (50, 30, 2), np.uint8)))
    write_expected(network, path, RECORD | {"channels": 2, "normalization": {"over": "image"}})
    assert np.load(path.with_suffix(".npz"))["indices"].shape == (50, 30)
    probe(tmp_path / "model", [0, 255], [path], 120, MEMORY, channels=2)


def test_another_normalization_is_noticed(tmp_path, network, model, image):
    path = Path(shutil.copy(image, tmp_path))
    write_expected(network, path, RECORD | {"normalization": {**RECORD["normalization"], "mean": [160.0]}})
    with pytest.raises(ExportRejected, match="pixels are not those that the network gives offline"):
        probe(model, [0, 255], [path], 120, MEMORY)


def test_masks_with_undeclared_values_and_too_much_memory_are_told_together(model, image):
    with pytest.raises(ExportRejected) as rejected:
        probe(model, [7, 9], [image], 120, 100)
    _, values, memory = str(rejected.value).splitlines()
    assert "the mask has other values than the classes'" in values
    assert re.fullmatch(r"it took \d+ MB of memory, 100 MB are allowed: lower serving_memory", memory)


def test_a_folder_that_is_no_model_is_rejected(tmp_path, image):
    with pytest.raises(ExportRejected, match="could not serve"):
        probe(tmp_path, [0, 255], [image], 120, MEMORY)


def test_a_model_that_does_not_answer_in_time_is_rejected(model, image):
    with pytest.raises(ExportRejected, match=r"did not answer 1 images in 0\.1 s"):
        probe(model, [0, 255], [image], 0.1, MEMORY)


def test_the_smallest_and_the_largest_image_that_it_takes_are_sent(tmp_path):
    sides = [300, 200, 400, 250, 500]
    (tmp_path / "split").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "split" / "a.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
        for side in sides:
            features = {key: tf.train.Feature(int64_list=tf.train.Int64List(value=[side]))
                        for key in ("height", "width")}  # fmt: skip
            data = json.dumps(side).encode()
            features["image"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    (tmp_path / "out").mkdir()
    paths = write_probe_images(str(tmp_path / "split"), tmp_path / "out", 3, 450 * 450)
    assert [json.loads(path.read_bytes()) for path in paths] == [300, 200, 400]
