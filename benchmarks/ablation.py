"""Measures the benefit of each part of the training: the same budget of steps with and without, three folds.

    python benchmarks/ablation.py --root ablation
    python benchmarks/ablation.py --root ablation --only flips,dice --seeds 0

Each variant is a whole run of the pipeline on the bundled nuclei. Seed k is scored on fold k of the images
that are not in the test split; test images are not used. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
# The learning rate is the one that the search of the default profile chooses; SGD's was chosen on fold 0.
BUDGET = {
    "tune": "never", "learning_rate": 0.0022, "steps": 600, "validate_every": 150,
    "thresholds": "{foreground_iou=0.0}",
}  # fmt: skip
# Other settings are the defaults: flips, quarter turns, changes of brightness and contrast; Adam.
VARIANTS: dict[str, dict[str, object]] = {
    "none": {"flip": "none", "quarter_turns": "false", "brightness_contrast": 0},
    "flips": {"brightness_contrast": 0},
    "brightness and contrast": {},
    "elastic": {"spatial_augment_prob": 0.5},
    "weights": {"border_weight": 10},
    "dice": {"loss": "{cross_entropy=1.0, dice=1.0}"},
    "adamw": {"optimizer": "adamw"},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.004},
}


def score(root: Path, settings: dict[str, object]) -> float:
    """Returns the foreground IoU of a run with these settings, on its test images."""
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, CHECKOUT / "run_pipeline.py", "run", "--root", root, *sets]
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
    summaries = sorted((root / "runs").glob("*/summary.json"))
    return float(json.loads(summaries[-1].read_text(encoding="utf-8"))["metrics"]["foreground_iou"])


def main() -> None:
    """Prints a row for each variant: the mean and the score of each fold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder for the runs, a root each")
    parser.add_argument("--only", default=",".join(VARIANTS), help="variants, by commas")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    for name in options.only.split(","):
        scores = []
        for seed in map(int, options.seeds.split(",")):
            settings = {**BUDGET, "fold": seed, "seed": seed, **VARIANTS[name]}
            scores.append(score(options.root / f"{name}-{seed}", settings))
        print(
            f"{name:<10} {statistics.mean(scores):.3f}  ", *(f"{value:.3f}" for value in scores), flush=True
        )


if __name__ == "__main__":
    main()
