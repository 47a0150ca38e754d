"""What TensorFlow and Keras find in the environment; a shell's own choices stay."""

import os
import pwd

import pytest

from pipeline.process.environment import prepare, prepare_training

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


@pytest.mark.parametrize("chosen", ["", "0"])
def test_only_a_training_turns_on_the_kernels_of_onednn(chosen: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(ONEDNN)
    if chosen:
        monkeypatch.setenv(ONEDNN, chosen)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    prepare()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert os.environ.get(ONEDNN, "") == chosen
    prepare_training()
    assert os.environ[ONEDNN] == (chosen or "1")


def test_without_a_home_folder_libraries_find_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/ann")
    prepare()
    assert os.environ["HOME"] == "/home/ann"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as in a container, of a number without a name
    assert os.path.expanduser("~") == "~"
    prepare()
    assert os.path.expanduser("~/.cache") == "/.cache"
