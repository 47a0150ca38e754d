"""`run_pipeline.py rollback`: replaces a bad deployed model by an older version."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.history.executions import StoreError
from pipeline.process.exit_codes import BAD_INPUT, INTERRUPTED, OK
from pipeline.process.lock import Locked, exclusive
from pipeline.root import Root
from unet.registry.versions import VersionError, roll_back


def rollback(root_path: Path, version: int | None) -> int:
    """Copies an older version under a new, highest number, so that polling servers load it.

    Args:
        root_path: root folder of the pipeline.
        version: number of the version to return to; None for the one before the newest.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    root = Root.at(root_path)
    if not root.path.is_dir():
        print(f"{root.path}: there is no such folder: give --root", file=sys.stderr)
        return BAD_INPUT
    try:
        with exclusive(root.lock):
            target = roll_back(root.serving, version)
            print(f"In service: {target}")
            print("The models after the one it is a copy of are withdrawn: no run pushes them again.")
            from pipeline.history.withdrawal import tell_withdrawn

            tell_withdrawn(root)
    except Locked as error:
        print(f"{error}: wait for it", file=sys.stderr)
        return INTERRUPTED
    except VersionError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except StoreError as error:
        print(f"{error} (the next run that can read it takes note of the rollback)", file=sys.stderr)
    return OK
