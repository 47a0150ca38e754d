"""The InfraValidator: can a process that has TensorFlow and nothing of this project serve the model?"""

# No `from __future__ import annotations` here: TFX reads the annotations of a component function as objects.

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples, InfraBlessing, Model
from tfx.utils import path_utils

from components.errors import ExportRejected

# Runs in the fresh process. Prints one JSON object: what is wrong, empty when nothing is.
PROBE = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import numpy as np
import tensorflow as tf

model, values, *paths = sys.argv[1:]
values = json.loads(values)
in_colour = isinstance(values[0], list)
channels, highest = (3, 255) if in_colour else (1, max(values))
values = {tuple(v) if in_colour else (v,) for v in values}
serve = tf.saved_model.load(model).signatures["serving_default"]
wrong = []
for path in paths:
    data = open(path, "rb").read()
    mask = tf.io.decode_png(serve(image_bytes=tf.constant([data]))["mask_bytes"][0], dtype=tf.uint16).numpy()
    # decode_png widens 8 bits to 16 by a factor of 257.
    mask = mask // 257 if highest < 256 else mask
    size = tf.io.decode_image(data).shape[:2]
    if mask.shape != (*size, channels):
        wrong.append(f"{path}: the mask is {mask.shape[:2]}, the image is {tuple(size)}")
    elif not set(map(tuple, np.unique(mask.reshape(-1, channels), axis=0).tolist())) <= values:
        wrong.append(f"{path}: the mask has other values than the classes'")
assert "components" not in sys.modules and "keras_tuner" not in sys.modules
print(json.dumps(wrong))
"""


@component
def InfraValidator(  # type: ignore[no-untyped-def]
    model: InputArtifact[Model],
    examples: InputArtifact[Examples],
    blessing: OutputArtifact[InfraBlessing],
    class_values: Parameter[str],
    images: Parameter[int],
    timeout: Parameter[int],
):
    """Blesses a model that a fresh process loads and that answers real images with masks of their size.

    Args of the component: `class_values`, a JSON list of the values, or colours, a mask may hold; `images`,
    how many test images are sent; `timeout`, in seconds. Raises `ExportRejected` saying what failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_images(artifact_utils.get_split_uri([examples], "test"), Path(folder), images)
        probe(Path(path_utils.serving_model_path(model.uri)), class_values, paths, timeout)
    Path(blessing.uri, "INFRA_BLESSED").touch()
    blessing.set_int_custom_property("blessed", 1)


def probe(model: Path, class_values: str, images: list[Path], timeout: float) -> None:
    """Runs the probe over some image files; raises `ExportRejected` saying what failed."""
    command = [sys.executable, "-I", "-c", PROBE, str(model), class_values, *map(str, images)]
    try:
        # -I and another working directory: nothing of this project can be imported.
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=tempfile.gettempdir(), check=False
        )
    except subprocess.TimeoutExpired:
        raise ExportRejected(
            f"the exported model did not answer {len(images)} images in {timeout} s"
        ) from None
    if done.returncode:
        print(done.stderr)  # into the log
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ExportRejected(f"a fresh process could not serve the exported model: {reason}")
    wrong = json.loads(done.stdout.splitlines()[-1])
    if wrong:
        raise ExportRejected("the exported model answers wrongly:\n" + "\n".join(wrong))


def _write_images(split: str, folder: Path, count: int) -> list[Path]:
    files = tf.io.gfile.glob(f"{split}/*")
    paths: list[Path] = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").take(count).as_numpy_iterator():
        paths.append(folder / f"{len(paths)}.image")
        paths[-1].write_bytes(
            tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]
        )
    return paths
