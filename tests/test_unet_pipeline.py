"""The Python API: equal to the commands, and fit for a notebook."""

from __future__ import annotations

import functools
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import unet_pipeline
from data.synthetic import write_cells
from tests.command_line import call
from unet.errors import BadInput

CHECKOUT = Path(__file__).parent.parent
TINY: dict[str, Any] = {
    "base_filters": 4,
    "depth": 2,
    "patch_size": 76,
    "steps": 10,
    "validate_every": 5,
    "batch_size": 2,
    "tune": "never",
    "thresholds": {"pixel_error": 0.99},
}
WITH_RANGE: dict[str, Any] = {"value_range": [-1.0, 1.0]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, export_tiny: Any) -> Path:
    """With versions 1, 2, which knows a range of values, and 3, which sees colour."""
    root = tmp_path_factory.mktemp("root")
    changes: list[dict[str, Any]] = [{}, WITH_RANGE, {"channels": 3}]
    for version, change in enumerate(changes, 1):
        export_tiny(root / "serving" / "unet" / str(version), **change)
    return root


@pytest.fixture(scope="module")
def load(root: Path) -> Callable[[int], unet_pipeline.Model]:
    """Loads a version of the root, once."""
    return functools.cache(lambda version: unet_pipeline.Model.load(version, root))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    write_cells(folder, 8, (96, 80))
    return folder


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def saved(path: Path, array: np.ndarray) -> Path:
    photometric = "rgb" if array.ndim == 3 and array.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(path, array, photometric=photometric)
    return path


