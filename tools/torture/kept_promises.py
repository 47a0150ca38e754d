"""What must be true of a root whatever happened: what is in service, what finished, the weights."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tempfile
import zipfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import h5py
import numpy as np

from pipeline.metadata.store import open_store
from pipeline.root import Root
from tools.torture.cases import NotHeld
from tools.torture.place import Done
from unet.registry.records import digest

COMPLETE, LIVE = 3, 2  # states of executions and artifacts in ML Metadata
ALWAYS = ("Resolver", "Pusher")  # have no cache


def require(held: bool, found: str) -> None:
    """Raises `NotHeld` unless the promise is kept."""
    if not held:
        raise NotHeld(found)


def spoke(done: Done, *codes: int) -> None:
    """Requires one of some exit codes within the bound, and no traceback."""
    require(done.code is not None, "it did not end within its bound")
    where = done.text.find("Traceback (most recent call last)")
    require(where < 0, f"a traceback: {done.text[where:][-300:]}")
    require(done.code in codes, f"exit code {done.code}: {done.last}")


def in_service(root: Path, also: Collection[str] = ()) -> str:
    """Requires that what is in service has the bytes of a trained model's artifact.

    Args:
        root: the root folder.
        also: digests of further models that may be in service, such as that from before.

    Returns:
        The digest of the model.
    """
    serving = root / "serving" / "unet"
    try:
        version = json.loads((serving / "latest.json").read_text("utf-8"))["version"]
    except (OSError, ValueError, KeyError) as error:
        raise NotHeld(f"latest.json: {error}") from None
    newest = max(int(path.name) for path in serving.iterdir() if path.name.isdigit())
    require(int(version) == newest, f"latest.json names {version}, the newest version is {newest}")
    found = digest(serving / str(newest))
    made = {digest(path) for path in root.glob("artifacts/Trainer/model/*/Format-Serving")}
    require(found in made | set(also), "what is in service is not the model of any artifact")
    return str(found)


def query(root: Path, statement: str) -> list[tuple[str, ...]]:
    """Asks a copy of ML Metadata, so that a journal which a killed writer left stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        for path in root.glob("metadata.sqlite*"):
            shutil.copy(path, folder)
        if not Path(folder, "metadata.sqlite").is_file():
            return []
        connection = sqlite3.connect(Path(folder, "metadata.sqlite"))
        try:
            return connection.execute(statement).fetchall()
        except sqlite3.OperationalError:  # killed before it had tables
            return []
        finally:
            connection.close()


def finished(root: Path) -> Counter[str]:
    """Returns how often each component completed, but for those that always run."""
    rows = query(
        root,
        "SELECT Type.name FROM Execution JOIN Type ON Type.id = Execution.type_id "
        f"WHERE Execution.last_known_state = {COMPLETE}",
    )
    names = (name.rpartition(".")[2] for (name,) in rows)
    return Counter(name for name in names if name not in ALWAYS)


def live_outputs(root: Path) -> list[Path]:
    """Returns the folders of finished outputs."""
    place = Root.at(root)
    if place.metadata_place.is_file():
        return [
            Path(artifact.uri) for artifact in open_store(place).get_artifacts() if artifact.state == LIVE
        ]
    return [Path(uri) for (uri,) in query(root, f"SELECT uri FROM Artifact WHERE state = {LIVE}")]


def weights(root: Path) -> list[np.ndarray]:
    """Returns the weights of the newest training, in a fixed order."""
    newest = max(root.glob("artifacts/Trainer/model_run/*/network.keras"), key=lambda p: int(p.parent.name))
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item)

    with zipfile.ZipFile(newest) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(visit)
    return [found[name] for name in sorted(found)]


def same_weights(one: Path, other: Path) -> None:
    """Requires that the newest trainings of two roots have equal weights."""
    first, second = weights(one), weights(other)
    require(len(first) == len(second), "the networks differ")
    differ = max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))
    require(differ == 0, f"weights differ by up to {differ:.2g} from those of the uninterrupted run")
