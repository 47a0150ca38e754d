"""Exports the mean of several models as one model. Imports TensorFlow only after all other checks."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from pipeline.prediction.models import find_models
from pipeline.process import memory
from pipeline.process.exit_codes import BAD_INPUT, OK
from pipeline.root import Root
from unet.registry.records import ModelError, common_record, mean_record, training_record
from unet.registry.versions import is_whole, newest_version, push


def average(models: Sequence[str | Path], out: Path, root: Path, test_time_augmentation: bool) -> int:
    """Writes a model version that predicts the mean of the models' probabilities.

    Args:
        models: folders of SavedModels or of versions, numbers of versions under `root`, or ids of runs.
        out: folder of versions from which a server loads, created if missing; it must not be that of `root`,
            into which runs push. Nothing is written if its newest version is this mean already.
        root: root folder of the pipeline.
        test_time_augmentation: whether to average over the eight flips and quarter turns of the image, too.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    folders, problems = find_models(models, Root.at(root))
    if len(set(folders)) < len(folders):
        problems.append("a model is given twice")
    if len(folders) == 1 and not test_time_augmentation:
        problems.append("a single model is its own mean: give another --model, or --test-time-augmentation")
    if os.path.realpath(out) == os.path.realpath(Root.at(root).serving):
        problems.append(f"{out}: runs push here what passes the gate: give another folder")
    elif os.path.lexists(out) and not out.is_dir():
        problems.append(f"{out}: no folder: give a folder for the versions")
    elif (out / "saved_model.pb").exists():
        problems.append(f"{out}: a model itself: give a folder for the versions")
    if not problems:
        try:
            common_record(folders)
        except ModelError as error:
            problems.append(str(error))
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return BAD_INPUT

    turned = " over the eight flips and turns" if test_time_augmentation else ""
    what = f"the mean of {len(folders)} models{turned}" if len(folders) > 1 else f"the mean{turned}"
    newest = newest_version(out)
    if newest is not None and is_whole(out) and _is_mean(out / str(newest), folders, test_time_augmentation):
        print(f"{out / str(newest)}: {what}, as it was")
        return OK

    out.mkdir(parents=True, exist_ok=True)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # no messages of TensorFlow in the user's terminal
    with warnings.catch_warnings(), memory.uncollected():
        warnings.simplefilter("ignore")  # warnings of libraries at their import
        from unet.export import average as mean

    with tempfile.TemporaryDirectory() as scratch:
        try:
            mean.average(folders, Path(scratch, "model"), test_time_augmentation)
            version, _ = push(Path(scratch, "model"), out)
        except ModelError as error:
            print(error, file=sys.stderr)
            return BAD_INPUT
    print(f"{version}: {what}")
    return OK


def _is_mean(version: Path, folders: Sequence[Path], test_time_augmentation: bool) -> bool:
    """Whether a model is this mean, by its record: TensorFlow never writes the same files twice."""
    record = training_record(version)
    return all(
        record.get(key) == value for key, value in mean_record(folders, test_time_augmentation).items()
    )
