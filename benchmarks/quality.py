"""Measures the time to quality: the scores of held-out images after equal minutes of training, beside peers.

    make setup-peers
    python benchmarks/quality.py --sets nuclei --minutes 2 --seeds 0
    python benchmarks/quality.py --sets isbi --isbi ISBI --minutes 2,5,15 --seeds 0,1 --out quality
    python benchmarks/quality.py --sets isbi --isbi ISBI --steps ours=2240,monai=1155 --methods ours,monai
    python benchmarks/quality.py --sets borders --borders DSB --folds 0,1,2

The same images to learn from, the same held-out images, the same cores, the same minutes of training for all,
one method after the other. Ours is a run of the pipeline, whose held-out images are its test split; a peer
learns from the train and the eval split. All are scored by the functions of the gate. Results are kept in
OUT/results.json, and what is there is not measured again: sets, minutes, seeds, or by `--set` other settings
of ours, may be added later. On a machine that has other work, or is not the one of earlier results, `--steps`
takes the place of the clock: the steps that each method did in so many minutes on a quiet machine, as those
results tell, and `--steps-of` names its processor. All train in the same precision: bfloat16 where the
processor multiplies it, as the pipeline does by default, or `--precision float32`. Then the tables of all
results are printed: the mean over folds and seeds, and the standard deviation between them.

- `isbi`: ISBI 2012 as folders `images` and `masks` of 25 slices. Three blocks of slices are held out in turn;
  `--folds 3,4` takes two other blocks, by which the settings of the profile were chosen.
- `nuclei`: the bundled nuclei without their test split, five folds. `--folds 0` takes the first alone.
- `borders`: nuclei, fluorescent and stained, in three classes, background 0, nucleus 1, border 2; a folder
  with `images` and `masks3`. Every fifth image is held out, five folds. Alpha channels are dropped. With
  a folder `labels` of the number of each nucleus, nuclei without their borders are scored as objects.

Settings may be chosen by folds 3 and 4, never by the first three.

Without the environment of the peers, the rows of those in PyTorch are left out.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from benchmarks.results import processor  # noqa: E402
from unet.masks.labels import IGNORE  # noqa: E402
from unet.masks.object_rule import ObjectRule  # noqa: E402
from unet.metrics import confusion, objects, segments  # noqa: E402
from unet.metrics.names import MIN_OBJECT_SIZE  # noqa: E402

PEERS = CHECKOUT / ".venv-peers/bin/python"
METHODS = ("ours", "monai", "dynunet", "smp", "keras")
CLASSES = {
    "isbi": {"membrane": 0, "cell": 255},
    "nuclei": {"background": 0, "nucleus": 255},
    "borders": {"background": 0, "nucleus": 1, "border": 2},
}
# Of ISBI's slices, counted from 1. Settings may be chosen by the last two, never by the first three.
BLOCKS = (range(1, 6), range(11, 16), range(21, 26), range(6, 11), range(16, 21))
# Scores by set, and whether more is better.
SCORES = {
    "isbi": {"pixel_error": False, "v_rand": True, "v_info": True},
    "nuclei": {"foreground_iou": True, "pixel_error": False},
    "borders": {"mean_iou": True, "pixel_error": False, "object_f1": True, "object_ap": True},
}
# What the pipeline is told besides the profile: all labeled images but the held-out ones are learned from.
OURS = {
    "isbi": ["--profile", "isbi2012", "--set", "slices_per_group=0"],  # the manifest splits
    "nuclei": ["--set", "refit=true", "--set", "tune=never"],
    # `check` proposes this loss for a rare class; the peers have it, too.
    "borders": ["--set", "refit=true", "--set", "tune=never", "--set", "loss=cross_entropy+dice"],
}
RULE = ObjectRule(min_size=MIN_OBJECT_SIZE)
GATE = ["--set", "thresholds={pixel_error=1.0}", "--set", "segment_scores=false"]  # any model counts


def folders(options: argparse.Namespace, name: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """Yields the number of each fold, and a data folder with its manifest."""
    if name == "isbi":
        images = sorted((options.isbi / "images").iterdir())
        rows = [(path, options.isbi / "masks" / path.name) for path in images]
        folds = [{block.start - 1 + i for i in range(len(block))} for block in BLOCKS]
    elif name == "borders":
        images = without_alpha(sorted((options.borders / "images").iterdir()), folder / "rgb")
        rows = [(path, options.borders / "masks3" / path.name) for path in images]
        folds = [set(range(fold, len(rows), 5)) for fold in range(5)]
    else:
        source = CHECKOUT / "data/nuclei"
        with (source / "manifest.csv").open(newline="") as file:
            listed = [row for row in csv.DictReader(file) if row["split"] != "test"]
        rows = [(source / row["image"], source / row["mask"]) for row in listed]
        folds = [{i for i, row in enumerate(listed) if row["fold"] == str(fold)} for fold in range(5)]
    chosen = options.folds if options.folds is not None else range(3)
    for number, held_out in enumerate(folds):
        if number in chosen:
            yield number, write_folder(folder / f"{name}-{number}", rows, held_out)


def without_alpha(images: list[Path], folder: Path) -> list[Path]:
    """Writes the images in RGB: all methods shall see the same channels."""
    folder.mkdir(exist_ok=True)
    for path in images:
        with Image.open(path) as image:
            image.convert("RGB").save(folder / path.name)
    return [folder / path.name for path in images]


def write_folder(folder: Path, rows: list[tuple[Path, Path]], held_out: set[int]) -> Path:
    """Links images and masks into a folder with a manifest; the last two that are not held out are eval."""
    last = [i for i in range(len(rows)) if i not in held_out][-2:]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mask", "split"])
        for i, (image, mask) in enumerate(rows):
            for kind, path in (("images", image), ("masks", mask)):
                (folder / kind / path.name).symlink_to(path.resolve())
            split = "test" if i in held_out else "eval" if i in last else "train"
            writer.writerow([f"images/{image.name}", f"masks/{mask.name}", split])
    return folder


def held_out(folder: Path, classes: dict[str, int]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yields name and class indices of each test image."""
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "test":
                mask = np.asarray(Image.open(folder / row["mask"]))
                truth = np.full(mask.shape, IGNORE, np.uint8)
                for index, value in enumerate(classes.values()):
                    truth[mask == value] = index
                yield Path(row["image"]).stem, truth


