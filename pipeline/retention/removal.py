"""Deletes what a plan says, so that a process may be killed at any instant.

First ML Metadata is told, durably, that artifacts are deleted and that runs are cleaned: no resolver takes
them any more. Then each folder is moved away as a whole, since TFX takes an output from the cache if its
folder exists; a half-deleted one is never in its place. What a killed process left, the next run or `clean`
completes before it looks at anything else.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.history.executions import CLEANED
from pipeline.metadata.store import open_store
from pipeline.process import reserve
from pipeline.retention.plan import Plan, last_use
from pipeline.root import Root
from unet.files import fsync
from unet.registry.versions import remove

_COMPLETE = "complete"  # file beside the checkpoints of a training that is complete


def delete(root: Root, plan: Plan) -> None:
    """Deletes what a plan says; the caller has held the lock of the root since the plan was made.

    Raises:
        OSError: something cannot be deleted; the next call tries again.
    """
    # On a full disk nothing can be told before there is room: first goes what nobody has to be told of.
    reserve.release(root.reserve)
    _empty(root)
    for item in plan.items:
        if root.checkpoints in item.path.parents:
            _move_away(root, item.path)
    _empty(root)
    store = open_store(root)
    for artifact in plan.artifacts:
        artifact.state = mlmd.Artifact.DELETED
    if plan.artifacts:
        store.put_artifacts(plan.artifacts)
    if plan.runs:
        contexts = [c for c in store.get_contexts_by_type("pipeline_run") if c.name in plan.runs]
        for context in contexts:
            context.custom_properties[CLEANED].int_value = 1
        store.put_contexts(contexts)
    if plan.versions:
        remove(root.serving, plan.versions)
    versions = {root.serving / str(version) for version in plan.versions}
    for item in plan.items:
        if item.path not in versions and item.path != root.deleted and os.path.lexists(item.path):
            _move_away(root, item.path)
    _empty(root)


def finish(root: Root) -> None:
    """Completes a deletion that was interrupted; a run calls it before TFX looks into the cache.

    Args:
        root: root folder, whose lock the caller holds.
    """
    for artifact in open_store(root).get_artifacts() if root.has_metadata else []:
        if artifact.state == mlmd.Artifact.DELETED:
            folder = Path(os.path.realpath(artifact.uri))
            if root.artifacts in folder.parents and folder.is_dir():
                _move_away(root, folder)
    _empty(root)


def drop_checkpoints(root: Root, since: float, keep: bool = False) -> None:
    """Deletes the checkpoints of a training that is complete: those that the run at work used.

    Those of a search go in any case; of complete trainings, one at most keeps its own.

    Args:
        root: root folder, whose lock the caller holds.
        since: start of the run in seconds since the epoch.
        keep: whether to keep those of the training, from which one of more steps goes on.
    """
    if root.checkpoints.is_dir() and not root.checkpoints.is_symlink():
        for folder in root.checkpoints.iterdir():
            if not folder.is_dir() or folder.is_symlink():
                continue
            if last_use(folder) < since:
                if is_complete(folder):
                    _move_away(root, folder)
            elif keep and not folder.name.startswith("search-"):
                (folder / _COMPLETE).touch()
            else:
                _move_away(root, folder)
        _empty(root)
        if not any(root.checkpoints.iterdir()):
            root.checkpoints.rmdir()


def is_complete(folder: Path) -> bool:
    """Whether a folder of checkpoints is that of a complete training that none of more steps took up."""
    mark = folder / _COMPLETE
    return mark.exists() and mark.stat().st_mtime >= max(p.stat().st_mtime for p in folder.iterdir())


def _move_away(root: Root, path: Path) -> None:
    """Takes a file or folder out of its place in one step."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    root.deleted.mkdir(exist_ok=True)
    number = next(n for n in itertools.count(len(os.listdir(root.deleted))) if not _at(root, n).exists())
    try:
        path.rename(_at(root, number))
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A file system of its own: the name that it gets there is that of no artifact.
        aside = path.with_name(f"{root.deleted.name}-{path.name}")
        path.rename(aside)
        shutil.rmtree(aside)
    else:
        fsync(path.parent)


def _at(root: Root, number: int) -> Path:
    return root.deleted / str(number)


def _empty(root: Root) -> None:
    if root.deleted.is_dir() and not root.deleted.is_symlink():
        shutil.rmtree(root.deleted)
