"""Where things are under `--root`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

from unet.registry.versions import MODEL_NAME


@dataclasses.dataclass(frozen=True)
class Root:
    """The folder that holds everything a pipeline makes; an absolute path."""

    path: Path

    @property
    def metadata(self) -> Path:
        """ML Metadata: every execution and artifact, SQLite."""
        return self.path / "metadata.sqlite"

    @property
    def artifacts(self) -> Path:
        """What the components wrote."""
        return self.path / "artifacts"

    @property
    def serving(self) -> Path:
        """Pushed models, a folder a version."""
        return self.path / "serving" / MODEL_NAME

    @property
    def splits(self) -> Path:
        """Which group of images is in which split."""
        return self.path / "splits.json"

    @property
    def checkpoints(self) -> Path:
        """What a training that was killed goes on from."""
        return self.path / "checkpoints"

    @property
    def source(self) -> Path:
        """Where the data of the run in progress are, and how they are read."""
        return self.path / "source.json"

    @property
    def lock(self) -> Path:
        """Held by the run in progress."""
        return self.path / ".lock"

    @property
    def tensorboard(self) -> Path:
        """The curves of all trainings, by the id of the run: what TensorBoard reads."""
        return self.path / "tensorboard"

    def run(self, run_id: str) -> Path:
        """Log and summary of one run."""
        return self.path / "runs" / run_id


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
