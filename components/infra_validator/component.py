"""The InfraValidator: checks that a process with TensorFlow, without this project, can serve the model."""

# No `from __future__ import annotations` here: TFX reads the annotations of a component function as objects.

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples, InfraBlessing, Model, ModelRun
from tfx.utils import path_utils

from components.infra_validator import probe as serving_probe
from components.infra_validator import reference
from components.infra_validator.child import run_child
from unet.errors import ExportRejected
from unet.images.channels import stored_rows
from unet.preprocessing.decoding import counted_pixels
from unet.registry.decision import decision_of, scores
from unet.registry.records import training_record

# If the two best probabilities, or one and the threshold, are closer than this, float rounding decides; of
# two that have factors, if they are closer than this times the largest factor.
CLOSE = 1e-4
# Larger images are not sent, or not compared: the offline prediction takes as long as the served one.
_SENT_PIXELS, _COMPARED_PIXELS = 4_000_000, 2_000_000


@component
def InfraValidator(  # type: ignore[no-untyped-def]
    model: InputArtifact[Model],
    model_run: InputArtifact[ModelRun],
    examples: InputArtifact[Examples],
    blessing: OutputArtifact[InfraBlessing],
    images: Parameter[int],
    timeout: Parameter[int],
    memory: Parameter[int],
):
    """Blesses a model that a fresh process can load and that predicts correctly there.

    The process replays the warm-up requests. It sends real images, the smallest and the largest among them:
    masks must have the size of the image, hold only values of classes and equal the offline prediction. It
    sends bytes that are no image: the model must refuse them.

    The parameters are `images`, the number of test images to send; `timeout`, in seconds, and `memory`, in
    megabytes, of the fresh process. Raises `ExportRejected` with the reason.
    """
    served = Path(path_utils.serving_model_path(model.uri))
    record = training_record(served)
    network = keras.saving.load_model(Path(model_run.uri, "network.keras"), compile=False)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_probe_images(
            artifact_utils.get_split_uri([examples], "test"),
            Path(folder),
            images,
            record["max_pixels"] // stored_rows(1, record["channels"]),
        )
        for path in paths:
            write_expected(network, path, record)
        probe(served, record["class_values"], paths, timeout, memory, record["channels"])
    Path(blessing.uri, "INFRA_BLESSED").touch()
    blessing.set_int_custom_property("blessed", 1)


def write_probe_images(split: str, folder: Path, count: int, max_pixels: int) -> list[Path]:
    """Writes images of a split: the smallest, the largest that the model accepts, and the first others."""
    files = sorted(tf.io.gfile.glob(f"{split}/*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    sides = {key: tf.io.FixedLenFeature([], tf.int64) for key in ("height", "width")}
    parsed = (tf.io.parse_single_example(record, sides) for record in records)
    areas = {number: counted_pixels(int(p["height"]), int(p["width"])) for number, p in enumerate(parsed)}
    taken = [number for number, area in areas.items() if area <= min(max_pixels, _SENT_PIXELS)]
    by_area = sorted(taken, key=areas.__getitem__)
    chosen = list(dict.fromkeys([*by_area[:1], *by_area[-1:], *taken]))[:count]
    paths = []
    for number, record in enumerate(records.as_numpy_iterator()):
        if number in chosen:
            paths.append(folder / f"{number}.image")
            features = tf.train.Example.FromString(record).features.feature
            paths[-1].write_bytes(features["image"].bytes_list.value[0])
    return paths


def write_expected(network: keras.Model, image: Path, record: dict[str, Any]) -> None:
    """Writes the offline prediction of an image: `indices`, and `clear` where rounding cannot change them."""
    encoded = image.read_bytes()
    found = reference.expected_probabilities(network, encoded, record) if _is_small(encoded) else None
    if found is not None:
        decision = decision_of([record])
        close = CLOSE if decision is None else CLOSE * decision.factors.max()
        found = scores(found, decision)
        best = np.sort(found, -1)
        clear = best[..., -1] - best[..., -2] > close
        np.savez(image.with_suffix(".npz"), indices=found.argmax(-1).astype(np.uint8), clear=clear)


def _is_small(encoded: bytes) -> bool:
    height, width = tf.io.decode_image(encoded, expand_animations=False).shape[:2]
    return bool(height * width <= _COMPARED_PIXELS)


def probe(
    model: Path,
    class_values: Sequence[Any],
    images: Sequence[Path],
    timeout: float,
    memory: int,
    channels: int = 1,
) -> None:
    """Runs `components.infra_validator.probe` in a fresh process; raises `ExportRejected` with the reason.

    Args:
        model: folder of the SavedModel.
        class_values: the gray values, or colors, of the classes in masks.
        images: image files; `write_expected` may have written the expected prediction beside each.
        timeout: time limit in seconds.
        memory: memory limit in megabytes.
        channels: number of channels of the images.
    """
    # -I, another working directory and the source as text: the process can import nothing of this project.
    source = Path(serving_probe.__file__).read_text(encoding="utf-8")
    command = [
        sys.executable,
        "-I",
        "-c",
        source,
        str(model),
        json.dumps(class_values),
        str(stored_rows(1, channels)),
    ]
    command += map(str, images)
    try:
        done = run_child(command, timeout)
    except subprocess.TimeoutExpired:
        raise ExportRejected(
            f"the exported model did not answer {len(images)} images in {timeout} s"
        ) from None
    if done.returncode:
        print(done.stderr)  # to the log
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ExportRejected(f"a fresh process could not serve the exported model: {reason}")
    report = json.loads(done.stdout.splitlines()[-1])
    wrong = report["wrong"]
    if report["memory_mb"] > memory:
        wrong.append(
            f"it took {report['memory_mb']} MB of memory, {memory} MB are allowed: lower serving_memory"
        )
    if wrong:
        raise ExportRejected("the exported model answers wrongly:\n" + "\n".join(wrong))