ARRAYS = [
    (1, noise(70, 50)),
    (1, noise(5, 131, dtype=np.uint16)),
    (1, noise(33, 40, 3)),
    (2, noise(40, 40).astype(np.float32) / 127.5 - 1),
    (2, -(noise(9, 8) // 255).astype(np.int32)),
    (3, noise(33, 40, 3, dtype=np.uint16)),
]


@pytest.fixture(scope="module")
def commanded(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each array, and with what the command writes for it, once for each version."""
    folder = tmp_path_factory.mktemp("commanded")
    for version in (1, 2, 3):
        files = [saved(folder / f"{i}.tif", array) for i, (v, array) in enumerate(ARRAYS) if v == version]
        done = call("predict", *files, "--root", root, "--model", version, "--out", folder, "--probabilities")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "number", range(len(ARRAYS)), ids=[f"{array.dtype}-{array.shape}" for _, array in ARRAYS]
)
def test_an_array_is_predicted_to_the_bit_as_its_file(
    commanded: Path, load: Callable[[int], unet_pipeline.Model], number: int
) -> None:
    names = ("background", "cell", "other")
    values = np.asarray(Image.open(commanded / f"{number}.png"))
    maps = np.stack([np.asarray(Image.open(commanded / f"{number}.{name}.png")) for name in names], -1)
    version, array = ARRAYS[number]
    model = load(version)
    for source in (array, commanded / f"{number}.tif"):
        indices = model.predict(source)
        assert indices.dtype == np.uint8
        np.testing.assert_array_equal(np.array([0, 100, 255])[indices], values)
        probabilities = model.predict(source, probabilities=True)
        assert probabilities.dtype == np.float32
        np.testing.assert_array_equal(np.rint(probabilities * 65535), maps)
        np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-4)


def test_an_array_is_predicted_to_the_bit_as_a_server_does(
    root: Path, load: Callable[[int], unet_pipeline.Model]
) -> None:
    import tensorflow as tf

    array = noise(61, 90)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    signatures = tf.saved_model.load(str(root / "serving" / "unet" / "1")).signatures
    encoded = tf.constant([file.getvalue()])
    png = signatures["serving_default"](image_bytes=encoded)["mask_bytes"][0].numpy()
    maps = signatures["probabilities"](image_bytes=encoded)["probabilities_bytes"][0].numpy()
    model = load(1)
    found = np.array([0, 100, 255])[model.predict(array)]
    np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(png))))
    for index, data in enumerate(maps):
        share = model.predict(array, probabilities=True)[..., index]
        np.testing.assert_array_equal(np.rint(share * 65535), np.asarray(Image.open(io.BytesIO(data))))


def test_models_are_found_as_the_commands_find_them(
    root: Path, load: Callable[[int], unet_pipeline.Model]
) -> None:
    newest = root / "serving" / "unet" / "3"
    assert load(3).folders == [newest]
    for given in (None, newest):
        assert unet_pipeline.Model.load(given, root).folders == [newest]
    model = unet_pipeline.Model.load([1, 1], root)
    assert (model.classes, model.channels) == (["background", "cell", "other"], 1)
    alone = load(1)
    image = noise(40, 40)
    mean, one = (m.predict(image, probabilities=True) for m in (model, alone))
    np.testing.assert_allclose(mean, one, atol=2e-5)
    assert model.predict(image).shape == (40, 40)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [(9, "no version 9; there are: 1, 2, 3"), ("nowhere", "nowhere"), ([], "an empty list of models")],
)
def test_a_model_that_is_not_there_is_one_sentence(root: Path, given: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        unet_pipeline.Model.load(given, root)


@pytest.mark.parametrize(
    ("version", "image", "sentence"),
    [
        (1, np.zeros((4, 4, 4), np.uint8), r"\[H, W\] or \[H, W, 3\]. Received: .*\(4, 4, 4\)"),
        (1, np.zeros((4, 4), bool), "array of numbers"),
        (1, np.zeros((0, 4), np.uint8), "at least one pixel"),
        (1, np.full((4, 4), 0.5), "convert this one as they were converted"),
        (2, np.full((4, 4), 1.5), "outside value_range"),
        (2, np.full((4, 4), np.nan), "16 pixels of NaN"),
        (1, "nowhere.png", "cannot be read"),
    ],
)
def test_an_image_that_cannot_be_used_is_one_sentence(
    load: Callable[[int], unet_pipeline.Model], version: int, image: Any, sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence) as caught:
        load(version).predict(image)
    assert "\n" not in str(caught.value)


def test_what_lists_of_numbers_mean(load: Callable[[int], unet_pipeline.Model]) -> None:
    model = load(2)
    np.testing.assert_array_equal(model.predict([[0, 1], [1, 0]]), model.predict(np.array([[0, 1], [1, 0]])))


def test_check_is_that_of_the_command(cells: Path, tmp_path: Path) -> None:
    report = unet_pipeline.check(cells, tmp_path / "root")
    assert report.ok
    assert report.summary.images == 8
    assert "8 usable images, 0 problems" in str(report)
    assert "steps" not in unet_pipeline.check(cells, tmp_path / "root", **report.proposed).proposed
    (copy := tmp_path / "copy").mkdir()
    shutil.copytree(cells, copy, dirs_exist_ok=True)
    (copy / "masks" / "cell_000.png").unlink()
    assert [Path(found.path).name for found in unet_pipeline.check(copy).problems] == ["cell_000.png"]


def test_mistakes_are_told_before_anything_starts(cells: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'steps'"):
        unet_pipeline.check(cells, stepz=3)
    with pytest.raises(BadInput, match="steps: must be at least"):
        unet_pipeline.train(cells, tmp_path / "root", steps=-1)
    with pytest.raises(BadInput, match="rename the folder"):
        unet_pipeline.train(cells, tmp_path / "root*")
    with pytest.raises(BadInput, match="no such folder; give the folder"):
        unet_pipeline.train(tmp_path / "nowhere", tmp_path / "root")
    with pytest.raises(BadInput, match="no model was pushed yet"):
        unet_pipeline.evaluate(cells, root=tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_run_and_its_scores(cells: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    shares = {"train": 0.5, "eval": 0.25, "test": 0.25}
    run = unet_pipeline.train(cells, root, **TINY, shares=shares, push_to=None)
    assert run.status == "pushed"
    assert run.config["steps"] == 10
    assert "Pushed" in capsys.readouterr().out
    assert unet_pipeline.train(cells, root, **TINY, shares=shares).run_id == run.run_id
    assert "Unchanged since run" in capsys.readouterr().out

    model = unet_pipeline.Model.load(root=root)
    scores = unet_pipeline.evaluate(cells, model, root, thresholds={"foreground_iou": 1.0})
    assert scores.passed is False
    assert "foreground_iou" in scores.reason
    predicted = [model.predict(path) for path in sorted((cells / "images").iterdir())]
    truth = [np.asarray(Image.open(path)) > 0 for path in sorted((cells / "masks").iterdir())]
    counts = [[sum(((t == i) & (p == j)).sum() for t, p in zip(truth, predicted, strict=True))
               for j in range(2)] for i in range(2)]  # fmt: skip
    np.testing.assert_array_equal(scores.confusion, counts)
    assert len(scores.images) == 8
    low, high = scores.intervals["pixel_error"]
    value = scores.metrics["pixel_error"]
    assert value is not None
    assert low is not None
    assert high is not None
    assert low <= value <= high


# A kernel heeds the interruption, also where the tests were started in the background and so ignore it.
CELL = """
import signal, sys, unet_pipeline
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    unet_pipeline.train(sys.argv[1], sys.argv[2], steps=10**5)
except KeyboardInterrupt:
    print("the kernel lives", flush=True)
"""


def test_an_interrupted_cell_ends_the_training_and_leaves_the_kernel_alone(
    cells: Path, tmp_path: Path
) -> None:
    kernel = subprocess.Popen(
        [sys.executable, "-c", CELL, cells, tmp_path / "root"],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    told = ""
    with kernel:
        assert kernel.stdout
        for line in kernel.stdout:
            told += line
            if "Loading TensorFlow" in line:
                time.sleep(2)
                os.kill(kernel.pid, signal.SIGINT)  # a kernel's children are not always asked
    assert kernel.returncode == 0
    assert "Interrupted: stopped by a signal" in told
    assert told.endswith("the kernel lives\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment with the package installed, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("pipeline", "components", "unet"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "unet_pipeline.py"):
        shutil.copy(CHECKOUT / name, source)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
    [libraries] = [path for path in sys.path if path.endswith("site-packages")][:1]
    (packages / "libraries.pth").write_text(f"{libraries}\n")
    scripts = folder / "venv" / "bin"
    install = ["pip", "install", "--offline", "--no-deps", "--no-build-isolation", "--quiet", "--python"]
    done = subprocess.run(
        [Path(sys.executable).parent / "uv", *install, scripts / "python", source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return scripts


def elsewhere(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [*map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_installed_command_answers_from_any_folder(installed: Path, cells: Path, tmp_path: Path) -> None:
    command = installed / "unet-pipeline"
    assert "usage: unet-pipeline" in elsewhere(tmp_path, command, "--help").stdout
    done = elsewhere(tmp_path, command, "check", "--data", cells)
    assert done.returncode == 0, done.stderr
    assert "8 usable images" in done.stdout
    assert "-m pipeline.cli run --data" in done.stdout
    for name in ("paper", "isbi2012"):
        assert elsewhere(tmp_path, command, "run", "--profile", name, "--print-config").returncode == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["check", "--json"], "the bundled images are part of a checkout"),
        (
            ["compile", "kubeflow", "--out", "a.yaml", "--image", "registry/unet:1"],
            "compile kubeflow needs the checkout",
        ),
        (["predict", "a.png", "--out", "out"], "-m pipeline.cli run` first"),
    ],
)
def test_what_needs_the_checkout_says_so(
    installed: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    Image.fromarray(noise(4, 4)).save(tmp_path / "a.png")
    done = elsewhere(tmp_path, installed / "unet-pipeline", *words)
    assert done.returncode == 2
    assert sentence in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr


INSTALLED = """
import sys
import unet_pipeline
from unet.fingerprint import source_of
from pipeline.report.page import evaluation
assert "installed" in unet_pipeline.__file__, unet_pipeline.__file__
assert source_of("components.trainer").is_file()
print(unet_pipeline.check(sys.argv[1]).ok, "tensorflow" in sys.modules)
print(unet_pipeline.evaluate(sys.argv[1], sys.argv[2], out="out").metrics["pixel_error"])
"""


def test_the_api_works_outside_the_checkout(
    installed: Path, cells: Path, root: Path, export_tiny: Any, tmp_path: Path
) -> None:
    two: dict[str, Any] = {"classes": {"background": 0, "cell": 255, "other": 100}, "ignore": None}
    model = export_tiny(tmp_path / "model", labels=two, classes=[*two["classes"]], class_values=[0, 255, 100])
    done = elsewhere(tmp_path, installed / "python", "-c", INSTALLED, cells, model)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "True False"
    assert 0 <= float(lines[-1]) <= 1
    assert "<style>" in (tmp_path / "out" / "report.html").read_text()
