"""Edited code is another cache key; code that a component does not use is not."""

import shutil

import pytest

from pipeline import code_version


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the components that a test may edit."""
    for package in code_version.PACKAGES:
        shutil.copytree(code_version.CHECKOUT / package, tmp_path / package)
    monkeypatch.setattr(code_version, "CHECKOUT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("edited", "module", "changes"),
    [
        ("unet/network.py", "components.trainer", True),
        ("unet/tiling.py", "components.transform", True),
        ("unet/training/augmentation.py", "components.tuner", True),
        ("unet/dataset/splits.py", "components.example_gen.component", True),
        ("unet/network.py", "components.transform", False),
        ("components/trainer.py", "components.tuner", False),
    ],
)
def test_fingerprint_follows_imports(checkout, edited, module, changes):
    before = code_version.fingerprint({module})
    path = checkout / edited
    path.write_text(path.read_text() + "\n# edited\n")
    assert (code_version.fingerprint({module}) != before) == changes


def test_modules_outside_the_project_have_no_source():
    assert code_version.source_of("keras.models") is None
    assert code_version.source_of("components.nothing") is None
