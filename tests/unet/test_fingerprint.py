"""Edited code is another cache key; code that a component does not use is not."""

import importlib.metadata
import platform

import pytest

from unet import fingerprint


@pytest.mark.parametrize(
    ("edited", "module", "changes"),
    [
        ("unet/network.py", "components.trainer", True),
        ("unet/tiling.py", "components.transform", True),
        ("unet/training/augmentation.py", "components.tuner", True),
        ("unet/dataset/splits.py", "components.example_gen.component", True),
        ("unet/network.py", "components.transform", False),
        ("components/trainer.py", "components.tuner", False),
        ("unet/training/losses.py", "unet.training.loop", True),  # checkpoints are thrown away
        ("unet/inference/polygons.py", "unet.training.loop", False),
        ("pipeline/prediction/tasks.py", "pipeline.prediction.outputs", True),
        ("pipeline/graph.py", "components.trainer", False),
    ],
)
def test_fingerprint_follows_imports(checkout, edited, module, changes):
    before = fingerprint.fingerprint({module})
    path = checkout / edited
    path.write_text(path.read_text() + "\nedited = 1\n")
    assert (fingerprint.fingerprint({module}) != before) == changes


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ('"""Other."""\n\ndef f(x):  # why\n    """What."""\n\n    return x + 1\n', False),
        ("def f(x):\n    return x + 2\n", True),
        ("def f(x):\n    return 'not a docstring' and x + 1\n", True),
        ("import scipy\n\n\ndef f(x):\n    return x + 1\n", True),
    ],
)
def test_comments_and_docstrings_do_not_count(checkout, source, changes):
    path = checkout / "unet" / "made.py"
    path.write_text('def f(x):\n    """First."""\n    return x + 1\n')
    before = fingerprint.fingerprint({"unet.made"})
    path.write_text(source)
    assert (fingerprint.fingerprint({"unet.made"}) != before) == changes


@pytest.mark.parametrize("library", ["tifffile", "imagecodecs", "scipy", "tensorflow"])
def test_versions_of_the_libraries_that_compute_count(checkout, monkeypatch, library):
    modules = {"unet.images.reader", "unet.training.loop", "unet.masks.weight_map", "unet.images.tiff"}
    before = fingerprint.fingerprint(modules)
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "other" if name == library else version(name)
    )
    assert fingerprint.fingerprint(modules) != before


def test_the_version_of_python_counts(checkout, monkeypatch):
    before = fingerprint.fingerprint({"unet.tiling"})
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.0")
    assert fingerprint.fingerprint({"unet.tiling"}) != before


def test_parts_name_what_changed(checkout):
    before = fingerprint.parts({"components.tuner"})
    for edited in ("unet/training/losses.py", "unet/inference/tiled.py"):
        (checkout / edited).write_text((checkout / edited).read_text() + "\nedited = 1\n")
    after = fingerprint.parts({"components.tuner"})
    assert [name for name in after if after[name] != before[name]] == ["unet.training.losses"]
    assert {"python", "keras", "keras-tuner", "numpy", "components.tuner"} <= set(after)


def test_the_imports_of_a_module_alone_do_not_count(checkout):
    found = fingerprint.parts({"unet.tiling"}, alone={"components.trainer"})
    assert found.keys() >= {"unet.tiling", "components.trainer"}
    assert "unet.training.loop" not in found


def test_modules_outside_the_project_have_no_source():
    assert fingerprint.source_of("keras.models") is None
    assert fingerprint.source_of("components.nothing") is None
