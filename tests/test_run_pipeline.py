"""The command line before any work: what answers at once, and what a wrong Python is told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.synthetic import write_cells
from tests.command_line import call

CHECKOUT = Path(__file__).parent.parent


def command(*words: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, *python, str(CHECKOUT / "run_pipeline.py"), *words]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path):
    write_cells(tmp_path, 6, (32, 32))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["run", "--print-config"], 0),
        (["run", "--set", "stepz=1"], 2),
        (["check", "--data", "nowhere"], 2),
        (["run", "--data", "nowhere"], 2),
        (["predict", "nowhere.png", "--out", "out"], 2),
    ],
)
def test_what_must_answer_at_once_imports_no_tensorflow(words, code):
    done = command(*words, python=("-X", "importtime"))
    assert done.returncode == code
    assert "argparse" in done.stderr
    assert "tensorflow" not in done.stderr.replace("has no module", "")
    assert "Traceback" not in done.stderr


def test_check_as_json(folder):
    done = call("check", "--data", folder, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["ok"]
    assert report["summary"]["images"] == 6


def test_all_problems_are_listed_and_nothing_is_written(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    images, masks = sorted((folder / "images").iterdir()), sorted((folder / "masks").iterdir())
    masks[0].unlink()
    images[1].write_bytes(b"")
    images[2].write_bytes(images[3].read_bytes()[:100])
    done = call("run", "--data", folder, "--root", root)
    assert done.returncode == 2
    for path in images[:3]:
        assert path.name in done.stdout
    assert not list(root.iterdir())


KERAS = """
import contextlib, io, runpy, sys
sys.argv = sys.argv[1:] + ["--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    runpy.run_path(sys.argv[0], run_name="__main__")
import keras
print(keras.backend.backend(), keras.config.floatx(), keras.config.image_data_format())
"""


def test_what_a_user_has_set_for_keras_does_not_matter(tmp_path):
    others = {"floatx": "float16", "backend": "torch", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(others))
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch"}
    command = [sys.executable, "-c", KERAS, str(CHECKOUT / "run_pipeline.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["tensorflow", "float32", "channels_last"]


def test_a_python_without_the_dependencies_is_told_what_to_type():
    done = command("run", "--data", "cells", python=("-S", "-E"))
    assert done.returncode == 1
    assert "has no module" in done.stderr
    assert "run_pipeline.py run --data cells" in done.stderr
    assert "Traceback" not in done.stderr
