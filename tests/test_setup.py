"""The locks; and tools/setup.sh, run for real, but on a lock of one tiny wheel and so without the network."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-gpu.lock")
ENVIRONMENTS = (
    "serving",
    "deploy/airflow",
    "deploy/kubeflow",
    "benchmarks/peers",
    "tests/serving/clients",
    "tests/pipeline/publishing",
)  # folders of the locks of those beside .venv
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
# One on which set-up picks the running Python's stack.
GLIBC = "glibc 2.36" if PYTHON == "3.10" else "glibc 2.41"
SET_UP = ["sh", "tools/setup.sh"]


# ---- The locks ----


def pins(lock: str) -> list[Requirement]:
    lines = (ROOT / lock).read_text().splitlines()
    return [Requirement(line.rstrip("\\ ")) for line in lines if line[:1].isalnum()]


@pytest.mark.parametrize("name", [*LOCKS, "pyproject.toml", "Makefile", "tools/setup.sh"])
def test_no_index_is_named(name: str):
    text = re.sub(r"\[project\.urls\][^\[]*", "", (ROOT / name).read_text())  # those are for people
    assert not re.findall(r"://|(?<!no-emit-)index-url|find-links|pypi", text)


@pytest.mark.parametrize("folder", ENVIRONMENTS)
def test_no_index_is_named_for_the_other_environments(folder: str):
    text = "".join((ROOT / folder / name).read_text() for name in ("requirements.lock", "requirements.in"))
    assert not re.findall(r"://|index-url|find-links|pypi", text)


@pytest.mark.parametrize("folder", ENVIRONMENTS)
def test_everything_of_the_other_environments_is_pinned_by_hash(folder: str):
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / folder / "requirements.lock").read_text())
    assert len(entries) > 30
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("lock", LOCKS)
def test_each_direct_dependency_has_one_pin_that_satisfies_it(lock: str, python: str):
    on = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    pinned: dict[str, list[str]] = {}
    for pin in pins(lock):
        if pin.marker is None or pin.marker.evaluate(on):
            pinned.setdefault(pin.name, []).extend(s.version for s in pin.specifier)
    wanted = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
    for want in (want for want in wanted if want.marker is None or want.marker.evaluate(on)):
        versions = pinned.get(want.name, [])
        assert len(versions) == 1, want
        assert want.specifier.contains(Version(versions[0]), prereleases=True), (want, versions)


def test_gpu_lock_only_adds_to_the_other():
    assert {str(pin) for pin in pins(LOCKS[0])} <= {str(pin) for pin in pins(LOCKS[1])}
    assert any(pin.name.startswith("nvidia-") for pin in pins(LOCKS[1]))


# ---- Set-up ----


def write_lock(checkout: Path, value: int) -> None:
    """Writes a wheel of one module, tiny.py, and the locks that pin it."""
    wheel = checkout / f"tiny-{value}-py3-none-any.whl"
    info = f"tiny-{value}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        # Each of another size: bytecode of a file of the same size and second passes for this one's.
        archive.writestr("tiny.py", f"VALUE = {value}\n" + "#" * value)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {value}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for lock in LOCKS:
        (checkout / lock).write_text(f"tiny @ {wheel.as_uri()} --hash=sha256:{digest}\n")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "check out"  # people do have spaces in their paths
    (root / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools/setup.sh", root / "tools")
    shutil.copy(ROOT / "pyproject.toml", root)
    write_lock(root, 1)
    return root


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def environment(checkout: Path, **changes: str) -> dict[str, str]:
    """The running interpreter, unless changed; on the PATH, the fakes, then the environment's uv."""
    path = os.pathsep.join([str(checkout / "fake"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PYTHON": sys.executable, **changes, "PATH": path}


def set_up(checkout: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    env = environment(checkout, **changes)
    return subprocess.run(SET_UP, cwd=checkout, env=env, text=True, capture_output=True)


def installed(checkout: Path) -> str:
    command = [str(checkout / ".venv/bin/python"), "-c", "import tiny; print(tiny.VALUE)"]
    return subprocess.run(command, text=True, capture_output=True).stdout.strip()


def test_installs_then_does_nothing_then_follows_the_lock(checkout: Path):
    first = set_up(checkout)
    assert (first.returncode, installed(checkout)) == (0, "1"), first.stderr
    assert f"Python {PYTHON} ({sys.executable})" in first.stdout

    second = set_up(checkout)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")

    write_lock(checkout, 2)
    assert set_up(checkout).returncode == 0
    assert installed(checkout) == "2"


def test_repairs_what_a_killed_set_up_left(checkout: Path):
    set_up(checkout)
    (checkout / ".venv/.stamp").write_text("incomplete\n")  # what a kill leaves: this, and some of the files
    next((checkout / ".venv").glob("lib/*/site-packages/tiny.py")).unlink()
    assert installed(checkout) == ""
    assert set_up(checkout).returncode == 0
    assert installed(checkout) == "1"


def test_two_at_once_install_once(checkout: Path):
    command, env = ["sh", "tools/setup.sh"], environment(checkout)
    both = [
        subprocess.Popen(command, cwd=checkout, env=env, text=True, stdout=subprocess.PIPE) for _ in range(2)
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(said).count("done.") == 1
    assert installed(checkout) == "1"


def test_refuses_a_wheel_that_the_lock_does_not_know(checkout: Path):
    lock = (checkout / LOCKS[0]).read_text()
    for name in LOCKS:
        (checkout / name).write_text(lock.split("sha256:")[0] + "sha256:" + "0" * 64 + "\n")
    refused = set_up(checkout)
    assert refused.returncode == 1
    assert installed(checkout) == ""
    assert set_up(checkout).returncode == 1  # and does not take the failure for an environment


def test_passes_over_a_pyenv_shim_that_fails(checkout: Path):
    fake(checkout / "fake", "getconf", f"echo {GLIBC}")
    for version in ("3.10", "3.11", "3.12", "3.13"):
        fake(checkout / "fake", f"python{version}", "exit 127")
    real = checkout / f"pyenv/versions/{PYTHON}.0/bin/python{PYTHON}"
    real.parent.mkdir(parents=True)
    fake(real.parent, real.name, f'exec "{sys.executable}" "$@"')
    done = set_up(checkout, PYTHON="", PYENV_ROOT=str(checkout / "pyenv"))
    assert (done.returncode, installed(checkout)) == (0, "1"), done.stderr
    assert f"Python {PYTHON} (" in done.stdout


@pytest.mark.parametrize(
    ("fakes", "changes", "sentence"),
    [
        ({"uname": "[ $1 = -s ] && echo Darwin || echo arm64"}, {}, "needs Linux on x86-64"),
        ({"uname": "[ $1 = -s ] && echo Linux || echo aarch64"}, {}, "this machine is Linux aarch64"),
        ({"getconf": "exit 1"}, {}, "needs a Linux with glibc"),
        ({"getconf": "echo glibc 2.17"}, {}, "glibc 2.17 is too old"),
        ({}, {"PYTHON": "/no/such/python"}, "/no/such/python does not run"),
        ({"python": "echo 3.9 /usr/bin/python3.9"}, {"PYTHON": "python"}, "is Python 3.9, but this machine"),
        (
            {"getconf": "echo glibc 2.36", "python3.10": "exit 127"},
            {"PYTHON": "", "PYENV_ROOT": "/none", "CXX": "/no/compiler"},
            "no C++ compiler",
        ),
    ],
)
def test_unsupported_machine_gets_one_sentence(
    checkout: Path, fakes: dict[str, str], changes: dict[str, str], sentence: str
):
    for name, script in fakes.items():
        fake(checkout / "fake", name, script)
    refused = set_up(checkout, **changes)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert sentence in refused.stderr
    assert not (checkout / ".venv").exists()
