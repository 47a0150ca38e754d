"""Damages files of finished outputs and of the state, one at a time, and repeats the command."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.torture.cases import Case, NotHeld
from tools.torture.kept_promises import in_service, live_outputs, require, same_weights, spoke
from tools.torture.place import Place, at_work, wait_until

AT_ONCE = 2  # outputs that are damaged before one run, far from each other in the graph
STATE = ("metadata.sqlite", "splits.json", "run.json", "summary.json", "latest.json", "served file")
QUICK_OUTPUTS = ("Trainer/model", "Transform/transformed_examples")


def delete(path: Path, draw: random.Random) -> str:
    """Deletes a file."""
    path.unlink()
    return "deleted"


def truncate(path: Path, draw: random.Random) -> str:
    """Cuts a file somewhere."""
    size = path.stat().st_size
    with path.open("rb+") as file:
        file.truncate(draw.randrange(size))
    return "truncated"


def flip(path: Path, draw: random.Random) -> str:
    """Flips one bit of a file; size and times stay."""
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return "one bit flipped"


Damage = Callable[[Path, random.Random], str]
KINDS: dict[str, Damage] = {"deleted": delete, "truncated": truncate, "one bit flipped": flip}


def cases(quick: bool, outputs: list[str], every_file: bool = False) -> Iterator[Case]:
    """Yields the cases of this chapter.

    Args:
        quick: whether to damage a file of two outputs, and two files of the state.
        outputs: the outputs of the first run, as `COMPONENT/KEY`.
        every_file: whether to damage each file of each output, one before each run, instead of one drawn of
            each.
    """
    chosen = list(QUICK_OUTPUTS) if quick else outputs
    count = len(chosen) if every_file else -(-len(chosen) // AT_ONCE)
    for kind, damage in KINDS.items():
        for number in range(count):
            yield _of_outputs(chosen[number::count], kind, damage, every_file)
    for name in STATE[:2] if quick else STATE:
        for kind, damage in KINDS.items():

            def attempt(place: Place, draw: random.Random, name: str = name, damage: Damage = damage) -> str:
                return _state(place, draw, name, damage)

            yield Case("damage", name, f"{kind}; then `run`", attempt)
    for kind, damage in KINDS.items():

        def resumed(place: Place, draw: random.Random, damage: Damage = damage) -> str:
            return _checkpoint(place, draw, damage)

        yield Case("damage", "newest checkpoint", f"killed in the training, {kind}; then `run`", resumed)


def files_of(output: Path) -> list[Path]:
    """Returns the files of an output that hold something."""
    return sorted(p for p in output.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size)


def _of_outputs(outputs: list[str], kind: str, damage: Damage, every_file: bool) -> Case:
    def attempt(place: Place, draw: random.Random) -> str:
        folders = [path for path in live_outputs(place.root) if "/".join(path.parts[-3:-1]) in outputs]
        files = [found for found in map(files_of, folders) if found]
        if not files:
            return "some outputs have no content to damage"
        drawn = [[draw.choice(found) for found in files]]
        for paths in [[path] for found in files for path in found] if every_file else drawn:
            place.restore()
            try:
                _artifacts(place, paths, damage, draw)
            except NotHeld as error:
                names = " and ".join(str(path.relative_to(place.root / "artifacts")) for path in paths)
                raise NotHeld(f"{names}: {error}") from None
        return "named, set aside and made again"

    way = "`run --verify`" if damage is flip else "`run`"
    which = "each file of each" if every_file else f"a file of each, {AT_ONCE} outputs at a time,"
    return Case("damage", "finished outputs", f"{which} {kind}; then {way}", attempt)


def _artifacts(place: Place, paths: list[Path], damage: Damage, draw: random.Random) -> None:
    """A flip changes no size: it is found where the file is read, or with --verify."""
    before = in_service(place.root)
    for path in paths:
        damage(path, draw)
    done = place.command("run", *(["--verify"] if damage is flip else []))
    spoke(done, 0)
    for path in paths:
        component, key = path.relative_to(place.root / "artifacts").parts[:2]
        aside = place.root / "set-aside" / component / key
        require(any(aside.glob("*")), f"nobody noticed: nothing of {component}/{key} was set aside")
    _whole(place, before)


def _state(place: Place, draw: random.Random, name: str, damage: Damage) -> str:
    before = in_service(place.root)
    damage(_state_file(place, draw, name), draw)
    for words in (["runs"], ["run"]):
        done = place.command(*words)
        spoke(done, 0, 1, 2)
    if done.code:
        require(len(done.last) > 20, f"refused without a sentence: {done.last}")
        return f"refused with a sentence, exit code {done.code}"
    _whole(place, before)
    return "completed; in service is a whole model"


def _state_file(place: Place, draw: random.Random, name: str) -> Path:
    serving = place.root / "serving" / "unet"
    if name == "latest.json":
        return serving / name
    if name in ("run.json", "summary.json"):
        return max(place.root.glob(f"runs/*/{name}"))
    if name == "served file":
        [version] = [path for path in serving.iterdir() if path.name.isdigit()]
        return draw.choice([path for path in files_of(version) if path.suffix != ".md"])
    return place.root / name


def _whole(place: Place, before: str) -> None:
    """Requires that in service is the model from before, or a whole one made since that loads."""
    if in_service(place.root, also={before}) != before:
        image = str(place.data / "images" / "cell_000.png")
        spoke(place.command("predict", image, "--out", str(place.folder / "masks"), "--overwrite"), 0)


def _checkpoint(place: Place, draw: random.Random, damage: Damage) -> str:
    twin = place.folder / "uninterrupted"
    (place.root).rename(twin)
    try:
        place.root.mkdir()
        (place.root / "splits.json").write_bytes((twin / "splits.json").read_bytes())
        started = place.start("run")
        try:
            wait_until(
                lambda: (
                    not started.alive
                    or (at_work(place.root, set()) == "Trainer" and len(_checkpoints(place.root)) > 1)
                ),
                300,
            )
        finally:
            started.kill()
        found = _checkpoints(place.root)
        require(bool(found), "the training wrote no checkpoint to damage")
        damage(found[-1], draw)
        spoke(place.command("run"), 0)
        in_service(place.root)
        same_weights(place.root, twin)
    finally:
        shutil.rmtree(twin)
    return "completed, weights equal to those of an uninterrupted training"


def _checkpoints(root: Path) -> list[Path]:
    return sorted(root.glob("checkpoints/**/step-*.npz"), key=lambda path: path.stat().st_mtime)
