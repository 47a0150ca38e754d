"""Whether a run would come to what the last one came to, told from files alone, without TensorFlow.

A completed run leaves under the root what its answer depends on: a hash of each part of what it was given and
of what it left. Only where every part is the same again does the answer stand. Whatever differs, cannot be
read or is not known is a reason for a run, which takes what it can from the cache.

Files are compared by size, times and inode, not by content. No program can set the time of the last change
(ctime) back; who copies or touches a file pays for one run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.settings import PipelineConfig
from pipeline.engine.settings import Engine
from pipeline.history.record import FINISHED, REPORT, SUMMARY, moment, read_json, read_record, write_json
from pipeline.metadata.place import place_of
from pipeline.process.lock import holder
from pipeline.root import Root
from unet.dataset import spans
from unet.dataset.manifest import read_manifest
from unet.fingerprint import CHECKOUT, PACKAGES

AGAIN = "unchanged.json"  # in the folder of a run: how often its answer was given again
# Beginnings of the names of variables by which libraries, the loader or Python work otherwise.
_VARIABLES = (
    "ABSL_", "AUTOGRAPH_", "BEAM_", "CUDA_", "CUDNN_", "GPU_", "GRPC_", "KERAS_", "KMP_", "LD_", "MKL_",
    "NCCL_", "NUMEXPR_", "NVIDIA_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTHON", "TF2_", "TFX_", "TF_", "XLA_",
)  # fmt: skip
_INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".pth")  # what each library adds to its folder
_SITES = {"site-packages", "dist-packages"}
_TICK = 0.05  # seconds: changes within this time may carry the same time

Parts = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the last run came to.

    Attributes:
        run_id, started, status, reason: those of its record.
        model: folder of the model, of the version in service if there is one.
        report: the page.
        warnings: sentences about the data that did not stop the run.
    """

    run_id: str
    started: str
    status: str
    reason: str
    model: str
    report: Path
    warnings: tuple[str, ...]


def begin(config: PipelineConfig, root: Root, options: Mapping[str, bool]) -> Parts | None:
    """Returns what `given` does, before a run reads anything; None if that cannot be told.

    Args:
        config: the configuration, as it was read.
        root: root folder of the run.
        options: what the command line says beside the settings.
    """
    try:
        return given(config, root, options)
    except Exception:
        return None


def remember(
    config: PipelineConfig, root: Root, options: Mapping[str, bool], run_id: str, began: Parts | None
) -> None:
    """Leaves what the answer of a completed run depends on, unless something changed while it ran.

    Args:
        config: the configuration, as it was read.
        root: root folder, whose lock the caller holds.
        options: what the command line says beside the settings.
        run_id: id of the run.
        began: what `begin` returned before the run read anything.
    """
    try:
        now = given(config, root, options)
        # The libraries may have set variables of this process.
        if not began or any(now[part] != began[part] for part in ("data", "code")):
            return
        if not _answer(root, run_id) or not _whole(root, run_id):
            return
        time.sleep(_TICK)  # what is written from now on bears a later time
        write_json(root.unchanged, {"run": run_id, "parts": {**began, **made(root)}})
    except Exception:  # it costs the next run some seconds
        return


def forget(root: Root) -> None:
    """Deletes what the last run left; the caller holds the lock of the root, and begins another run."""
    root.unchanged.unlink(missing_ok=True)


def answer(config: PipelineConfig, root: Root, options: Mapping[str, bool]) -> Answer | None:
    """Returns the answer of the last run if a run now would come to the same; None if a run has to tell.

    Args:
        config: the configuration, as it was read.
        root: root folder of the run.
        options: what the command line says beside the settings.
    """
    try:
        if holder(root.lock) is not None:
            return None  # it is told that another run is at work
        known = read_json(root.unchanged)
        found = _answer(root, known["run"])
        if found and known["parts"] == {**given(config, root, options), **made(root)}:
            return found
    except Exception:
        return None
    return None


def count(root: Root, run_id: str) -> None:
    """Notes in the folder of a run that its answer was given again; raises OSError."""
    path = root.run(run_id) / AGAIN
    write_json(path, {"times": again(path.parent)[0] + 1, "last": time.strftime("%Y-%m-%dT%H:%M:%S%z")})


def again(folder: Path) -> tuple[int, str]:
    """Returns how often the answer of a run was given again, and when for the last time in ISO 8601.

    Args:
        folder: folder of the run.
    """
    try:
        values = read_json(folder / AGAIN)
        return int(values["times"]), str(values["last"])
    except (OSError, KeyError, TypeError, ValueError):
        return 0, ""


