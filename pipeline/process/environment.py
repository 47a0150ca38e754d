"""Environment variables that TensorFlow and Keras read when they are imported."""

from __future__ import annotations

import os
from pathlib import Path


def prepare() -> None:
    """Sets them for this process and its children; call it before TensorFlow is imported.

    TensorFlow gets few log messages, and no more GPU memory than needed; Keras 3 runs on TensorFlow with its
    defaults, whatever the shell and the user's keras.json set. Where no home folder is known, it is /, as in
    Docker: some libraries fail at their import without one.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = "/"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("GLOG_minloglevel", "3")  # of ML Metadata
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = str(Path(__file__).resolve().parent)  # the folder of keras.json


def prepare_training() -> None:
    """Turns on the kernels of oneDNN, by which a training step is faster on any processor.

    What predicts leaves the choice to TensorFlow, which takes them where they make inference faster, too: on
    processors with instructions for neural networks, such as AVX-512 VNNI.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