def ours(
    options: argparse.Namespace, name: str, folder: Path, minutes: float, seed: int, out: Path
) -> dict[str, Any]:
    """Runs the pipeline, and predicts the held-out images with and without test-time augmentation."""
    root = out / "root"
    run = ["run", "--data", folder, "--root", root, *OURS[name], *GATE]
    run += [word for setting in options.set for word in ("--set", setting)]
    classes = ", ".join(f"{label} = {value}" for label, value in CLASSES[name].items())
    budget = f"steps={options.steps['ours']}" if "ours" in options.steps else f"minutes={minutes}"
    run += ["--set", f"classes={{{classes}}}", "--set", budget, "--set", f"seed={seed}"]
    run += ["--set", f"precision={'mixed_bfloat16' if options.precision == 'bfloat16' else 'float32'}"]
    pipeline(*run)
    [summary] = (root / "runs").glob("*/summary.json")
    images = [folder / "images" / f"{stem}.png" for stem, _ in held_out(folder, CLASSES[name])]
    [version] = (root / "serving/unet").glob("[0-9]*")
    pipeline("average", "--model", version, "--out", out / "averaged", "--test-time-augmentation")
    for number, model in enumerate((version, *(out / "averaged").glob("[0-9]*"))):
        pipeline("predict", *images, "--model", model, "--out", out / str(number), "--probabilities")
    for stem, truth in held_out(folder, CLASSES[name]):
        both = np.empty((2, *truth.shape, len(CLASSES[name])), np.float16)
        for number in range(2):
            found = []
            for label in list(CLASSES[name])[1:]:
                with Image.open(out / str(number) / f"{stem}.{label}.png") as image:
                    found.append(np.asarray(image, np.float32) / 65535)  # [H, W]
            both[number] = np.stack([1 - sum(found), *found], -1)  # [H, W, classes]
        np.save(out / f"{stem}.npy", both)
    card = json.loads((version / "assets.extra/model_card.json").read_text())
    return {"steps": card["training"]["steps"], "run": json.loads(summary.read_text())["components"]}


