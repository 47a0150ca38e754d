"""The cause of a failure, as one sentence."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from pipeline.process import signals
from unet.errors import BadInput, ExportRejected, ImagesLost, TrainingFailed

_BY_BEAM = re.compile(r" ?\[while running .*?\]")


_OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")


def explain(error: BaseException, component: str, root: Path) -> tuple[str, str]:
    """Status and reason of a run that an exception ended.

    Args:
        error: the exception.
        component: which one was at work, or empty.
        root: folder of everything the pipeline makes.
    """
    # Beam makes another exception of the KeyboardInterrupt that a signal raised while it worked.
    if isinstance(error, KeyboardInterrupt) or signals.happened():
        return "interrupted", f"stopped by a signal{f' in {component}' if component else ''}"
    name, message = _cause(error)
    if name == BadInput.__name__:
        return "bad_input", message
    if isinstance(error, TrainingFailed | ExportRejected | ImagesLost):
        return "failed", message
    where = f"{component}: " if component else ""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or os.strerror(errno.ENOSPC) in message:  # TensorFlow and Beam make other exceptions of it
        return "failed", f"{where}the disk is full: make room in {root}, then run the same command again"
    if isinstance(error, OSError) and error.filename:
        return "failed", f"{where}{error.filename}: {error.strerror}"
    if name in _OUT_OF_MEMORY:
        return "failed", f"{where}out of memory: lower patch_size, batch_size or base_filters with --set"
    first = next(iter(message.splitlines()), "")
    return "failed", f"{where}{name}: {first}".removesuffix(": ")


def _cause(error: BaseException) -> tuple[str, str]:
    """Class and message of the exception; of the one within, where Beam made a text of it."""
    text = _BY_BEAM.sub("", str(error)).strip()
    found = re.findall(r"^((?:\w+\.)*\w*(?:Error|BadInput|Exception))\b:?(.*)$", text, re.MULTILINE)
    if found and (type(error) is RuntimeError or "Traceback (most recent call last)" in text):
        name, message = found[-1]
        return name.rpartition(".")[2], message.strip()
    return type(error).__name__, text
