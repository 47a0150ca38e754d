"""The lock of the server's environment."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

SERVING = Path(__file__).parents[2] / "serving"
LOCK = (SERVING / "requirements.lock").read_text()


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_each_python_has_one_pair_of_server_and_tensorflow(python: str):
    pins = [Requirement(line.rstrip("\\ ")) for line in LOCK.splitlines() if line[:1].isalnum()]
    on = {"python_version": python, "python_full_version": f"{python}.0"}
    found = {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate(on)}
    wanted = ("==0.15.2", "==2.16.2") if python == "3.10" else ("==0.21.0", "==2.21.0")
    assert (found["kserve"], found["tensorflow-cpu"]) == wanted
    assert found["tensorflow-serving-api"].startswith(wanted[1].rpartition(".")[0])
    assert "tensorflow" not in found  # of which there would be two