def pipeline(*words: Any) -> None:
    """Runs a command of the pipeline; its output is shown if it fails."""
    done = subprocess.run(
        [sys.executable, CHECKOUT / "run_pipeline.py", *map(str, words)], capture_output=True, text=True
    )
    if done.returncode not in (0, 3):
        sys.exit(f"{done.stdout}{done.stderr}\n{' '.join(map(str, words))}")


def peer(
    options: argparse.Namespace, method: str, name: str, folder: Path, minutes: float, seed: int, out: Path
) -> dict[str, Any]:
    """Trains a peer, in the environment of the peers unless it is one of TensorFlow."""
    python = sys.executable if method == "keras" else PEERS
    words = [method, folder, "--classes", json.dumps(CLASSES[name]), "--minutes", minutes, "--seed", seed]
    if method in options.steps:
        words += ["--steps", options.steps[method]]
    words += ["--bfloat16"] if options.precision == "bfloat16" else []
    words += ["--out", out]
    subprocess.run([python, CHECKOUT / "benchmarks/peers/train.py", *map(str, words)], check=True)
    return json.loads((out / "facts.json").read_text())


def scores(name: str, folder: Path, out: Path, labels: Path) -> list[dict[str, float]]:
    """Scores the predictions without and with test-time augmentation.

    Args:
        name: name of the set.
        folder: the data of this fold.
        out: folder of the predictions.
        labels: folder of the numbers of the objects of the second class, if there are any.
    """
    found = []
    classes = list(CLASSES[name])
    for augmented in range(2):
        counts, each = np.zeros((len(classes),) * 2, np.int64), []
        of_objects = np.zeros(objects.COUNTS)
        for stem, truth in held_out(folder, CLASSES[name]):
            predicted = np.load(out / f"{stem}.npy")[augmented].astype(np.float32)  # [H, W, classes]
            counted = truth != IGNORE
            pairs = truth[counted].astype(np.int64) * len(classes) + predicted.argmax(-1)[counted]
            counts += np.bincount(pairs, minlength=len(classes) ** 2).reshape(counts.shape)
            if "v_rand" in SCORES[name]:
                each.append(segments.scores(predicted[..., 1], truth, IGNORE))
            if "object_f1" in SCORES[name] and labels.is_dir():
                numbers = np.asarray(Image.open(labels / f"{stem}.png"))  # [H, W]
                mask = predicted.argmax(-1).astype(np.uint8)
                of_objects += objects.object_counts(mask, truth, counted, 2, 1, numbers, RULE)[0]
        values = confusion.summarize(counts, classes)
        if each:
            values["v_rand"], values["v_info"] = segments.best(np.mean(each, 0))
        if of_objects.any():
            f1, average_precision, _ = objects.scores(of_objects)
            values |= {"object_f1": float(f1), "object_ap": float(average_precision)}
        found.append({score: float(values[score]) for score in SCORES[name] if score in values})
    return found


def scores_of(rows: list[dict[str, Any]]) -> dict[str, bool]:
    """The scores that all of these results of a set have, and whether more is better."""
    known = SCORES[rows[0]["set"]]
    return {name: more for name, more in known.items() if all(name in row["scores"][0] for row in rows)}


def table(results: list[dict[str, Any]]) -> None:
    """Prints a row for each method: its mean scores, with the standard deviation over folds and seeds."""
    keys = ("set", "minutes", "precision")
    found = sorted({(*(row[key] for key in keys), augmented) for row in results for augmented in (0, 1)})
    for name, minutes, precision, augmented in found:
        shown = [row for row in results if [row[key] for key in keys] == [name, minutes, precision]]
        print(f"\n{name}, {minutes:g} minutes, {precision}" + (", test-time augmentation" * augmented))
        print(f"{'':<10}{'steps':>7}{'runs':>6}", *(f"{score:>18}" for score in scores_of(shown)))
        for method, settings in sorted({(row["method"], tuple(row["settings"])) for row in shown}):
            rows = [row for row in shown if (row["method"], tuple(row["settings"])) == (method, settings)]
            cells = []
            for score in scores_of(shown):
                values = [row["scores"][augmented][score] for row in rows]
                cells.append(f"{statistics.mean(values):>9.4f} ± {statistics.pstdev(values):.4f}")
            steps, named = statistics.median(row["steps"] for row in rows), " ".join((method, *settings))
            print(f"{named:<10}{steps:>7.0f}{len(rows):>6}", *(f"{cell:>18}" for cell in cells))


