"""Starts many runs at once on one root, and other commands beside a run."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator

from tools.torture.cases import Case, NotHeld
from tools.torture.kept_promises import finished, in_service, require, spoke
from tools.torture.place import Place, TooLate, at_work, until_at_work

STARTS, STARTS_QUICK = 20, 5
BESIDE: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {  # command -> its words, exit codes that may be
    "predict": (("predict", "IMAGE", "--out", "OUT", "--overwrite"), (0,)),
    "runs": (("runs",), (0,)),
    "report": (("report",), (0,)),
    "rollback": (("rollback",), (0,)),
    "promote": (("promote", "latest", "--reason", "tried"), (0, 2, 75)),
    "clean": (("clean", "--yes"), (0, 2, 75)),
    "run": (("run",), (75,)),
}


def cases(quick: bool) -> Iterator[Case]:
    """Yields the cases of this chapter."""
    starts = STARTS_QUICK if quick else STARTS

    def crowd(place: Place, draw: random.Random) -> str:
        return _crowd(place, starts)

    yield Case("crowd", "one run at a time", f"{starts} starts at once on one empty root", crowd)
    for name in ("predict", "run") if quick else BESIDE:

        def beside(place: Place, draw: random.Random, name: str = name) -> str:
            return _beside(place, draw, name)

        yield Case(
            "crowd", f"`{name}` beside a run", f"`{name}` while a component that was drawn worked", beside
        )


def _crowd(place: Place, starts: int) -> str:
    shutil.rmtree(place.root)
    started = [place.start("run") for _ in range(starts)]
    try:
        ends = [one.wait() for one in started]
    finally:
        for one in started:
            one.kill()
    for end in ends:
        spoke(end, 0, 75)
    codes = Counter(end.code for end in ends)
    require(codes == {0: 1, 75: starts - 1}, f"exit codes and how often: {dict(codes)}")
    twice = {name: count for name, count in finished(place.root).items() if count > 1}
    require(not twice, f"done twice: {twice}")
    in_service(place.root)
    return f"one run completed, the other {starts - 1} ended with 75"


def _beside(place: Place, draw: random.Random, name: str) -> str:
    model = in_service(place.root)
    if name == "rollback":  # needs another model in service to go back from
        spoke(place.command("run", "--set", "seed=1"), 0)
        require(in_service(place.root) != model, "another seed made the same model")
    newest = in_service(place.root)
    before = set(place.root.glob("runs/*"))
    component = draw.choice(("StatisticsGen", "Transform", "Tuner", "Trainer", "Evaluator"))
    words, codes = BESIDE[name]
    given = {"IMAGE": str(place.data / "images" / "cell_001.png"), "OUT": str(place.folder / "masks")}
    run = place.start("run", "--force")
    try:
        until_at_work(run, place.root, before, component)
        other = place.command(*(given.get(word, word) for word in words))
        after = at_work(place.root, before) if run.alive else "its end"
        try:
            spoke(run.wait(), 0)
            if after == "its end" and other.code == 0 and 0 not in codes:
                raise TooLate(f"the run ended before `{name}` did")
            spoke(other, *codes)
        except NotHeld as error:
            raise NotHeld(f"from {component} to {after}: {error}") from None
    finally:
        run.kill()
    now = in_service(place.root, also={model})
    require(now != newest or name != "rollback", "the model that was withdrawn is in service")
    return f"exit code {other.code}" + (f": {other.last}" if other.code else "") + "; the run completed"
