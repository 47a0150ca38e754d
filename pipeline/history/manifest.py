"""What a component wrote: path, size and SHA-256 of each file of an output, and whether they are still so.

ML Metadata keeps the manifest as a property of the artifact: the transaction that completes the component
stores it, and there is no file more to lose. `hash_of` reads a file once in a process, unless it changes.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from unet.files import files_under, fsync, fsync_all, hash_of

MANIFEST = "manifest"  # custom property of an artifact


def write_manifest(folder: Path) -> str:
    """Flushes all files and folders of an output to the disk, and returns its manifest as JSON.

    Args:
        folder: the folder of one artifact, in the folder of its key, in the folder of its component.

    Raises:
        OSError: a file cannot be flushed, or not be read back.
    """
    files: dict[str, tuple[int, str]] = {}
    fsync_all(folder)
    for path in files_under(folder):
        if not (sha256 := hash_of(path)):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        files[path.relative_to(folder).as_posix()] = path.stat().st_size, sha256
    for path in folder.parents[:3]:  # they may be new, too
        fsync(path)
    return json.dumps(files, separators=(",", ":"))


def damage(folder: Path, manifest: str, contents: bool = False) -> str:
    """Names the first file that is not as the component wrote it, and what was found; empty if all are.

    Args:
        folder: the folder of the artifact.
        manifest: what `write_manifest` returned; empty if it was never called, then nothing is known.
        contents: whether to read the files, too; otherwise only their sizes are compared.
    """
    if not manifest:
        return ""
    known: dict[str, tuple[int, str]] = json.loads(manifest)
    found = {p.relative_to(folder).as_posix(): p for p in files_under(folder)}
    for name, (size, sha256) in known.items():
        path = folder / name
        if name not in found or not path.exists():
            return f"{path}: is missing"
        if (now := path.stat().st_size) != size:
            return f"{path}: has {now} bytes, {size} were written"
        if contents and (read := hash_of(path)) != sha256:
            return f"{path}: {'its content changed' if read else 'cannot be read'}"
    for name in sorted(found.keys() - known.keys()):
        return f"{folder / name}: was added"
    return ""
