"""`tensorboard/` under the root: a link for each training, so that TensorBoard names it by its run."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pipeline.root import Root


def link(root: Root, run_id: str, model_run: Path) -> None:
    """Links what a run's Trainer wrote for TensorBoard; where links are not possible, does nothing.

    Args:
        root: where the run is.
        run_id: of the run that trained.
        model_run: folder of the event files.
    """
    with contextlib.suppress(OSError):
        root.tensorboard.mkdir(exist_ok=True)
        # Relative: a root may be moved.
        (root.tensorboard / run_id).symlink_to(os.path.relpath(model_run, root.tensorboard))
