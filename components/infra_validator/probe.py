"""A client that imports TensorFlow but not this project; the InfraValidator runs it in its own process.

Arguments: folder of the SavedModel, JSON list of class values, number of channels that lie below one another
in the images, image files. A `.npz` beside an image holds
its expected prediction, if known: `indices` and `clear`. Prints one JSON object: `wrong`, a sentence for each
failure, and `memory_mb`, the peak of the memory.
"""

import gc
import json
import os
import sys
import threading
from typing import Any

WARMUP = "assets.extra/tf_serving_warmup_requests"
DEPTH_SCALE = 257  # equals `unet.images.depth`, which this process must not import


def main(model: str, class_values: str, channels: str, *paths: str) -> None:
    """Loads the model, sends all requests and prints the failures."""
    end_with_parent()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)  # of the training; what serves leaves it to TensorFlow
    # Servers have no Keras, so a model may need none; TensorFlow does without, and starts sooner.
    sys.modules["keras"] = None  # type: ignore[assignment]
    gc.disable()  # what is loaded stays: to search it for garbage, again and again, takes a second
    import tensorflow as tf

    signatures = tf.saved_model.load(model).signatures
    gc.freeze()
    gc.enable()
    replay(signatures, os.path.join(model, WARMUP))
    wrong: list[str] = []
    for path in paths:
        wrong += check_image(signatures["serving_default"], path, json.loads(class_values), int(channels))
    wrong += check_refusals(signatures["serving_default"])
    ours = [
        name
        for name in sys.modules
        if name.split(".")[0] in ("components", "pipeline", "unet", "keras_tuner")
    ]
    assert not ours, f"the model needs {ours}"
    print(json.dumps({"wrong": wrong, "memory_mb": peak_memory()}))


def end_with_parent() -> None:
    """Ends this process at the end of its standard input: its parent has ended, and nobody waits for it."""

    def wait() -> None:
        while os.read(0, 64):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def peak_memory() -> int:
    """Returns the peak memory of this process in megabytes; getrusage starts at the parent's peak."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) // 1024


def replay(signatures: Any, path: str) -> None:
    """Replays the warm-up requests like a server; an exception means that the model cannot be served."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        signatures[request.model_spec.signature_name](**inputs)


def check_image(serve: Any, path: str, class_values: list[Any], channels: int = 1) -> list[str]:
    """Lists what is wrong with the predicted mask of an image."""
    import numpy as np
    import tensorflow as tf

    with open(path, "rb") as file:
        data = file.read()
    values = np.array(class_values).reshape(len(class_values), -1)  # [classes, 1 or 3]
    mask = tf.io.decode_png(serve(image_bytes=tf.constant([data]))["mask_bytes"][0], dtype=tf.uint16).numpy()
    mask = mask // DEPTH_SCALE if values.max() < 256 else mask
    rows, width = tf.io.decode_image(data, expand_animations=False).shape[:2]
    size = (rows // channels, width)
    if mask.shape != (*size, values.shape[1]):
        return [f"{path}: the mask is {mask.shape}, the image is {size}"]
    same = (mask[:, :, None] == values).all(-1)  # [H, W, classes]
    if not same.any(-1).all():
        return [f"{path}: the mask has other values than the classes'"]
    expected = os.path.splitext(path)[0] + ".npz"
    if os.path.exists(expected):
        with np.load(expected) as stored:
            off = (same.argmax(-1) != stored["indices"]) & stored["clear"]
        if off.any():
            return [f"{path}: {off.sum()} of {off.size} pixels are not those that the network gives offline"]
    return []


def check_refusals(serve: Any) -> list[str]:
    """Lists a sentence for each input that is no image but got a mask."""
    import tensorflow as tf

    noise = tf.random.stateless_uniform([64, 64, 1], [0, 0], 0, 255, tf.int32)
    image = tf.io.encode_png(tf.cast(noise, tf.uint8)).numpy()
    bad = {
        "an empty file": b"",
        "a text": b"no image, whatever its name says",
        "a TIFF": b"II*\0" + bytes(99),
        "half an image": image[: len(image) // 2],
    }
    wrong = []
    for what, data in bad.items():
        try:
            serve(image_bytes=tf.constant([data]))
        except tf.errors.InvalidArgumentError:
            continue
        wrong.append(f"{what} got a mask instead of an error")
    return wrong


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        gc.freeze()  # another second, at the end of the process
