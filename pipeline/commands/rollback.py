"""`run_pipeline.py rollback`: replaces a bad deployed model by an older version."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.history.runs import newest_config
from pipeline.process.exit_codes import BAD_INPUT
from pipeline.process.lock import Locked, exclusive
from pipeline.publishing.second_folder import copy_now
from pipeline.root import Root
from unet.registry.versions import VersionError, newest_version, roll_back


def rollback(root_path: Path, version: int | None) -> int:
    """Copies an older version under a new, highest number, so that polling servers load it.

    It does not wait for a run that is at work.

    Args:
        root_path: root folder of the pipeline.
        version: number of the version to return to; None for the one before the newest.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    root = Root.at(root_path)
    if root.why_absent:
        print(root.why_absent, file=sys.stderr)
        return BAD_INPUT
    try:
        with exclusive(root.lock):
            return _roll_back(root, version)
    except Locked as error:
        # A bad model must not stay in service for the hours of a training. The folder of versions has a lock
        # of its own; ML Metadata belongs to whoever is at work.
        return _roll_back(root, version, at_work=str(error))


def _withdrawn_before(root: Root) -> set[str]:
    """The hashes of withdrawn models by ML Metadata, which is only read: a run at work may be writing it."""
    if not root.has_metadata:
        return set()
    from pipeline.history.executions import Executions
    from pipeline.metadata.place import StoreError

    try:
        return Executions(root).withdrawn()
    except StoreError:  # told after the rollback, which does not wait for its repair
        return set()


def _roll_back(root: Root, version: int | None, at_work: str = "") -> int:
    push_to = newest_config(root.path).get("push_to", "")
    if push_to and version is not None and version == newest_version(root.serving):
        print(f"Unchanged: {root.serving / str(version)} is in service already")
        return copy_now(push_to, root)  # after a copy that failed
    try:
        target = roll_back(root.serving, version, lambda: _withdrawn_before(root))
    except VersionError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    print(f"In service: {target}")
    print("The models after the one it is a copy of are withdrawn: no run pushes them again.")
    if at_work:
        print(f"{at_work}: it goes on, and puts a model of its own in service if that passes the gate.")
    else:
        from pipeline.history.withdrawal import try_to_tell

        try_to_tell(root)
    return copy_now(push_to, root)
