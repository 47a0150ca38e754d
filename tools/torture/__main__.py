"""The command line: tries the cases of the chosen chapters and prints their table."""

from __future__ import annotations

import argparse
import contextlib
import queue
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.torture import changed_data, configurations, crowd, damage, edits, full_disk, kills, limits, nights
from tools.torture.cases import Case, NotHeld, Row, Skipped, generator, table
from tools.torture.kept_promises import live_outputs
from tools.torture.place import Place, TooLate, first_run

CHAPTERS = {
    "nights": nights,  # the longest cases first
    "kills": kills,
    "damage": damage,
    "crowd": crowd,
    "changed_data": changed_data,
    "full_disk": full_disk,
    "limits": limits,
    "configurations": configurations,
    "edits": edits,
}
SEED = 2015
TRIES = 3  # of a case whose instant is missed


def cases(chapter: str, place: Place, quick: bool, every_file: bool) -> Iterator[Case]:
    """Yields the cases of a chapter.

    Args:
        chapter: name of the chapter.
        place: the place with a finished root.
        quick: whether to try few cases.
        every_file: whether to damage each file instead of one of each output.
    """
    if chapter == "damage":
        outputs = ["/".join(path.parts[-3:-1]) for path in sorted(live_outputs(place.root))]
        return damage.cases(quick, outputs, every_file)
    found: Iterator[Case] = CHAPTERS[chapter].cases(quick)
    return found


def attempt(case: Case, place: Place, seed: int, number: int) -> tuple[str, bool | None]:
    """Tries a case on the place as the first run left it, up to three times where its instant is missed.

    Returns:
        What was found, and whether the promise was kept; None if the case was skipped.
    """
    late = ""
    for _ in range(TRIES):
        place.restore()
        try:
            return case.attempt(place, generator(seed, case.chapter, case.name, case.done, number)), True
        except TooLate as instant:
            late = str(instant)
        except Skipped as reason:
            return str(reason), None
        except NotHeld as error:
            return f"**{error}**", False
        except Exception as error:  # a case that breaks must not take the others with it
            return f"**the case broke: {type(error).__name__}: {error}**", False
    return f"**{TRIES} times too late: {late}**", False


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries the cases, prints the table, and returns 1 if any promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tools.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help=f"of all that is drawn (default: {SEED})")
    parser.add_argument("--chapter", action="append", choices=CHAPTERS, help="may be repeated (default: all)")
    parser.add_argument("--quick", action="store_true", help="few cases of each chapter")
    parser.add_argument("--times", type=int, default=1, help="how often each case is tried (default: 1)")
    parser.add_argument("--every-file", action="store_true", help="damage each file, not one of each output")
    parser.add_argument(
        "--jobs", type=int, default=2, help="cases at once, in places of their own (default: 2)"
    )
    options = parser.parse_args(arguments)
    began = time.monotonic()
    rows: dict[tuple[str, str, str], Row] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        places = [stack.enter_context(first_run(folder / f"place-{job}")) for job in range(options.jobs)]
        pool = ThreadPoolExecutor(options.jobs)
        free: queue.Queue[Place] = queue.Queue()
        for place in places:
            free.put(place)

        def trial(case: Case, number: int) -> tuple[Case, str, bool | None]:
            place = free.get()
            try:
                found, held = attempt(case, place, options.seed, number)
            finally:
                free.put(place)
            word = {True: "held", False: "NOT HELD", None: "skipped"}[held]
            name = f"{case.chapter}: {case.name}, {case.done}: {found}"
            print(f"{time.monotonic() - began:6.0f} s  {word:8}  {name}", file=sys.stderr, flush=True)
            return case, found, held

        chapters = options.chapter or CHAPTERS
        todo = [c for name in chapters for c in cases(name, places[0], options.quick, options.every_file)]
        numbers: Counter[tuple[str, str, str]] = Counter()
        trials = []
        for case in todo:
            for _ in range(options.times):
                key = (case.chapter, case.name, case.done)
                trials.append(pool.submit(trial, case, numbers[key]))
                numbers[key] += 1
        stack.callback(pool.shutdown, cancel_futures=True)  # whoever is interrupted starts no other case
        for ended in trials:
            case, found, held = ended.result()
            row = rows.setdefault((case.chapter, case.name, case.done), Row(case.done))
            if held is None:
                row.found = [found]
            else:
                row.add(found, held)
    print(table((chapter, name, row) for (chapter, name, _), row in rows.items()))
    return int(any(row.held < row.tried for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