def given(config: PipelineConfig, root: Root, options: Mapping[str, bool]) -> Parts:
    """Hashes what a run is given, by part.

    Args:
        config: the configuration, as it was read.
        root: root folder of the run.
        options: what the command line says beside the settings.
    """
    settings = config.model_dump(mode="json", exclude=set(Engine.model_fields))
    settings["data"] = str(config.data.absolute())
    settings["serving_data"] = str(config.serving_data.absolute()) if config.serving_data else None
    data = config.data.absolute()
    folders = [*spans.find_spans(data, config.span_window).values()] if spans.is_pattern(data) else [data]
    folders += [config.serving_data.absolute()] if config.serving_data else []
    return {
        # In their order: that of the classes is their index.
        "settings": _hash([json.dumps([settings, dict(options), str(root.path)])]),
        "data": _hash(line for folder in folders for line in [*_listing(folder), *_named(folder)]),
        "code": _hash(_code()),
        "libraries": _hash(_libraries()),
        "environment": _hash(f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith(_VARIABLES)),
    }


def made(root: Root) -> Parts:
    """Hashes what runs and people left under a root, by part.

    Args:
        root: root folder of the pipeline.
    """
    return {
        "metadata": _hash(_store(root)),
        "artifacts": _hash(_listing(root.artifacts)),
        "serving": _hash(_listing(root.serving)),
        "splits": _hash([_stamp(str(root.splits))]),
        "lease": _hash([_stamp(str(root.lease))]),
    }


def _store(root: Root) -> Iterator[str]:
    """A line for each file of ML Metadata, or what tells whether the root's part of a database changed."""
    if place := place_of(root):
        from pipeline.metadata import server

        yield json.dumps([place.where.name, place.pipeline, *map(str, server.state(place))])
        return
    # With the journal of a write that was killed.
    for path in sorted(root.path.glob(f"{root.metadata.name}*")):
        yield _stamp(str(path))


def _answer(root: Root, run_id: str) -> Answer | None:
    """The answer of a run, whose files must be there; raises OSError or ValueError for those that are not."""
    folder = root.run(run_id)
    record, summary = read_record(folder), read_json(folder / SUMMARY)
    model = Path(summary["pushed"] or summary["model"])
    if record.status not in FINISHED or summary["status"] != record.status or not moment(record.started):
        return None
    if not (model / "saved_model.pb").is_file() or not (folder / REPORT).is_file():
        return None
    return Answer(
        run_id,
        record.started,
        record.status,
        record.reason,
        str(model),
        folder / REPORT,
        tuple(map(str, summary["warnings"])),
    )


def _whole(root: Root, run_id: str) -> bool:
    """Whether the outputs that a run made or took from the cache have the sizes that were written."""
    from pipeline.history.manifest import MANIFEST, damage
    from pipeline.history.runs import load

    nodes = load(root.path, run_id).nodes
    outputs = [(node, found) for node in nodes for several in node.outputs.values() for found in several]
    return bool(outputs) and not any(
        damage(found.path, found.text(MANIFEST))
        for node, found in outputs
        # The model that a resolver chose may be gone: the gate has said so.
        if found.path.is_dir() or found.path.parent.parent.name == node.name
    )


def _listing(folder: Path) -> Iterator[str]:
    """A line for each file and folder below a folder, also behind links."""
    seen: set[tuple[int, int]] = set()  # links may lead in circles
    yield _stamp(str(folder))
    if not os.path.isdir(folder):  # of a root without a pushed model
        return
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_fail):
        here = os.stat(place)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders.sort()
        for name in sorted([*folders, *files]):
            yield _stamp(os.path.join(place, name))


def _named(data: Path) -> Iterator[str]:
    """A line for each file, and each problem, of a manifest that is the data by itself."""
    if data.is_file():
        samples, problems = read_manifest(data)
        yield from map(str, problems)
        for sample in samples:
            yield from (_stamp(str(sample.image)), _stamp(str(sample.mask)))


def _fail(error: OSError) -> None:
    raise error


def _stamp(path: str) -> str:
    """Path, size, times and inode of a file, as JSON; of a path where nothing is, the path alone."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return json.dumps([path])
    # Without the device: its number may change each time that it is mounted.
    return json.dumps([path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino])


def _code() -> Iterator[str]:
    """A line for each file of the code, with the hash of its bytes."""
    for package in PACKAGES:
        for path in sorted((CHECKOUT / package).rglob("*")):
            if path.is_file() and path.parent.name != "__pycache__":
                yield f"{path.relative_to(CHECKOUT)} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _libraries() -> Iterator[str]:
    """A line for Python, and for each library that it finds: the name of its folder tells the version."""
    yield f"{platform.python_implementation()} {sys.version} {platform.machine()} {sys.prefix}"
    for place in dict.fromkeys(map(os.path.realpath, sys.path)):
        # A library may add its own copies of others to the path, of the versions that it came with.
        if os.path.isdir(place) and not _SITES & {folder.name for folder in Path(place).parents}:
            with os.scandir(place) as entries:
                found = sorted(entry.name for entry in entries if entry.name.endswith(_INSTALLED))
            for name in found:
                record = Path(place, name, "RECORD")  # written anew when the same version is installed again
                stat: Any = record.stat() if record.is_file() else None
                yield f"{place}/{name} {stat and (stat.st_size, stat.st_mtime_ns)}"


def _hash(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
