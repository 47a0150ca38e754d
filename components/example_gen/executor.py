"""The Beam pipeline of ImageMaskExampleGen: each image becomes an example with the scalars that describe it.

Beam's stages exchange file names, never encoded images: the in-memory runner keeps every shuffled element, so
a shuffle of images would need the memory of the whole data set.
"""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from unet import progress
from unet.dataset.parallel import in_order
from unet.dataset.plan import Plan, make_plan
from unet.dataset.sample import COLUMN_PREFIX, FRACTION_PREFIX, SCALARS, SERVING, Sample
from unet.dataset.settings import ReadSettings
from unet.errors import BadInput, ImagesLost
from unet.files import Stamp, atomic_write, stamp
from unet.images import raster
from unet.images.capacity import cores
from unet.images.memory import one_at_a_time
from unet.images.reader import Image, encode_png, read_image
from unet.masks import labels, weight_map
from unet.masks.reader import read_mask
from unet.masks.values import count_values

# Global, since Beam copies the DoFn; a worker in another process would not show its progress.
_count: progress.Count | None = None

SHARD_SIZE = 64  # images per file: few files for small sets, enough of them for parallel workers


def to_example(sample: Sample, settings: ReadSettings) -> tf.train.Example:
    """Reads one sample into a tf.Example.

    Returns:
        Features `image` (canonical bytes, see `unet.images.reader`), `mask` (PNG of class indices,
        `unet.masks.labels.IGNORE` for ignored pixels), `border` (PNG of `unet.masks.weight_map.border`, empty
        if the loss has no border term), `name`, `group`, `column_NAME` for each declared column, and the
        scalars of the statistics: `height`, `width`, `channels`, `bit_depth`, `mean`, `stddev` and, for each
        class, `fraction_CLASS` of the pixels that are not ignored; with a class of instances also
        `instances`, a 16-bit PNG of their ids.
    """
    page = sample.page or 0
    try:
        image = _read_image(sample.image, page, settings)
        mask = read_mask(sample.mask, settings.label_map, page=page, max_pixels=settings.max_pixels)
    except raster.ImageError as error:
        raise BadInput(f"{sample.name}: {error}") from error
    if mask.indices.shape != (image.height, image.width):
        raise BadInput(f"{sample.name}: mask is {mask.indices.shape}, image is {(image.height, image.width)}")
    border = b""
    if settings.sigma:
        cells = weight_map.label_cells(mask.indices, mask.instances)
        border = encode_png(weight_map.border(cells, settings.sigma))
    features: dict[str, Any] = {
        "image": image.data,
        "mask": encode_png(mask.indices),
        "border": border,
        "name": sample.name.encode(),
        "group": sample.group.encode(),
        **{COLUMN_PREFIX + column: value.encode() for column, value in sample.columns},
        **_scalars(image),
    }
    if mask.instances is not None:
        features["instances"] = encode_png(mask.instances)
    pixels = count_values(mask.indices)
    counted = mask.indices.size - pixels.get(labels.IGNORE, 0)
    for index, name in enumerate(settings.classes):
        features[f"{FRACTION_PREFIX}{name}"] = pixels.get(index, 0) / max(counted, 1)
    return _example(features)


def to_serving_example(path: Path, settings: ReadSettings) -> tf.train.Example:
    """Reads an image as it comes in service into an example of its `name` and scalars only."""
    try:
        image = _read_image(path, 0, settings)
    except raster.ImageError as error:
        raise BadInput(f"{path}: {error}") from error
    return _example({"name": path.name.encode(), **_scalars(image)})


def _read_image(path: Path, page: int, settings: ReadSettings) -> Image:
    return read_image(
        path,
        page=page,
        max_pixels=settings.max_pixels,
        value_range=settings.value_range,
        use_channels=settings.use_channels,
    )


def _scalars(image: Image) -> dict[str, int | float]:
    return {name: getattr(image, name) for name in SCALARS}


