"""Replaces an image or a mask while a run reads the data: noticed, or the run is wholly of one content.

The examples are searched for the bytes of both contents, and compared with the fingerprint in their cache
key: the first run read the content from before, so its fingerprint must be that of this content, and of no
other.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.torture.cases import Case, NotHeld
from tools.torture.kept_promises import LIVE, in_service, query, require, spoke
from tools.torture.place import Place, TooLate, at_work, newest_record, until_at_work
from unet.images.reader import encode_png, read_image
from unet.masks.labels import LabelMap
from unet.masks.reader import read_mask

READER = "ImageMaskExampleGen"
CLASSES: dict[str, int | str] = {"background": 0, "foreground": 255}
NAME = "cell_004.png"
SWAP = 0.05  # seconds at most between two swaps


def cases(quick: bool) -> Iterator[Case]:
    """Yields the cases of this chapter."""
    for kind in ("images",) if quick else ("images", "masks"):

        def once(place: Place, draw: random.Random, kind: str = kind) -> str:
            return _changed(place, draw, kind, _replace)

        yield Case(
            "changed data",
            f"one of the {kind} replaced while it is read",
            f"replaced at an instant that was drawn while {READER} worked; then the same command again",
            once,
        )

    def swapped(place: Place, draw: random.Random) -> str:
        return _changed(place, draw, "images", _swap)

    if not quick:
        yield Case(
            "changed data",
            "one of the images replaced and put back while it is read",
            f"swapped with another image all the time that {READER} worked; then the same command again",
            swapped,
        )


def stored(path: Path) -> bytes:
    """Returns the bytes that the examples hold of an image or, in a folder `masks`, of a mask."""
    if path.parent.name == "masks":
        return encode_png(read_mask(path, LabelMap(CLASSES)).indices)
    return read_image(path).data


def held(examples: Path, contents: dict[str, bytes]) -> set[str]:
    """Returns the names of the contents that are in an output of examples.

    Args:
        examples: the folder of the output.
        contents: bytes by name.
    """
    shards = [gzip.decompress(path.read_bytes()) for path in sorted(examples.rglob("*.gz"))]
    return {name for name, content in contents.items() if any(content in shard for shard in shards)}


def _changed(
    place: Place,
    draw: random.Random,
    kind: str,
    change: Callable[[Path, Path, Callable[[], bool], float, random.Random], None],
) -> str:
    path, other = place.data / kind / NAME, place.folder / "new" / kind / "cell_000.png"
    contents = {"before": stored(path), "after": stored(other)}
    [(first, _)] = _examples(place.root)
    seconds = float(newest_record(place.root)["components"][READER]["seconds"])
    runs = set(place.root.glob("runs/*"))
    run = place.start("run", "--force", READER)

    def reading() -> bool:
        return run.alive and at_work(place.root, runs) == READER

    try:
        until_at_work(run, place.root, runs, READER)
        change(path, other, reading, seconds, draw)
        done = run.wait()
    finally:
        run.kill()
    spoke(done, 0, 2)
    if done.code:
        require("changed while it was read" in done.text, f"exit code 2, but not of the change: {done.last}")
    _true_keys(place.root, first, contents)
    spoke(place.command("run"), 0)
    _true_keys(place.root, first, contents)
    there = "after" if stored(path) == contents["after"] else "before"
    read = [held(folder, contents) for _, folder in _examples(place.root)]
    require({there} in read, "the content that is there was never read")
    in_service(place.root)
    return "noticed, exit code 2; then completed" if done.code else "completed, wholly of one content"


def _true_keys(root: Path, first: str, contents: dict[str, bytes]) -> None:
    """Requires one content in each output of examples, and the one from before under its key alone."""
    for key, folder in _examples(root):
        found = held(folder, contents)
        require(len(found) == 1, f"{folder.name} holds {' and '.join(sorted(found)) or 'neither'}")
        if found != {"before" if key == first else "after"}:
            raise NotHeld(f"{folder.name} holds the content {found.pop()} the change under the other's key")


def _examples(root: Path) -> list[tuple[str, Path]]:
    """Returns fingerprint and folder of each finished output of examples."""
    rows = query(
        root,
        "SELECT ArtifactProperty.string_value, Artifact.uri FROM Artifact JOIN ArtifactProperty "
        "ON ArtifactProperty.artifact_id = Artifact.id WHERE ArtifactProperty.name = 'fingerprint' "
        f"AND Artifact.uri LIKE '%/{READER}/examples/%' AND Artifact.state = {LIVE}",
    )
    return [(key, Path(uri)) for key, uri in rows]


def _replace(
    path: Path, other: Path, reading: Callable[[], bool], seconds: float, draw: random.Random
) -> None:
    """Replaces a file once, within the time that the first run took to read the data."""
    time.sleep(draw.random() * seconds)
    if draw.random() < 0.5:
        shutil.copy(other, path)  # the file is there in part for a moment
    else:
        _put(path, other)


def _swap(path: Path, other: Path, reading: Callable[[], bool], seconds: float, draw: random.Random) -> None:
    """Replaces a file and puts it back, again and again, while the data are read."""
    before = path.with_name(f".{path.name}.before")  # hidden: no image of the data
    shutil.copy(path, before)
    swaps = 0
    while reading():
        for content in (other, before):
            _put(path, content)
            time.sleep(SWAP * draw.random())
        swaps += 1
    before.unlink()
    if not swaps:
        raise TooLate("nothing was swapped: the data had been read by then")


def _put(path: Path, content: Path) -> None:
    """Replaces a file at once."""
    part = path.with_name(f".{path.name}.part")
    shutil.copy(content, part)
    os.replace(part, path)
