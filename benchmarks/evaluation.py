"""Measures the cost of the gate: the Evaluator compared with plain inference on the same images.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --images 50 --size 1024 --compared

The Evaluator runs over N and over 2N test images: the difference is the time of N images, and the rest is the
start (loading, Beam, TFMA, the nine pictures). Plain inference is the exported model's signature `tensors` on
the same pixels, one image after the other. The results are medians of `--repeats` alternating rounds, of
wall-clock seconds and of processor seconds, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(CHECKOUT))


def write_model(folder: Path, filters: int) -> None:
    """Exports an untrained network with its signatures: the time does not depend on the weights."""
    import json

    import keras

    from unet.export import signatures
    from unet.export.graph import Segmenter
    from unet.network import create_unet
    from unet.registry.records import TRAINING_RECORD
    from unet.tiling import Geometry, tile_area

    keras.utils.set_random_seed(0)
    network = create_unet((None, None, 1), base_filters=filters, decoder="paper", activation="softmax")
    area = tile_area(1.5e9, filters, Geometry())
    segmenter = Segmenter(network, Geometry(), 1, None, None, (0, 255), max_area=area)
    target = folder / "Format-Serving"
    signatures.export(segmenter, target)
    (target / TRAINING_RECORD).parent.mkdir(exist_ok=True)
    (target / TRAINING_RECORD).write_text(json.dumps({"classes": ["background", "cell"]}))


def write_examples(folder: Path, count: int, size: int) -> Any:
    """Writes a test split of smooth blobs on half of the pixels; returns the images, [N, size, size, 1]."""
    import numpy as np
    import tensorflow as tf
    from scipy import ndimage

    from unet.images.reader import encode_png

    (folder / "Split-test").mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=0)
    images = []
    with tf.io.TFRecordWriter(str(folder / "Split-test" / "data.gz"), options) as writer:
        for i in range(count):
            rng = np.random.default_rng(i)
            mask = (ndimage.gaussian_filter(rng.standard_normal((size, size)), 6) > 0).astype(np.uint8)
            pixels = (mask * 80 + rng.integers(0, 100, mask.shape)).astype(np.uint8)
            images.append(pixels[..., None].astype(np.float32))
            values = {"image": encode_png(pixels), "mask": encode_png(mask), "name": f"{i:05d}".encode()}
            example = tf.train.Example()
            for key, value in values.items():
                example.features.feature[key].bytes_list.value.append(value)
            for key, number in {"height": size, "width": size, "bit_depth": 8}.items():
                example.features.feature[key].int64_list.value.append(number)
            writer.write(example.SerializeToString())
    return np.stack(images)


def evaluate(model: Path, baseline: Path | None, examples: Path, count: int, out: Path) -> list[float]:
    """Runs the Evaluator; returns its wall-clock and processor seconds."""
    import json

    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.evaluator.component import Executor

    def artifact(kind: Any, number: int, path: Path) -> Any:
        made = kind()
        made.id, made.uri = number, str(path)
        path.mkdir(parents=True, exist_ok=True)
        return made

    split = artifact(standard_artifacts.Examples, 3, examples)
    split.split_names = '["test"]'
    split.set_int_custom_property("test_count", count)
    inputs = {"examples": [split], "model": [artifact(standard_artifacts.Model, 1, model)]}
    if baseline:
        inputs["baseline_model"] = [artifact(standard_artifacts.Model, 2, baseline)]
    outputs = {
        "evaluation": [artifact(standard_artifacts.ModelEvaluation, 4, out / "evaluation")],
        "blessing": [artifact(standard_artifacts.ModelBlessing, 5, out / "blessing")],
    }
    settings = {
        "classes": ["background", "cell"], "thresholds": {"foreground_iou": 0.5}, "max_drop": 0.01,
        "segment_scores": False, "boundary_tolerance": 2, "slices": [], "seed": 0,
    }  # fmt: skip
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=[
            "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_num_workers=1"
        ],
        tmp_dir=str(out), unique_id="1",
    )  # fmt: skip
    with _timed() as took:
        Executor(context).Do(inputs, outputs, {"settings": json.dumps(settings), "rebaseline": 0})
    return took


@contextlib.contextmanager
def _timed() -> Iterator[list[float]]:
    """Yields a list that holds the wall-clock and processor seconds of the block after its end."""
    took: list[float] = []
    clock, processor = time.perf_counter(), time.process_time()
    yield took
    took += [time.perf_counter() - clock, time.process_time() - processor]


def main() -> None:
    """Prints the start-up time, the time per image of both ways, and their ratio."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--images", type=int, default=24, help="N")
    arguments.add_argument("--size", type=int, default=512, help="side of the images, in pixels")
    arguments.add_argument("--filters", type=int, default=8, help="of the network's first level")
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--compared", action="store_true", help="beside a baseline: two models are run")
    options = arguments.parse_args()
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = [folder / kind for kind in ("model", "baseline")[: 1 + options.compared]]
        for model in models:
            write_model(model, options.filters)
        counts = (options.images, 2 * options.images)
        for count in counts:
            pixels = write_examples(folder / f"{count}", count, options.size)
        baseline = models[1] if options.compared else None
        answers = [
            tf.saved_model.load(str(model / "Format-Serving")).signatures["tensors"] for model in models
        ]
        for answer in answers:
            answer(images=tf.constant(pixels[:1]))
        took: dict[str, list[list[float]]] = {"half": [], "whole": [], "plain": []}
        evaluate(models[0], baseline, folder / f"{counts[0]}", counts[0], folder / "warm-up")
        for number in range(options.repeats):
            for key, count in zip(("half", "whole"), counts, strict=True):
                out = folder / f"out-{key}-{number}"
                took[key].append(evaluate(models[0], baseline, folder / f"{count}", count, out))
            with _timed() as plain:
                for answer in answers:
                    for image in pixels[: options.images]:
                        answer(images=tf.constant(image[None]))
            took["plain"].append(plain)
    for i, what in enumerate(("clock", "processor")):
        rows = list(zip(took["half"], took["whole"], took["plain"], strict=True))
        each = [(whole[i] - half[i]) / options.images for half, whole, _ in rows]
        inference = statistics.median(plain[i] / options.images for _, _, plain in rows)
        start = statistics.median(2 * half[i] - whole[i] for half, whole, _ in rows)
        cost = statistics.median(each)
        print(
            f"{what:10}: start {start:5.1f} s, an image {1000 * cost:6.1f} ms, its inference "
            f"{1000 * inference:6.1f} ms: {cost / inference:4.2f} times, or {cost / inference - 1:4.2f} added"
        )


if __name__ == "__main__":
    main()
