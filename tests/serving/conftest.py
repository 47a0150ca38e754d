"""Two tiny versions of a model, and servers of them in an environment of their own."""

from __future__ import annotations

import functools
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.serving.certificates import Certificate, self_signed
from tests.serving.running import PYTHON, Server, Watched, free_port, running, wait_for

VALUES = {1: (7, 100, 255), 2: (9, 101, 254)}  # of masks: what tells the two versions apart
CLASSES = ["background", "nucleus", "border"]  # names in the card
ROOMY = 3  # the first version again, with large tiles
DEPTH = 2
Exposed = tuple[Server, Watched]
SIGNATURES = ("serving_default", "colored", "probabilities", "tensors", "network", "evaluate")


def encoded(image: NDArray, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(height: int, width: int) -> NDArray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width), np.uint8)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folder of each version."""
    import keras

    from unet.export.graph import Segmenter
    from unet.export.signatures import export
    from unet.network import create_unet
    from unet.tiling import Geometry

    folder = tmp_path_factory.mktemp("exported")
    keras.utils.set_random_seed(8)
    network = create_unet((None, None, 1), classes=3, base_filters=4, depth=DEPTH, decoder="paper")
    # Small tiles: a large image takes long without taking much memory.
    small = (32 + Geometry(DEPTH).smallest) ** 2
    for version, values in {**VALUES, ROOMY: VALUES[1]}.items():
        area = 2**22 if version == ROOMY else small
        model = Segmenter(network, Geometry(DEPTH), 1, 100.0, 60.0, values, area)
        export(model, folder / str(version))
    return {version: folder / str(version) for version in (*VALUES, ROOMY)}


@pytest.fixture(scope="session")
def expected(exported: dict[int, Path]) -> Callable[[bytes, int], bytes]:
    """The mask of an image by a version, straight from the SavedModel."""
    import tensorflow as tf

    @functools.cache
    def loaded(version: int) -> Callable[..., dict]:
        return tf.saved_model.load(str(exported[version])).signatures["serving_default"]

    return lambda image, version: loaded(version)(image_bytes=tf.constant([image]))["mask_bytes"][0].numpy()


@pytest.fixture(scope="session")
def server(exported: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Version 1 with all limits as they are, and all signatures, started by make."""
    folder = tmp_path_factory.mktemp("models") / "unet"
    shutil.copytree(exported[1], folder / "1")
    log = tmp_path_factory.mktemp("log") / "log"
    with running(["make", "--silent", "serve"], folder, log, "--signatures", *SIGNATURES) as started:
        yield started
        assert "Traceback" not in started.log()


@pytest.fixture(scope="session")
def strict(exported: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with limits that a test can reach."""
    folder = tmp_path_factory.mktemp("strict")
    shutil.copytree(exported[1], folder / "unet/1")
    flags = ("--concurrent", "1", "--queue", "1", "--request-seconds", "3", "--receive-seconds", "2")
    command = [str(PYTHON), "-m", "serving"]
    with running(command, folder / "unet", folder / "log", *flags, "--max-body-mib", "1") as started:
        yield started
        assert "Traceback" not in started.log()


@pytest.fixture(scope="session")
def single(exported: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Version 1 with the card of a pushed model; a request beside another one is refused."""
    folder = tmp_path_factory.mktemp("single")
    shutil.copytree(exported[1], folder / "unet/1")
    add_card(folder / "unet/1")
    command = [str(PYTHON), "-m", "serving", "--concurrent", "1", "--queue", "0"]
    with running(command, folder / "unet", folder / "log") as started:
        yield started
        assert "Traceback" not in started.log()


def add_card(version: Path) -> None:
    """Adds the training record and the card that a pushed model has."""
    from unet.images.display import class_colors
    from unet.registry.model_card import write_card
    from unet.registry.records import TRAINING_RECORD

    record = {
        "classes": CLASSES,
        "class_values": VALUES[1],
        "class_colors": class_colors(len(CLASSES)),
        "background": "first",
    }
    (version / TRAINING_RECORD).parent.mkdir(exist_ok=True)
    (version / TRAINING_RECORD).write_text(json.dumps(record))
    facts = {"data_sha256": "", "data_licence": "", "images": {}, "code": "", "configuration": ""}
    write_card(version, int(version.name), facts, {})


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of this machine that is valid today."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def exposed(
    exported: dict[int, Path], certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exposed]:
    """A server with TLS, and health and metrics on a port of their own."""
    folder = tmp_path_factory.mktemp("exposed")
    shutil.copytree(exported[1], folder / "unet/1")
    watched = Watched(free_port())
    flags = ("--tls-certificate", str(certificate.path), "--tls-key", str(certificate.key))
    command = [str(PYTHON), "-m", "serving", "--metrics-port", str(watched.port), "--receive-seconds", "5"]
    with running(command, folder / "unet", folder / "log", *flags, ready=False) as started:
        wait_for(lambda: watched.request("GET", "/health/ready")[0] == 200, started)
        yield started, watched
        assert "Traceback" not in started.log()


@pytest.fixture
def folder(exported: dict[int, Path], tmp_path: Path) -> Path:
    """A folder of versions with the first one."""
    shutil.copytree(exported[1], tmp_path / "unet/1")
    return tmp_path / "unet"


@pytest.fixture
def command() -> list[str]:
    """Starts a server that the tests can signal without make in between."""
    return [str(PYTHON), "-m", "serving"]
