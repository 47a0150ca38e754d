"""Statistics of the scalars that describe each image, by TFDV, and the table of the scalars themselves.

TFX's StatisticsGen reads whole records through Beam, of which construction alone takes seconds. Here a record
is read for its scalars and forgotten, so a set of any size needs the memory of a row for each image; the work
on pixels was done by ImageMaskExampleGen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components.statistics_gen import executor as statistics_executor
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils
from tfx.types.channel import BaseChannel, Channel
from tfx.types.standard_artifacts import ExampleStatistics
from tfx.types.standard_component_specs import StatisticsGenSpec

from unet.dataset.sample import FRACTION_PREFIX, SCALARS
from unet.errors import BadInput
from unet.files import atomic_write

TABLE = "images.csv"  # beside the statistics of the splits: a row for each image
NAME, CONTENT, SPLIT = "name", "content", "split"  # its columns beside the scalars


def compute(table: pd.DataFrame) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Computes TFDV's statistics of the scalars of some images.

    Args:
        table: a row for each image; what says which image it is does not count.
    """
    scalars = table.drop(columns=[NAME, CONTENT, SPLIT], errors="ignore")
    return tfdv.generate_statistics_from_dataframe(scalars, n_jobs=1)


def read_table(uri: str) -> pd.DataFrame:
    """Reads the table of all images with the statistics at `uri`.

    Returns:
        A row for each image: its name, split, scalars, and a hash of the content of image and mask.

    Raises:
        BadInput: there is no table, as in a root of a version of this project that wrote none.
    """
    path = Path(uri, TABLE)
    if not path.exists():
        raise BadInput(f"{path}: missing; statistics of an older version lack it: begin a new --root")
    # Converted: an image may be called NA, or 12.
    return pd.read_csv(path, converters={NAME: str, SPLIT: str, CONTENT: str})


class StatisticsGenExecutor(base_executor.BaseExecutor):
    """Writes the statistics of each split, and the table of all images."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads each example once."""
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        output = artifact_utils.get_single_instance(output_dict["statistics"])
        output.split_names, output.span = examples.split_names, examples.span
        rows = []
        for split in artifact_utils.decode_split_names(examples.split_names):
            of_split = list(_rows(artifact_utils.get_split_uri([examples], split)))
            folder = Path(artifact_utils.get_split_uri([output], split))
            folder.mkdir(parents=True)
            found = compute(pd.DataFrame(of_split))
            (folder / statistics_executor.DEFAULT_FILE_NAME).write_bytes(found.SerializeToString())
            rows += [{**row, SPLIT: split} for row in of_split]
        with atomic_write(Path(output.uri, TABLE)) as file:
            pd.DataFrame(rows).to_csv(file, index=False)


def _rows(folder: str) -> Iterator[dict[str, Any]]:
    """Yields name, content and scalars of each example of a split."""
    files = sorted(tf.io.gfile.glob(f"{folder}/*"))
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        content = hashlib.sha256()
        for name in ("image", "mask", "instances"):
            content.update(hashlib.sha256(b"".join(features[name].bytes_list.value)).digest())
        row = {NAME: features["name"].bytes_list.value[0].decode(), CONTENT: content.hexdigest()[:16]}
        for name, feature in sorted(features.items()):
            if name in SCALARS or name.startswith(FRACTION_PREFIX):
                row[name] = [*feature.int64_list.value, *feature.float_list.value][0]
        yield row


class StatisticsGen(base_component.BaseComponent):
    """TFX's StatisticsGen with this project's executor, which needs no Beam."""

    SPEC_CLASS = StatisticsGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(StatisticsGenExecutor)

    def __init__(self, examples: BaseChannel) -> None:
        """Args: examples: the output of ImageMaskExampleGen."""
        super().__init__(
            StatisticsGenSpec(
                examples=examples, exclude_splits="[]", statistics=Channel(type=ExampleStatistics)
            )
        )
