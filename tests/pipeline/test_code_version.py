"""Edited code is another cache key; code that a component does not use is not."""

import shutil

import pytest

from pipeline import code_version


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the components that a test may edit."""
    shutil.copytree(code_version.CHECKOUT / "components", tmp_path / "components")
    monkeypatch.setattr(code_version, "CHECKOUT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("edited", "module", "changes"),
    [
        ("unet.py", "components.trainer", True),
        ("tiling.py", "components.transform", True),
        ("augment.py", "components.tuner", True),
        ("example_gen/splits.py", "components.example_gen.component", True),
        ("unet.py", "components.transform", False),
        ("trainer.py", "components.tuner", False),
    ],
)
def test_fingerprint_follows_imports(checkout, edited, module, changes):
    before = code_version.fingerprint({module})
    path = checkout / "components" / edited
    path.write_text(path.read_text() + "\n# edited\n")
    assert (code_version.fingerprint({module}) != before) == changes


def test_modules_outside_the_project_have_no_source():
    assert code_version.source_of("keras.models") is None
    assert code_version.source_of("components.nothing") is None
