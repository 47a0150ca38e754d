"""`run_pipeline.py compile kubeflow`: the stages of a run as a Kubeflow pipeline. Imports no TensorFlow.

What is asked for is checked here. kfp has an environment of its own, whose interpreter writes the file.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import profile
from pipeline.process.exit_codes import BAD_INPUT, FAILED, OK
from pipeline.terminal.command import CHECKOUT, is_checkout
from unet.files import atomic_write

PYTHON = CHECKOUT / ".venv-kubeflow/bin/python"
_CPU = re.compile(r"(?!0+m?$)\d+m?|\d*\.\d*[1-9]\d*")
_MEMORY = re.compile(r"[1-9]\d*([KMGTPE]i?)?")
_CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_OF_THE_CLUSTER = (
    "image", "claim", "mount", "cpu", "memory", "gpus", "gpu_type", "user", "retries", "retry_seconds",
)  # fmt: skip


def compile_kubeflow(options: argparse.Namespace) -> int:
    """Writes the specification.

    Args:
        options: as of the command line.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    try:
        words = _words(options)
    except profile.ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    if mistakes := list(_mistakes(options, words)):
        print(*mistakes, sep="\n", file=sys.stderr)
        return BAD_INPUT
    if not is_checkout():
        print("compile kubeflow needs the checkout: an installed package has no deploy/", file=sys.stderr)
        return BAD_INPUT
    if not PYTHON.is_file():
        print(f"{PYTHON} is missing: make setup-kubeflow installs kfp", file=sys.stderr)
        return BAD_INPUT
    request = {"words": words, **{name: getattr(options, name) for name in _OF_THE_CLUSTER}}
    done = subprocess.run(
        [PYTHON, "-m", "deploy.kubeflow"], cwd=CHECKOUT, input=json.dumps(request), text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print(done.stderr, end="", file=sys.stderr)
        print(
            "kfp refused the pipeline; see above (make setup-kubeflow brings it up to date)", file=sys.stderr
        )
        return FAILED
    with atomic_write(options.out) as file:
        file.write(done.stdout)
    print(f"Written: {options.out}")
    return OK


def _words(options: argparse.Namespace) -> list[str]:
    """Returns the words of `run` that all stages share; raises `ConfigError` if a setting is wrong."""
    config = profile.load(options.profile, profile.parse_overrides(options.set))
    words: list[str] = []
    settings = list(options.set)
    if options.profile not in profile.profile_names():
        # The containers do not have the file: what it says becomes words.
        if config.data != profile.load().data and not options.data:
            raise profile.ConfigError(
                f"{options.profile}: data is a folder of this machine: give --data, the folder that the "
                "containers see"
            )
        usual, asked = (c.model_dump(mode="json", exclude={"data"}) for c in (profile.load(), config))
        settings = [
            f"{name}={profile.toml_value(value)}"
            for name, value in asked.items()
            if value != usual[name] and value is not None
        ]
    elif options.profile != "default":
        words += ["--profile", options.profile]
    words += ["--data", str(options.data)] if options.data else []
    words += ["--root", str(options.root or Path(options.mount, "runs"))]
    words += [word for setting in settings for word in ("--set", setting)]
    return words + (["--skip-bad"] if options.skip_bad else [])


def _mistakes(options: argparse.Namespace, words: list[str]) -> Iterator[str]:
    """Yields a sentence for each thing that no cluster could do."""
    mount = Path(options.mount)
    root = options.root or mount / "runs"
    if not options.image or re.search(r"\s", options.image):
        yield f"--image {options.image!r} is no name of an image, such as registry/unet:1"
    if not mount.is_absolute() or mount == Path("/"):
        yield f"--mount {mount}: give the absolute path of a folder, in which the containers see the volume"
    if ".." in root.parts or not root.is_relative_to(mount) or root == mount:
        yield f"--root {root} is not below {mount}, where the volume is: what is made there would be lost"
    if options.data and not options.data.is_absolute():
        yield f"--data {options.data}: give an absolute path, that which the containers see"
    if not _CLAIM.fullmatch(options.claim):
        yield f"--claim {options.claim!r} is no name of a PersistentVolumeClaim"
    if not _CPU.fullmatch(options.cpu):
        yield f"--cpu {options.cpu!r} is no number of cores, such as 2, 0.5 or 500m"
    if not _MEMORY.fullmatch(options.memory):
        yield f"--memory {options.memory!r} is no amount of memory, such as 4Gi"
    for name, least in (("gpus", 0), ("user", 1), ("retries", 0), ("retry_seconds", 1)):
        if (number := getattr(options, name)) < least:
            yield f"--{name.replace('_', '-')} must be at least {least}, not {number}"
    if strange := next((word for word in words if "{{" in word), ""):
        yield f"{strange}: Kubeflow would put something else in the place of {{{{"
    if options.out.suffix not in (".yaml", ".yml"):
        yield f"--out {options.out}: the name of the file must end with .yaml, as Kubeflow asks for"
    if not options.out.absolute().parent.is_dir():
        yield f"--out {options.out}: there is no folder {options.out.parent}"
    if options.out.is_dir():
        yield f"--out {options.out} is a folder: name a file"
