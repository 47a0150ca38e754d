"""What libraries find when they are imported: environment variables, or no Keras at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def prepare() -> None:
    """Sets the variables for this process and its children; call it before TensorFlow is imported.

    TensorFlow gets few log messages, and no more GPU memory than needed; Keras 3 runs on TensorFlow with its
    defaults, whatever the shell and the user's keras.json set. Where no home folder is known, it is /, as in
    Docker: some libraries fail at their import without one. Pydantic looks for no plugins, which takes as
    long as to read the settings.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = "/"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
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


def leave_out_keras() -> None:
    """Lets TensorFlow do without Keras in this process: a third of the time of its import.

    An exported model needs none. TensorFlow and this project's code import it only where networks are made.
    """
    sys.modules.setdefault("keras", None)  # type: ignore[arg-type]  # which makes its import fail