def _example(features: dict[str, Any]) -> tf.train.Example:
    return tf.train.Example(features=tf.train.Features(feature={k: _feature(v) for k, v in features.items()}))


def _feature(value: bytes | int | float) -> tf.train.Feature:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


class WriteShard(beam.DoFn):
    """Writes the samples of one shard to one TFRecord file; a retry writes the same file."""

    def __init__(self, settings: ReadSettings):
        """Args: settings: how the files are read."""
        self._settings = settings

    def process(self, shard: tuple[str, list[Sample | Path]]) -> Iterator[str]:
        """Args: shard: the path of the file to write, and its samples. Yields the path."""
        path, samples = shard
        # Images are compressed already: level 0 only satisfies TFX's readers, which expect GZIP.
        options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=0)
        with (
            atomic_write(Path(path), "wb") as file,
            tf.io.TFRecordWriter(file.name, options) as writer,
            concurrent.futures.ThreadPoolExecutor(cores()) as pool,
        ):
            for record in in_order(pool, self._record, samples):
                writer.write(record)
        yield path

    def _record(self, sample: Sample | Path) -> bytes:
        read = to_serving_example if isinstance(sample, Path) else to_example
        with one_at_a_time():
            example = read(sample, self._settings)  # type: ignore[arg-type]
            # Else the order of the features is another one in each process.
            record: bytes = example.SerializeToString(deterministic=True)
        if _count:
            _count.add()
        return record


def _require_same(same: bool, folder: str) -> None:
    if not same:
        raise BadInput(f"{folder} changed while it was read; run again")


def _stamps(plan: Plan) -> dict[Path, Stamp]:
    samples = [sample for several in plan.samples.values() for sample in several]
    files = {path for sample in samples for path in (sample.image, sample.mask)}
    return {path: stamp(path) for path in files.union(plan.serving)}


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes each split as TFRecord files of tf.Examples."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the Beam pipeline; raises `BadInput` if a file cannot be used."""
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        source = json.loads(Path(exec_properties["source_file"]).read_text(encoding="utf-8"))
        folder, settings = source["folder"], ReadSettings.model_validate_json(source["settings"])
        plan = make_plan(Path(folder), settings)
        _require_same(plan.fingerprint == exec_properties["fingerprint"], folder)
        stamps = _stamps(plan)
        splits: dict[str, Any] = dict(plan.samples)
        if plan.serving:
            splits[SERVING] = plan.serving
        examples.split_names = artifact_utils.encode_split_names(list(splits))
        examples.span = plan.span
        shards = []
        for split, samples in splits.items():
            target = artifact_utils.get_split_uri([examples], split)
            tf.io.gfile.makedirs(target)
            chunks = [samples[i : i + SHARD_SIZE] for i in range(0, len(samples), SHARD_SIZE)]
            for i, chunk in enumerate(chunks):
                shards.append((f"{target}/data_tfrecord-{i:05d}-of-{len(chunks):05d}.gz", chunk))
            examples.set_int_custom_property(f"{split}_count", len(samples))
        global _count
        _count = progress.Count("reading images", sum(map(len, splits.values())))
        with self._make_beam_pipeline() as pipeline:
            written = pipeline | "Shards" >> beam.Create(shards) | "SpreadOut" >> beam.Reshuffle()
            _ = written | "WriteShard" >> beam.ParDo(WriteShard(settings))
        # Nobody else may know how many worked on them.
        if lost := [path for path, _ in shards if not Path(path).is_file()]:
            raise ImagesLost(f"{lost[0]} was not written: run again")
        # Plan again: files may have changed while they were read; unchanged ones are not hashed again. A file
        # that was replaced and put back has its content again, but not its stamp, which is read last.
        _require_same(make_plan(Path(folder), settings).fingerprint == plan.fingerprint, folder)
        _require_same(_stamps(plan) == stamps, folder)
