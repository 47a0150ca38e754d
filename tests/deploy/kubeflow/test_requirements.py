"""The lock of Kubeflow's environment."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

FOLDER = Path(__file__).resolve().parents[3] / "deploy/kubeflow"
LOCK = (FOLDER / "requirements.lock").read_text()


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_each_python_gets_the_same_kfp(python: str):
    pins = [Requirement(line.rstrip("\\ ")) for line in LOCK.splitlines() if line[:1].isalnum()]
    on = {"python_version": python, "python_full_version": f"{python}.0"}
    on |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    found = {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate(on)}
    assert found["kfp"] == found["kfp-kubernetes"]
    assert found["kfp"].startswith("==2.17.")