def main() -> None:
    """Measures what is not measured yet, one training after the other, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", default="nuclei", help="isbi, nuclei, borders, by commas (default: nuclei)")
    parser.add_argument("--isbi", type=Path, help="folder of ISBI 2012")
    parser.add_argument("--borders", type=Path, help="folder of nuclei in three classes, see above")
    parser.add_argument("--folds", help="numbers of folds, by commas (default: all but those of settings)")
    parser.add_argument("--minutes", default="5", help="minutes of training, by commas (default: 5)")
    parser.add_argument(
        "--steps",
        default="",
        metavar="METHOD=N,...",
        help="steps by method, instead of the clock; --minutes names the time that they stand for",
    )
    parser.add_argument(
        "--steps-of", default=processor(), metavar="PROCESSOR", help="where the methods did so many steps"
    )
    parser.add_argument("--precision", choices=("bfloat16", "float32"), help="default: see above")
    parser.add_argument("--seeds", default="0,1", help="by commas (default: 0,1)")
    parser.add_argument(
        "--methods", default=",".join(METHODS), help=f"by commas (default: {','.join(METHODS)})"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for ours, as for run"
    )
    parser.add_argument("--out", type=Path, default=CHECKOUT / "build/quality", help="default: build/quality")
    options = parser.parse_args()
    options.folds = [int(fold) for fold in options.folds.split(",")] if options.folds else None
    steps = [words.split("=") for words in options.steps.split(",") if words]
    options.steps = {method: int(number) for method, number in steps}
    if options.precision is None:
        from unet.training.build import precision_of  # takes seconds, as it loads TensorFlow

        options.precision = precision_of("auto").removeprefix("mixed_")
    needed = {"isbi": "the folder of ISBI 2012", "borders": "a folder with images and masks3"}
    for name, what in needed.items():
        if name in options.sets and not getattr(options, name):
            parser.error(f"--sets {name} needs --{name}, {what}")
    methods = options.methods.split(",")
    if not PEERS.exists() and (missing := set(methods) - {"ours", "keras"}):
        print(f"Without {', '.join(sorted(missing))}: `make setup-peers` installs them.")
        methods = [method for method in methods if method not in missing]
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "results.json"
    results = json.loads(file.read_text()) if file.exists() else []
    # Of earlier versions of this.
    results = [{"precision": "unknown", "settings": [], **row} for row in results]
    minutes, seeds = map(float, options.minutes.split(",")), map(int, options.seeds.split(","))
    trainings = [*itertools.product(minutes, seeds, methods)]
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.sets.split(","):
            for fold, folder in folders(options, name, Path(temporary)):
                for budget, seed, method in trainings:
                    key: dict[str, Any] = {"set": name, "fold": fold, "minutes": budget, "seed": seed}
                    key |= {"method": method, "precision": options.precision}
                    key["settings"] = options.set if method == "ours" else []
                    if any(key.items() <= row.items() for row in results):
                        continue
                    out = Path(tempfile.mkdtemp(prefix=f"{method}-", dir=temporary))
                    began = time.monotonic()
                    if method == "ours":
                        facts = ours(options, name, folder, budget, seed, out)
                    else:
                        facts = peer(options, method, name, folder, budget, seed, out)
                    row = {**key, **facts, "seconds": round(time.monotonic() - began)}
                    row["processor"] = processor()
                    if method in options.steps:
                        row |= {"processor": options.steps_of, "trained_on": processor()}
                    row["scores"] = scores(name, folder, out, (options.borders or CHECKOUT) / "labels")
                    print({**key, "steps": row["steps"]}, row["scores"], flush=True)
                    results.append(row)
                    file.write_text(json.dumps(results, indent=1))
    table(results)


if __name__ == "__main__":
    main()
