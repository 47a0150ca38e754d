"""Builds the images of the Dockerfile without Docker: each in a root of its own, entered by chroot.

The base image is that of this machine: its system folders and the interpreter of `.venv`, read-only. What is
installed are locks of one tiny wheel, as those of the project take minutes and the network.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
DOCKERFILE = CHECKOUT / "deploy/container/Dockerfile"
IGNORED = CHECKOUT / "deploy/container/Dockerfile.dockerignore"
LOCKS = ("requirements.lock", "requirements-gpu.lock", "serving/requirements.lock")
SYSTEM = ("/bin", "/sbin", "/usr", "/lib", "/lib64", "/etc")
NAMESPACE = (
    ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
)
# Root within a container may be refused; then the commands run as the user of the tests.
AS_ROOT = (
    os.geteuid() == 0 and not subprocess.run(["setpriv", "--reuid=10001", "true"], check=False).returncode
)


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile in their order, as name and rest."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.M).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def is_sent(path: str) -> bool:
    """Whether a file of the checkout reaches the builder: the last line of the list that fits it decides."""
    sent = True
    for line in IGNORED.read_text().splitlines():
        pattern = line.lstrip("!")
        parts = [path, *map(str, Path(path).parents)][:-1]
        if pattern.startswith("**/"):
            fits = any(fnmatch.fnmatch(Path(part).name, pattern[3:]) for part in parts)
        else:
            fits = pattern == "*" or pattern in parts
        if line and not line.startswith("#") and fits:
            sent = line.startswith("!")
    return sent


def context(folder: Path, wheels: Path) -> Path:
    """Makes the folder that `docker build` would send, with locks of one tiny wheel."""
    wheels.mkdir()
    wheel, info = wheels / "tiny-1-py3-none-any.whl", "tiny-1.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "VALUE = 1\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    lock = (
        f"tiny @ file:///wheels/{wheel.name} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    )
    known = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in known:
        if is_sent(name) and (CHECKOUT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name in LOCKS:
                target.write_text(lock)
            else:
                shutil.copy2(CHECKOUT / name, target)
    return folder


@dataclasses.dataclass
class Image:
    """An image, or a stage of one, on this machine."""

    root: Path
    wheels: Path
    variables: dict[str, str]
    folder: str = "/"
    user: str = "0"
    entry: Sequence[str] = ()
    words: Sequence[str] = ()

    def run(
        self, command: Sequence[str], mounted: dict[str, Path] | None = None, *, read_only: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the image.

        Args:
            command: the words of the command.
            mounted: folders of this machine by the place where the image has them.
            read_only: whether nothing but the mounted folders can be written, as in the manifests.
        """
        interpreter = Path(sys.base_prefix)
        python = self.root.parent / "python"  # the base image has `python` on its path
        python.mkdir(exist_ok=True)
        if not (python / "python").exists():
            (python / "python").symlink_to(interpreter / f"bin/python3.{sys.version_info[1]}")
        binds = {name: Path(name) for name in SYSTEM if not Path(name).is_symlink()}
        binds |= {"/python": python, "/wheels": self.wheels, str(interpreter): interpreter}
        binds |= {"/dev": Path("/dev"), "/proc": Path("/proc"), **(mounted or {})}
        root = shlex.quote(str(self.root))
        script = ["set -e", f"mount --rbind {root} {root}"]
        for name in SYSTEM:
            if Path(name).is_symlink() and not (self.root / name[1:]).is_symlink():
                (self.root / name[1:]).symlink_to(os.readlink(name))
        for place, source in binds.items():
            if place.startswith("/usr/") and source == interpreter:
                continue  # it is there
            target = shlex.quote(str(self.root / place.lstrip("/")))
            script += [f"mkdir -p {target}", f"mount --rbind {shlex.quote(str(source))} {target}"]
        if read_only:
            script.append(f"mount -o remount,bind,ro {root}")
        user, _, group = self.user.partition(":")
        change = f"setpriv --reuid={user} --regid={group or user} --clear-groups --no-new-privs"
        inside = f"cd {shlex.quote(self.folder)} && exec {shlex.join(command)}"
        words = shlex.join(["/bin/sh", "-c", inside])
        script.append(f"exec chroot {root} {change if AS_ROOT and user != '0' else ''} {words}")
        return subprocess.run(
            [*NAMESPACE, "sh", "-c", "\n".join(script)],
            env={"PATH": "/python:/usr/bin:/bin:/usr/sbin:/sbin", **self.variables},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip


def build(sent: Path, wheels: Path, folder: Path) -> dict[str, Image]:
    """Executes the whole Dockerfile; returns its stages by name."""
    stages: dict[str, Image] = {}
    arguments: dict[str, str] = {}
    for name, given in instructions():
        rest = given
        for argument, value in arguments.items():
            rest = rest.replace(f"${{{argument}}}", value)
        assert "$" not in rest, f"{name} {given}"
        image = [*stages.values()][-1] if stages else None
        if name == "ARG":
            argument, _, value = rest.partition("=")
            arguments[argument] = value
            continue
        if name == "FROM":
            base, _, stage = rest.partition(" AS ")
            assert base == arguments["BASE"]
            stages[stage] = Image(folder / stage, wheels, {})
            (folder / stage).mkdir(parents=True)
            continue
        assert image
        if name == "COPY":
            _copy(rest, image, sent, stages)
        elif name == "RUN":
            # What `--mount` brings is a secret of whoever builds; there is none here.
            done = image.run(["/bin/sh", "-c", re.sub(r"^--mount=\S+ ", "", rest)])
            assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"
        elif name == "WORKDIR":
            image.folder = rest
            (image.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "ENV":
            image.variables |= dict(word.split("=", 1) for word in shlex.split(rest))
        elif name == "USER":
            image.user = rest
        elif name == "ENTRYPOINT":
            image.entry = json.loads(rest)
        elif name == "CMD":
            image.words = json.loads(rest)
        else:
            assert name == "EXPOSE", name
    return stages


def _copy(rest: str, image: Image, sent: Path, stages: dict[str, Image]) -> None:
    *sources, place = rest.split()
    source_root = sent
    if sources[0].startswith("--from="):
        source_root = stages[sources.pop(0).removeprefix("--from=")].root
    target = image.root / image.folder.lstrip("/") / place
    for name in sources:
        source = source_root / name.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target / source.name if place.endswith("/") else target)
