"""Measures time and file size of a report for several numbers of test images.

.venv/bin/python benchmarks/report.py [--images 100 1000] [--size 512]

The evaluations are synthetic (`data/synthetic_evaluation.py`); the time is that of the whole command with its
start.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from data.synthetic_evaluation import write_evaluation
from pipeline.config.settings import PipelineConfig
from pipeline.history.record import RunRecord

_MAKE = """
import sys
from pathlib import Path
from pipeline.history.executions import Artifact, Node
from pipeline import history
from pipeline.root import Root
from pipeline.report.page import report
root = Root(Path(sys.argv[1]))
run = history.load(root.path, "latest")
evaluation = Artifact(1, str(root.path / "evaluation"), "ModelEvaluation", {})
run.nodes.append(Node("Evaluator", "done", outputs={"evaluation": [evaluation]}))
(run.folder / "report.html").write_text(report(root, run), encoding="utf-8")
"""


def measure(images: int, size: int) -> tuple[float, float, int]:
    """Returns wall-clock seconds, processor seconds and bytes of a report of `images` square images."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "runs" / "20261125-000000"
        folder.mkdir(parents=True)
        config = PipelineConfig().model_dump(mode="json")
        RunRecord(folder.name, "2026-11-25T00:45:05+0000", config=config).write(folder)
        write_evaluation(root / "evaluation", images, (size, size), drawn=12)
        start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        checkout = Path(__file__).parent.parent
        subprocess.run([sys.executable, "-c", _MAKE, name], cwd=checkout, check=True)
        seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        at_work = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
        return seconds, at_work, (folder / "report.html").stat().st_size


def main() -> None:
    """Measures all numbers of images and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000], help="numbers of test images")
    parser.add_argument("--size", type=int, default=512, help="side of an image in pixels")
    options = parser.parse_args()
    print(f"{'test images':>11}  {'seconds':>8}  {'of the processor':>16}  {'megabytes':>9}")
    for images in options.images:
        seconds, at_work, size = measure(images, options.size)
        print(f"{images:>11}  {seconds:>8.1f}  {at_work:>16.1f}  {size / 1e6:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
