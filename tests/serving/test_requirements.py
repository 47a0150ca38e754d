"""The lock of the server's environment."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

SERVING = Path(__file__).parents[2] / "serving"
LOCK = (SERVING / "requirements.lock").read_text()


def test_no_index_is_named():
    assert not re.findall(r"://|index-url|find-links|pypi", LOCK + (SERVING / "requirements.in").read_text())


def test_everything_is_pinned_by_hash():
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.partition("\n\n")[0] if LOCK.startswith("#") else LOCK)
    assert len(entries) > 50
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_each_python_has_one_pair_of_server_and_tensorflow(python: str):
    pins = [Requirement(line.rstrip("\\ ")) for line in LOCK.splitlines() if line[:1].isalnum()]
    on = {"python_version": python, "python_full_version": f"{python}.0"}
    found = {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate(on)}
    wanted = ("==0.15.2", "==2.16.2") if python == "3.10" else ("==0.21.0", "==2.21.0")
    assert (found["kserve"], found["tensorflow-cpu"]) == wanted
