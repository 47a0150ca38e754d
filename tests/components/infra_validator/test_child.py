"""The client of the InfraValidator ends with the run, also where the run is killed."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from components.infra_validator import probe
from components.infra_validator.child import run_child

PARENT = """
import sys
from components.infra_validator.child import run_child
run_child([sys.executable, "-I", "-c", *sys.argv[1:]], 60)
"""
# The source as text, as the component starts it, with a file in the place of the model.
CHILD = """
import pathlib, time
end_with_parent()
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""


def source() -> str:
    return Path(probe.__file__).read_text().partition("if __name__")[0] + CHILD


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path):
    told = tmp_path / "pid"
    checkout = Path(__file__).parents[3]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, source(), told], cwd=checkout)
    try:
        end = time.monotonic() + 60
        while not (told.exists() and told.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        child = psutil.Process(int(told.read_text()))
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive


def test_what_a_child_said_and_its_code_are_told():
    done = run_child([sys.executable, "-c", "import sys; print('out'); sys.exit('why')"], 60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "out\n", "why\n")
    with pytest.raises(subprocess.TimeoutExpired):
        run_child([sys.executable, "-c", "import time; time.sleep(60)"], 0.5)
