"""Beam in this process, in several, and on a job service with a pool of workers: all make the same."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from data.synthetic import write_cells
from pipeline.config import profile
from pipeline.root import Root
from pipeline.stages import STAGES
from tests.command_line import call

pytestmark = pytest.mark.engines

CHECKOUT = Path(__file__).parent.parent
TINY = {"base_filters": 4, "depth": 2, "patch_size": 76, "tune": "never", "channels": 1}
SEVERAL = {"options": {"direct_running_mode": "multi_processing", "direct_num_workers": 2}}
IMAGES = 110  # the training split needs two files


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("cells")
    write_cells(folder, IMAGES, (32, 40))
    return folder


def make(data: Path, root: Path, beam: dict[str, Any], run_id: str = "one") -> dict[str, str]:
    """Reads the data and cuts the tiles; returns the state of each component."""
    from pipeline import graph
    from pipeline.engine import runner

    config = profile.load("default", {**TINY, "data": data, "beam": beam})
    place = Root.at(root)
    place.path.mkdir(exist_ok=True)
    states: dict[str, str] = {}
    with mock.patch.object(sys, "argv", ["run_pipeline.py"]):  # TFX reads it for flags: of pytest, -v is one
        runner.run(
            graph.create_pipeline(config, place),
            run_id,
            on_end=lambda node: states.update({node.name: node.state}),
            only=[*STAGES["ingest"], *STAGES["transform"]],
            beam=config.beam,
        )
    return states


def examples(root: Path) -> dict[str, bytes]:
    """The files of ExampleGen, by their place."""
    files = sorted((root / "artifacts" / "ImageMaskExampleGen").rglob("Split-*/*"))
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}


def statistics(root: Path) -> dict[str, float]:
    """Counts and moments of each feature and split."""
    import tensorflow_data_validation as tfdv

    found: dict[str, float] = {}
    for path in (root / "artifacts" / "StatisticsGen").rglob("FeatureStats.pb"):
        [dataset] = tfdv.load_stats_binary(str(path)).datasets
        found[f"{path.parent.name}.images"] = dataset.num_examples
        for feature in dataset.features:
            for key in ("mean", "std_dev", "min", "median", "max"):
                name = f"{path.parent.name}.{feature.path.step[0]}.{key}"
                found[name] = getattr(feature.num_stats, key)
    return found


def tiles(root: Path) -> dict[str, list[bytes]]:
    """The tiles of each split, whatever their order and that of their features."""
    import tensorflow as tf

    found = {}
    for split in ("train", "eval"):
        files = map(str, (root / "artifacts" / "Transform").rglob(f"Split-{split}/*.gz"))
        records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").as_numpy_iterator()
        parsed = map(tf.train.Example.FromString, records)
        found[split] = sorted(example.SerializeToString(deterministic=True) for example in parsed)
    return found


@pytest.fixture(scope="module")
def in_memory(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("memory") / "root"
    make(data, root, {})
    return root


def require_same(root: Path, expected: Path) -> None:
    """Asserts that two roots hold the same."""
    assert examples(root) == examples(expected)
    assert statistics(expected)["Split-train.images"] == 66
    # Sums of floating-point numbers depend on their order.
    assert statistics(root) == pytest.approx(statistics(expected), rel=1e-12)
    assert "Split-train/data_tfrecord-00001-of-00002.gz" in examples(root)
    found = tiles(root)
    assert found == tiles(expected)
    assert len(found["train"]) == 66
    assert len(found["eval"]) == 22


def test_several_processes_make_the_same_and_the_cache_knows_no_engine(
    data: Path, in_memory: Path, tmp_path: Path
):
    states = make(data, tmp_path / "root", SEVERAL)
    assert states["Transform"] == "done"
    require_same(tmp_path / "root", in_memory)
    again = make(data, tmp_path / "root", {}, "two")
    assert again["ImageMaskExampleGen"] == again["StatisticsGen"] == again["Transform"] == "cached"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def serving(module: str, option: str) -> Iterator[str]:
    """A service of Beam in a process of its own, with its address."""
    port = free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-m", module, f"{option}={port}"],
        cwd=CHECKOUT,
        env={**os.environ, "PATH": path},  # the pool starts its workers as `python`
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def test_a_job_service_with_a_pool_of_workers_makes_the_same(data: Path, in_memory: Path, tmp_path: Path):
    with (
        serving("apache_beam.runners.portability.local_job_service_main", "--port") as service,
        serving("apache_beam.runners.worker.worker_pool_main", "--service_port") as pool,
    ):
        options = {"job_endpoint": service, "environment_type": "EXTERNAL", "environment_config": pool}
        strange = {"runner": "PortableRunner", "options": {**options, "my_own": "4"}}
        done = call("run", "--data", data, "--root", tmp_path / "no", *set_beam(strange))
        assert done.returncode == 2
        assert f"neither Beam nor the job service at {service} knows the option 'my_own'" in done.stderr
        make(data, tmp_path / "root", {"runner": "PortableRunner", "options": options})
    require_same(tmp_path / "root", in_memory)


def set_beam(beam: dict[str, Any]) -> list[str]:
    return ["--set", f"beam={profile.toml_value(beam)}"]


def workers(process: int) -> list[int]:
    """The worker processes below a process; Beam starts each by a shell."""
    found = []
    for listing in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, listing.read_text().split()):
                words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
                is_worker = "python" in words[0] and "apache_beam.runners.worker.sdk_worker_main" in words
                found += [child] if is_worker else workers(child)
    return found


def test_a_killed_worker_fails_the_run_and_the_next_one_goes_on(data: Path, tmp_path: Path):
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    words = ["run", "--only", "ingest", "--data", str(data), "--root", str(tmp_path / "root"), *settings]
    process = subprocess.Popen(
        [sys.executable, CHECKOUT / "run_pipeline.py", *words, *set_beam(SEVERAL)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 120
    while not (found := workers(process.pid)) and time.monotonic() < end:
        time.sleep(0.05)
    for worker in found:
        os.kill(worker, signal.SIGKILL)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1, out
    assert "Failed: ImageMaskExampleGen: a worker of Beam is lost" in out
    assert "run the same command again" in out
    assert not list((tmp_path / "root" / "artifacts").rglob("*.gz"))
    done = call(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done: ingest" in done.stdout
    [last] = [max((tmp_path / "root" / "runs").iterdir())]
    record = json.loads((last / "run.json").read_text())
    assert record["components"]["ImageMaskExampleGen"]
