"""Stored tiles as Transform makes them; what does not need them loads no TensorFlow."""

import numpy as np
import pytest

from tests.unet.training.tiny import SIZES, TILES
from unet.images.reader import encode_png


@pytest.fixture(scope="session")
def images():
    """An image and a mask of each size; the mask tells bright pixels."""
    rng = np.random.default_rng(0)
    made = {name: rng.integers(0, 256, size, np.uint8) for name, size in SIZES.items()}
    return {name: (image, (image > 127).astype(np.uint8)) for name, image in made.items()}


@pytest.fixture(scope="session")
def patterns(images, tmp_path_factory):
    """A file of tiles, cut by a real Beam run of the preprocessing function."""
    import tensorflow as tf
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from components import transform

    folder = tmp_path_factory.mktemp("tiles")
    scalar = tf.io.FixedLenFeature([], tf.string)
    spec = {
        "image": scalar,
        "mask": scalar,
        "border": scalar,
        "name": scalar,
        "bit_depth": tf.io.FixedLenFeature([1], tf.int64),
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [
        {
            "image": encode_png(image),
            "mask": encode_png(mask),
            "border": encode_png(255 - image),
            "name": name.encode(),
            "bit_depth": [8],
        }
        for name, (image, mask) in images.items()
    ]
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        (tiles, _), _ = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: transform.preprocessing_fn(inputs, {"tiles": TILES.model_dump_json()})
        )
    with tf.io.TFRecordWriter(str(folder / "tiles.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
        for tile in tiles:
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=_features(tile))).SerializeToString()
            )
    return [str(folder / "*.gz")]


def _features(tile):
    import tensorflow as tf

    features = {}
    for key, value in tile.items():
        if isinstance(value, bytes):
            features[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        elif key in ("mean", "stddev"):
            features[key] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        else:
            features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=np.atleast_1d(value)))
    return features
