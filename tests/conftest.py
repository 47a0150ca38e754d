"""Settings that TensorFlow reads once, at its import; a cache folder of the tests' own; tiny models."""

import fcntl
import gc
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Property tests: few examples, always the same; many new ones by HYPOTHESIS_PROFILE=thorough.
hypothesis.settings.register_profile("ci", derandomize=True, max_examples=50, deadline=None, database=None)
hypothesis.settings.register_profile("thorough", max_examples=2000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_GIGABYTES_OF_A_WORKER = 4  # TensorFlow, TFX, and runs of tiny images: the largest peak of one

# Tests start many processes: each would compile what it imports of this project.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_HOME"] = str(Path(__file__).parent.parent / "pipeline" / "process")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a worker for each core: threads of their own would cost an eighth more. `-n 0` has all threads.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# What earlier checks found lies in the user's cache folder; tests must neither use nor fill that one.
_cache = tempfile.TemporaryDirectory(prefix="unet-cache-")
os.environ["XDG_CACHE_HOME"] = _cache.name


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports the tests without the search for garbage, which takes a third of that time: all of it stays.

    Later it is searched for rarely: graphs are many objects, of which few are garbage.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than cores, as tests wait for processes and disks, if there is memory for them.

    Servers work beside them, and some of their tests go by the clock: no more than cores there.
    """
    more = "not server" in config.getoption("markexpr")
    lines = Path("/proc/meminfo").read_text().splitlines()
    [kilobytes] = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return max(1, min(len(os.sched_getaffinity(0)) + more, kilobytes // (_GIGABYTES_OF_A_WORKER << 20)))


# Files that take minutes. They begin first, so that none begins when the others are done.
_LONG = (
    "test_end_to_end.py",
    "test_gate_end_to_end.py",
    "test_commands.py",
    "test___main__.py",
    "test_loop.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the tests: each stays beside those of its file."""
    items.sort(key=lambda item: item.path.name not in _LONG)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code, of which fingerprints are taken, that a test may edit."""
    from unet import fingerprint

    for package in fingerprint.PACKAGES:
        shutil.copytree(fingerprint.CHECKOUT / package, tmp_path / package)
    monkeypatch.setattr(fingerprint, "CHECKOUT", tmp_path)
    return tmp_path


# What makes another graph of a model; whatever else its record says does not.
_GRAPH = (
    "channels",
    "scale",
    "class_values",
    "normalization",
    "test_time_augmentation",
    "max_pixels",
    "base_filters",
    "geometry",
    "recipe",
    "operating_point",
)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Makes a folder once for all tests, of all processes: `made_once(name, make)`, where `make` fills it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    shared = shared / "made-once"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                part = shared / f"{name}.part"
                make(part)
                part.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def export_tiny(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Callable[..., Path]:
    """Makes a tiny untrained model with its signatures and training record: `export_tiny(folder, seed=0)`.

    Other arguments change what the record says; `channels`, `scale`, `class_values`, `normalisation`,
    `geometry`, `operating_point`, and of the recipe `normalization_layer` and `residual` change the model
    with it. Each model is exported once for all tests, of all processes, and copied.
    """

    def export(folder: Path, seed: int = 0, **change: Any) -> Path:
        record: dict[str, Any] = {
            "classes": ["background", "cell", "other"],
            "class_values": [0, 100, 255],
            "background": "first",
            "channels": 1,
            "value_range": None,
            "normalization": {"over": "image"},
            "scale": 1.0,
            "test_time_augmentation": False,
            "max_pixels": 10**6,
            "geometry": {"depth": 2},
            "base_filters": 4,
            "max_area": 2**22,
            "recipe": {"decoder": "paper"},
        } | change
        graph = json.dumps([seed, *(record.get(name) for name in _GRAPH)])
        name = hashlib.sha256(graph.encode()).hexdigest()[:16]
        shutil.copytree(made_once(name, lambda part: _export(part, seed, record)), folder)
        (folder / "assets.extra").mkdir()
        (folder / "assets.extra" / "training.json").write_text(json.dumps(record))
        return folder

    return export


def _export(folder: Path, seed: int, record: dict[str, Any]) -> None:
    """Exports an untrained network."""
    import keras

    from unet.export import signatures
    from unet.export.folding import folded
    from unet.export.graph import Segmenter
    from unet.network import create_unet
    from unet.registry.decision import decision_of
    from unet.tiling import Geometry

    keras.utils.set_random_seed(8 + seed)  # of these seeds few outputs are dead, and all classes occur
    channels, constants = record["channels"], record["normalization"]
    geometry, recipe = Geometry.of_record(record), record["recipe"]
    network = create_unet(
        (None, None, channels),
        classes=3,
        base_filters=4,
        depth=geometry.depth,
        decoder="paper",
        stem_stride=geometry.stem_stride,
        normalization_layer=recipe.get("normalization_layer", "none"),
        residual=recipe.get("residual", False),
        activation="softmax",
    )
    segmenter = Segmenter(
        folded(network),
        geometry,
        channels,
        constants.get("mean"),
        constants.get("stddev"),
        record["class_values"],
        scale=record["scale"],
        decision=decision_of([record]),
    )
    signatures.export(segmenter, folder, record["max_pixels"])


@pytest.fixture(scope="module")
def loaded_once() -> Iterator[None]:
    """TensorFlow loads a SavedModel once for the tests of a module, by the content of its files.

    Loading takes longer than most commands that tests call with a model. What a test damages is loaded anew.
    """
    import tensorflow as tf

    from unet.registry.records import digest

    load, loaded = tf.saved_model.load, {}

    def load_once(path: str) -> Any:
        key = digest(Path(path))
        if key not in loaded:
            loaded[key] = load(path)
        return loaded[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "load", load_once)
        yield


@pytest.fixture(scope="session")
def images():
    """An image and a mask of each size; the mask tells bright pixels."""
    import numpy as np

    from tests.unet.training.tiny import SIZES

    rng = np.random.default_rng(0)
    made = {name: rng.integers(0, 256, size, np.uint8) for name, size in SIZES.items()}
    return {name: (image, (image > 127).astype(np.uint8)) for name, image in made.items()}


@pytest.fixture(scope="session")
def patterns(images, made_once):
    """A file of tiles, cut by a real Beam run of the preprocessing function."""
    return [str(made_once("tiles", lambda part: _cut_tiles(images, part)) / "*.gz")]


def _cut_tiles(images, folder):
    import tensorflow as tf
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from components import transform
    from tests.unet.training.tiny import TILES
    from unet.images.reader import encode_png

    folder.mkdir(exist_ok=True)
    scalar = tf.io.FixedLenFeature([], tf.string)
    spec = {
        "image": scalar,
        "mask": scalar,
        "border": scalar,
        "name": scalar,
        "bit_depth": tf.io.FixedLenFeature([1], tf.int64),
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [
        {
            "image": encode_png(image),
            "mask": encode_png(mask),
            "border": encode_png(255 - image),
            "name": name.encode(),
            "bit_depth": [8],
        }
        for name, (image, mask) in images.items()
    ]
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        (tiles, _), _ = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: transform.preprocessing_fn(inputs, {"tiles": TILES.model_dump_json()})
        )
    with tf.io.TFRecordWriter(str(folder / "tiles.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
        for tile in tiles:
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=_features(tile))).SerializeToString()
            )


def _features(tile):
    import numpy as np
    import tensorflow as tf

    features = {}
    for key, value in tile.items():
        if isinstance(value, bytes):
            features[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        elif key in ("mean", "stddev"):
            features[key] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        else:
            features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=np.atleast_1d(value)))
    return features
