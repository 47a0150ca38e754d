"""The images: every instruction of their recipe is executed, in clean roots, and what they start runs.

Not shown here: the base image, its Python and its system libraries; the download of the locked packages,
which `make setup` does with the same lock.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data.synthetic import write_cells
from pipeline.commands.arguments import parser
from tests.deploy.container.building import (
    AS_ROOT,
    CHECKOUT,
    DOCKERFILE,
    NAMESPACE,
    Image,
    build,
    context,
    instructions,
    is_sent,
)

SERVING = CHECKOUT / ".venv-serving"
KUBERNETES = CHECKOUT / "deploy/kubernetes"


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_everything_is_copied_from_what_is_sent_to_the_builder():
    for rest in of("COPY"):
        *sources, _ = rest.split()
        if not sources[0].startswith("--from="):
            for name in [source.replace("${LOCK}", "requirements.lock") for source in sources]:
                assert (CHECKOUT / name).exists(), name
                assert is_sent(name if (CHECKOUT / name).is_file() else f"{name}/any.py"), name


@pytest.mark.parametrize(
    "path",
    [".git/HEAD", ".venv/bin/python", "runs/run.json", "unet/__pycache__/a.pyc", "tests/a.py", "secret"],
)
def test_nothing_else_is_sent(path: str):
    assert not is_sent(path)


def test_no_package_comes_without_its_hash_and_no_index_is_named():
    installs = [rest for rest in of("RUN") if "install" in rest]
    assert len(installs) == 2
    assert all(
        "--require-hashes --no-deps" in rest or "--no-deps --require-hashes" in rest for rest in installs
    )
    assert not re.search(r"index-url|find-links|pypi|://", DOCKERFILE.read_text())


def test_every_image_has_a_numeric_user_that_is_that_of_the_schedulers():
    users = set(of("USER"))
    assert len(of("USER")) == 2
    [user] = users
    number = int(user.split(":")[0])
    assert number > 0
    options = parser().parse_args(["compile", "kubeflow", "--image", "unet:1", "--out", "unet.yaml"])
    assert options.user == number
    for path in KUBERNETES.glob("*.yaml"):
        found = re.findall(r"runAsUser: (\d+)", path.read_text())
        assert {int(one) for one in found} <= {number}


def test_the_command_of_the_kubeflow_containers_is_that_of_the_image():
    text = (CHECKOUT / "deploy/kubeflow/specification.py").read_text()
    [command] = re.findall(r"^COMMAND = (\[.*\])", text, re.M)
    assert json.loads(command) == json.loads(of("ENTRYPOINT")[-1])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may make no namespace of mounts")
    folder = tmp_path_factory.mktemp("images")
    sent = context(folder / "sent", folder / "wheels")
    return build(sent, folder / "wheels", folder / "roots")


def test_the_locked_packages_are_in_the_environment_of_each_image(images: dict[str, Image]):
    for name in ("training", "serving"):
        done = images[name].run(["/app/.venv/bin/python", "-c", "import sys, tiny; print(sys.prefix)"])
        assert (done.returncode, done.stdout) == (0, "/app/.venv\n"), done.stderr


def test_the_files_of_an_image_are_compiled_and_no_tests_are_in_it(images: dict[str, Image]):
    app = images["training"].root / "app"
    assert {path.name for path in app.iterdir()} == {
        ".venv", "LICENSE", "__pycache__", "components", "data", "pipeline", "run_pipeline.py", "unet",
    }  # fmt: skip
    assert [*app.glob("pipeline/__pycache__/graph.*.pyc")]
    assert {path.name for path in (images["serving"].root / "app").iterdir()} == {
        ".venv",
        "LICENSE",
        "serving",
    }


def volume(folder: Path, image: Image) -> dict[str, Path]:
    """An empty volume and a folder for temporary files, which belong to the user of the image."""
    mounted = {"/work": folder / "work", "/tmp": folder / "tmp"}
    for path in mounted.values():
        path.mkdir()
        if AS_ROOT:
            user, group = map(int, image.user.split(":"))
            os.chown(path, user, group)
    return mounted


def test_the_training_image_reads_data_as_its_user_with_nothing_else_to_write(
    images: dict[str, Image], tmp_path: Path
):
    image = images["training"]
    mounted = volume(tmp_path, image) | {"/app/.venv": Path(sys.prefix)}
    done = image.run([*image.entry, *image.words], mounted, read_only=True)
    assert done.returncode == 0, done.stderr
    assert "usage: run_pipeline.py" in done.stdout
    write_cells(mounted["/work"] / "cells", 6, (96, 96), seed=1)
    words = ["run", "--only", "ingest", "--run-id", "night", "--data", "/work/cells", "--root", "/work/runs"]
    words += [
        "--set",
        "classes={ surroundings = 0, cell = 255 }",
        "--set",
        "patch_size=76",
        "--set",
        "depth=2",
    ]
    done = image.run([*image.entry, *words], mounted, read_only=True)
    assert done.returncode == 0, done.stdout + done.stderr
    record = mounted["/work"] / "runs/runs/night/run.json"
    assert json.loads(record.read_text())["status"] == "waiting"
    if AS_ROOT:
        assert record.stat().st_uid == int(image.user.split(":")[0])
        denied = image.run(["/bin/sh", "-c", "id -u; : > /app/a"], mounted, read_only=False)
        assert denied.stdout == f"{image.user.split(':')[0]}\n"
        assert denied.returncode != 0
    refused = image.run(["/bin/sh", "-c", ": > /app/a"], mounted, read_only=True)
    assert "Read-only file system" in refused.stderr


def test_each_module_of_the_pipeline_can_be_imported_in_the_image(images: dict[str, Image], tmp_path: Path):
    image = images["training"]
    code = """
import importlib, pkgutil
for package in ("unet", "components", "pipeline"):
    for found in pkgutil.walk_packages([package], f"{package}."):
        importlib.import_module(found.name)
print("all")
"""
    mounted = volume(tmp_path, image) | {"/app/.venv": Path(sys.prefix)}
    done = image.run(["/app/.venv/bin/python", "-W", "ignore", "-c", code], mounted, read_only=True)
    assert done.stdout.endswith("all\n"), done.stderr


@pytest.mark.server
@pytest.mark.skipif(not SERVING.exists(), reason="there is no .venv-serving: make setup-serving makes it")
def test_the_serving_image_loads_all_that_the_server_needs(images: dict[str, Image], tmp_path: Path):
    image = images["serving"]
    mounted = volume(tmp_path, image) | {"/app/.venv": SERVING.resolve()}
    interpreter = Path(os.readlink(SERVING / "bin/python"))  # that of a checkout's .venv
    mounted[str(interpreter.parents[1])] = interpreter.parents[1]
    [deployment, _] = yaml.safe_load_all((KUBERNETES / "server.yaml").read_text())
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    done = image.run([*image.entry, *container["args"], "--help"], mounted, read_only=True)
    assert done.returncode == 0, done.stderr
    code = "import serving.server; print('all')"
    done = image.run(["/app/.venv/bin/python", "-W", "ignore", "-c", code], mounted, read_only=True)
    assert done.stdout.endswith("all\n"), done.stderr
