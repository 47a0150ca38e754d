"""The Beam pipeline of ImageMaskExampleGen.

What travels between Beam's stages is file names, never encoded images: the in-memory runner keeps every
shuffled element, so a shuffle of images would need the memory of the whole data set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components import images
from components.errors import BadInput
from components.example_gen.plan import Settings, make_plan
from components.example_gen.source import Sample

SHARD_SIZE = 64  # images a file: few files for small sets, enough of them for parallel workers


def to_example(sample: Sample, classes: dict[str, int], max_pixels: int) -> tf.train.Example:
    """Reads one sample.

    Returns:
        Features `image` (canonical PNG or JPEG), `mask` (PNG of class indices), `name`, `group`, and the
        scalars that the statistics watch: `height`, `width`, `channels`, `bit_depth`, `mean`, `stddev` and
        `fraction_CLASS` of the pixels for each class.
    """
    try:
        image = images.read_image(sample.image, max_pixels=max_pixels)
        mask = images.read_mask(sample.mask, classes, max_pixels=max_pixels)
    except images.ImageError as error:
        raise BadInput(f"{sample.name}: {error}") from error
    if mask.shape != (image.height, image.width):
        raise BadInput(f"{sample.name}: mask is {mask.shape}, image is {(image.height, image.width)}")
    features: dict[str, Any] = {
        "image": image.data,
        "mask": images.encode_png(mask),
        "name": sample.name.encode(),
        "group": sample.group.encode(),
        "height": image.height,
        "width": image.width,
        "channels": image.channels,
        "bit_depth": image.bit_depth,
        "mean": image.mean,
        "stddev": image.stddev,
    }
    for index, name in enumerate(classes):
        features[f"fraction_{name}"] = float((mask == index).mean())
    return tf.train.Example(features=tf.train.Features(feature={k: _feature(v) for k, v in features.items()}))


def _feature(value: bytes | int | float) -> tf.train.Feature:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


class WriteShard(beam.DoFn):
    """Reads the samples of one shard and writes them to one TFRecord file; a retried shard is the same."""

    def __init__(self, classes: dict[str, int], max_pixels: int):
        """Args: see `to_example`."""
        self._classes, self._max_pixels = classes, max_pixels

    def process(self, shard: tuple[str, list[Sample]]) -> Iterator[str]:
        """Args: shard: path of the file to write, and its samples. Yields the path."""
        path, samples = shard
        part = f"{path}.part"
        # Images are compressed already: the fastest level only keeps TFX's readers content.
        options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
        with tf.io.TFRecordWriter(part, options) as writer:
            for sample in samples:
                writer.write(to_example(sample, self._classes, self._max_pixels).SerializeToString())
        tf.io.gfile.rename(part, path, overwrite=True)
        yield path


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes each split as TFRecord files of tf.Examples."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the Beam pipeline; raises `BadInput` for a file that cannot be used."""
        settings = Settings(**json.loads(exec_properties["settings"]))
        plan = make_plan(Path(exec_properties["input_base"]), settings)
        if plan.fingerprint != exec_properties["fingerprint"]:
            raise BadInput(f"{exec_properties['input_base']} changed while it was read; run again")
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(plan.samples))
        shards = []
        for split, samples in plan.samples.items():
            folder = artifact_utils.get_split_uri([examples], split)
            tf.io.gfile.makedirs(folder)
            chunks = [samples[i : i + SHARD_SIZE] for i in range(0, len(samples), SHARD_SIZE)]
            for i, chunk in enumerate(chunks):
                shards.append((f"{folder}/data_tfrecord-{i:05d}-of-{len(chunks):05d}.gz", chunk))
            examples.set_int_custom_property(f"{split}_count", len(samples))
        with self._make_beam_pipeline() as pipeline:
            written = pipeline | "Shards" >> beam.Create(shards) | "SpreadOut" >> beam.Reshuffle()
            _ = written | "WriteShard" >> beam.ParDo(WriteShard(settings.classes, settings.max_pixels))
