"""The paths of all files under `--root`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

from unet.registry.versions import MODEL_NAME

_GLOB = "*?[]\\"  # TFX hands paths under the root on as patterns
_SHOWN = 3  # names of foreign files in a sentence
# What lies under a root, but for hidden files; docs/reference/files.md says what each of them is.
_OWN = {
    "airflow", "artifacts", "checkpoints", "folds", "metadata.json", "metadata.sqlite",
    "metadata.sqlite-journal", "runs", "serving", "set-aside", "source.json", "splits.json", "tensorboard",
}  # fmt: skip
# What no other program makes: where one of these is, a person may have put other files beside it.
_MARKS = ("metadata.sqlite", "artifacts/ImageMaskExampleGen", f"serving/{MODEL_NAME}")


@dataclasses.dataclass(frozen=True)
class Root:
    """The root folder with all outputs of the pipeline; an absolute path."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> Root:
        """Returns the root that a path leads to, by whatever links and `..`: always under the same name.

        ML Metadata and the keys of the cache hold this name.
        """
        return cls(Path(os.path.realpath(path)))

    @property
    def why_absent(self) -> str:
        """A sentence if there is no such folder, else an empty text."""
        return "" if self.path.is_dir() else f"{self.path}: there is no such folder: give --root"

    @property
    def metadata(self) -> Path:
        """The SQLite file of ML Metadata, with every execution and artifact."""
        return self.path / "metadata.sqlite"

    @property
    def metadata_place(self) -> Path:
        """The file that tells which database server keeps ML Metadata instead; see `pipeline.metadata`."""
        return self.path / "metadata.json"

    @property
    def has_metadata(self) -> bool:
        """Whether there is ML Metadata: a file that is not empty, or a part of a database."""
        is_shared = self.metadata_place.is_file()
        return is_shared or (self.metadata.is_file() and self.metadata.stat().st_size > 0)

    @property
    def artifacts(self) -> Path:
        """The folder of the components' outputs."""
        return self.path / "artifacts"

    @property
    def set_aside(self) -> Path:
        """The folder of damaged outputs, which are not used again, by component, key and id."""
        return self.path / "set-aside"

    @property
    def deleted(self) -> Path:
        """The folder of what is being deleted; without one, unless a process was killed in between."""
        return self.path / ".deleted"

    @property
    def serving(self) -> Path:
        """The folder of the pushed models, with one folder for each version."""
        return self.path / "serving" / MODEL_NAME

    @property
    def splits(self) -> Path:
        """The file that assigns groups of images to splits."""
        return self.path / "splits.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints from which a killed training continues."""
        return self.path / "checkpoints"

    @property
    def source(self) -> Path:
        """The file with the data folder and the reading settings of the current run."""
        return self.path / "source.json"

    @property
    def lock(self) -> Path:
        """The lock file, held by the current run."""
        return self.path / ".lock"

    @property
    def lease(self) -> Path:
        """The file by which a run that is made in parts keeps the root between them."""
        return self.path / ".lease"

    @property
    def unchanged(self) -> Path:
        """The file with what the answer of the last run depends on, see `pipeline.reuse.unchanged`."""
        return self.path / ".unchanged"

    @property
    def reserve(self) -> Path:
        """The file that keeps room on the disk for the end of the current run."""
        return self.path / ".reserve"

    @property
    def tensorboard(self) -> Path:
        """The folder of all training curves for TensorBoard, by the id of the run."""
        return self.path / "tensorboard"

    def run(self, run_id: str) -> Path:
        """Returns the folder of one run, with its log and summary."""
        return self.path / "runs" / run_id


def refusal(path: str, here: bool = True) -> str:
    """Explains why a path cannot be a root; empty if it can.

    Args:
        path: the path as it was typed.
        here: whether it is a path of this machine, where one can look what it holds.
    """
    if not path:
        return "it is empty: name a folder, such as --root runs"
    full = str(Root.at(Path(path)).path)
    if here and os.path.lexists(full) and not os.path.isdir(full):
        return f"{full}: no folder: give another --root"
    if found := sorted(set(full) & set(_GLOB)):
        return (
            f"{full}: {' '.join(found)} in a path means other files to TensorFlow and Beam: "
            "rename the folder, or give another --root"
        )
    return _foreign(Path(full)) if here else ""


def _foreign(folder: Path) -> str:
    """Explains why a folder of other files cannot become a root; empty if it can, or is one already."""
    advice = "give a --root that is empty, does not exist, or holds earlier runs"
    if folder == Path("/"):
        return f"{folder}: all of the machine: {advice}"
    folds = [folder / "folds" / name for name in _names(folder / "folds")]  # each of them is a root
    if any(os.path.exists(place / mark) for place in (folder, *folds) for mark in _MARKS):
        return ""
    if str(folder) == os.path.realpath(os.path.expanduser("~")):
        return f"{folder}: your home folder: {advice}"
    # Hidden files and the folder that ext4 makes are in nobody's way.
    known = _OWN | {"lost+found"}
    foreign = [name for name in _names(folder) if not name.startswith(".") and name not in known]
    if not foreign:
        return ""
    more = ", ..." if len(foreign) > _SHOWN else ""
    return f"{folder}: it holds files that are not of a root ({', '.join(foreign[:_SHOWN])}{more}): {advice}"


def _names(folder: Path) -> list[str]:
    """What lies in a folder; nothing where there is none. One that cannot be read is told by its users."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def link(root: Root, run_id: str, model_run: Path) -> None:
    """Links the TensorBoard logs of a run; does nothing if links are not possible.

    Args:
        root: root folder of the run.
        run_id: id of the run that trained.
        model_run: folder of the event files.
    """
    with contextlib.suppress(OSError):
        root.tensorboard.mkdir(exist_ok=True)
        # A relative link stays valid if the root is moved.
        (root.tensorboard / run_id).symlink_to(os.path.relpath(model_run, root.tensorboard))
