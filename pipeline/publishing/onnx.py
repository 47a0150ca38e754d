"""`run_pipeline.py export onnx`: a model for other runtimes. Imports TensorFlow after all other checks."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pipeline.prediction.models import find_model
from pipeline.process.exit_codes import BAD_INPUT, OK
from pipeline.root import Root
from unet.files import atomic_write
from unet.registry.records import ModelError, training_record
from unet.tiling import Geometry


def export_onnx(model: str | None, out: Path, root: Path) -> int:
    """Writes the network of a model as an ONNX file; a file that is there is never replaced.

    Args:
        model: folder of a SavedModel or of versions, number of a version, id of a run, or "latest"; None for
            the newest version.
        out: the file to write.
        root: root folder of the pipeline.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.

    Raises:
        OSError: the file cannot be written.
    """
    folder, problems = find_model(model, Root.at(root))
    problems += _mistakes(out)
    if find_spec("tf2onnx") is None:
        problems.append("ONNX needs the package tf2onnx: make setup installs it, or pip install tf2onnx")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return BAD_INPUT
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # no messages of TensorFlow in the user's terminal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of libraries at their import
        from unet.export.onnx import convert
    try:
        content = convert(folder).SerializeToString()
    except ModelError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    with atomic_write(out, "wb") as file:
        file.write(content)
    geometry = Geometry.of_record(training_record(folder))
    print(
        f"{out}: the network of {folder}, {len(content) / 1e6:.1f} MB; it takes sides of "
        f"{geometry.smallest} + {geometry.step} k pixels, of which {2 * geometry.halo} are lost; "
        "its metadata say the rest"
    )
    return OK


def _mistakes(out: Path) -> Iterator[str]:
    if os.path.lexists(out):
        yield f"{out}: it exists already, and is not replaced: give another --out, or remove it"
    elif not out.parent.is_dir():
        yield f"{out}: there is no folder {out.parent}: make it, or give another --out"
    elif not os.access(out.parent, os.W_OK | os.X_OK):
        yield f"{out}: nothing may be written to {out.parent}: give another --out"
