"""Measures everything that the documentation states, one measurement after the other, on an idle machine.

    make bench                                     # all but the scores beside peers
    make bench ARGS="--isbi isbi2012/"             # those, too: many hours
    make bench ARGS="--only step image"

Every measurement is a ratio of things that are done in turn on this machine. The tables are printed, and the
results kept in JSON files: those of speed in that of `--json`, scores, which are not measured twice, in
build/quality/results.json.
Peers are PyTorch, MONAI and segmentation-models-pytorch, in an environment of their own (`make setup-peers`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What is measured -> programs with their arguments; ROOT is an empty folder.
PROGRAMS = {
    "step": [
        "training.py --set base_filters=8",
        "training.py --set base_filters=16",
        "training.py --set base_filters=64 --set patch_size=572 --set batch_size=1 --steps 4 --rounds 3",
    ],
    "image": [
        "inference.py --size 512 --filters 8 16 64 --repeats 10",
        "inference.py --size 2048 --filters 8 16 64",
        "inference.py --size 8192 --filters 8 --repeats 2",
    ],
    "data": ["data.py --images 100 1000"],
    "night": ["parts.py"],
    "server": ["../run_pipeline.py run --root ROOT", "serving.py overhead --models ROOT/serving/unet"],
    "reliability": ["reliability.py"],
}
MINUTES = "2,5,15"


def main() -> int:
    """Runs the programs, and returns 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*PROGRAMS, "quality"], help="default: all")
    parser.add_argument(
        "--isbi", type=Path, help="folder of ISBI 2012: scores after equal minutes, beside peers"
    )
    parser.add_argument("--borders", type=Path, help="nuclei in three classes, as of quality.py, likewise")
    parser.add_argument(
        "--json", type=Path, default=Path("build/speed.json"), help="default: build/speed.json"
    )
    options = parser.parse_args()
    chosen = options.only or [*PROGRAMS, *(["quality"] if options.isbi else [])]
    todo = [words.split() for name in chosen for words in PROGRAMS.get(name, [])]
    for words in todo:
        words += [] if "run" in words else ["--json", str(options.json)]
    if "quality" in chosen:
        given = {"isbi": options.isbi, "borders": options.borders}
        folders = [word for name, path in given.items() if path for word in (f"--{name}", str(path))]
        sets = ",".join(["nuclei", *(name for name, path in given.items() if path)])
        todo.append(["quality.py", "--sets", sets, *folders, "--minutes", MINUTES])
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        for program, *words in todo:
            print(f"\n== {program} {' '.join(words)}", flush=True)
            began = time.monotonic()
            command = [sys.executable, str(HERE / program), *(word.replace("ROOT", root) for word in words)]
            failed += bool(subprocess.run(command).returncode)
            print(f"== {time.monotonic() - began:.0f} s", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
