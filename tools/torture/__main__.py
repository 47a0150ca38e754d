"""The command line: tries the cases of the chosen chapters and prints their table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.torture import crowd, damage, edits, full_disk, kills
from tools.torture.cases import Case, NotHeld, Row, Skipped, generator, table
from tools.torture.kept_promises import live_outputs
from tools.torture.place import Place, first_run

CHAPTERS = ("edits", "crowd", "full_disk", "kills", "damage")  # the longest last
SEED = 2015


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
    return {"edits": edits, "crowd": crowd, "full_disk": full_disk, "kills": kills}[chapter].cases(quick)


def attempt(case: Case, place: Place, seed: int, number: int) -> tuple[str, bool | None]:
    """Tries a case on the place as the first run left it.

    Returns:
        What was found, and whether the promise was kept; None if the case was skipped.
    """
    place.restore()
    try:
        return case.attempt(place, generator(seed, case.chapter, case.name, case.done, number)), True
    except Skipped as reason:
        return str(reason), None
    except NotHeld as error:
        return f"**{error}**", False
    except Exception as error:  # a case that breaks must not take the others with it
        return f"**the case broke: {type(error).__name__}: {error}**", False


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries the cases, prints the table, and returns 1 if any promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tools.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help=f"of all that is drawn (default: {SEED})")
    parser.add_argument("--chapter", action="append", choices=CHAPTERS, help="may be repeated (default: all)")
    parser.add_argument("--quick", action="store_true", help="few cases of each chapter")
    parser.add_argument("--times", type=int, default=1, help="how often each case is tried (default: 1)")
    parser.add_argument("--every-file", action="store_true", help="damage each file, not one of each output")
    options = parser.parse_args(arguments)
    rows: dict[tuple[str, str, str], Row] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as folder, first_run(Path(folder, "place")) as place:
        for chapter in options.chapter or CHAPTERS:
            for case in cases(chapter, place, options.quick, options.every_file):
                row = rows.setdefault((case.chapter, case.name, case.done), Row(case.done))
                for _ in range(options.times):
                    found, held = attempt(case, place, options.seed, row.tried)
                    if held is None:
                        row.found = [found]
                    else:
                        row.add(found, held)
                    word = {True: "held", False: "NOT HELD", None: "skipped"}[held]
                    spent = time.monotonic() - began
                    print(f"{spent:6.0f} s  {word:8}  {case.chapter}: {case.name}, {case.done}: {found}",
                          file=sys.stderr, flush=True)  # fmt: skip
    print(table((chapter, name, row) for (chapter, name, _), row in rows.items()))
    return int(any(row.held < row.tried for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
