"""Measures how the cost of data grows: check, ingest, statistics, Transform, and plain decoding by Pillow.

    python benchmarks/data.py --images 100 1000 10000
    python benchmarks/data.py --images 3 --size 20000

Creates images of grainy texture that compress like electron micrographs, with a mask each, and measures every
number of images in its own process. `pillow` is the estimated time of plain decoding of all images and masks
on all cores: the time of one core divided by their number. Compare the ratios, not the seconds, between
machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

CHECKOUT = Path(__file__).resolve().parent.parent
Image.MAX_IMAGE_PIXELS = None  # the benchmark creates the images itself
NODES = ("ImageMaskExampleGen", "StatisticsGen", "Transform")
sys.path.insert(0, str(CHECKOUT))

from benchmarks import results  # noqa: E402


def write_images(folder: Path, count: int, side: int) -> None:
    """Writes `count` images and masks of side x side pixels, no two alike, on all cores."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    with multiprocessing.Pool() as pool:
        pool.starmap(_write, [(folder, i, side) for i in range(count)], chunksize=16)


def _write(folder: Path, number: int, side: int) -> None:
    generator = np.random.default_rng(number)
    patch = min(side, 1024)
    noise = generator.integers(0, 256, (patch, patch), np.uint8)
    blobs = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(12)), np.int16)
    mask = blobs > 127
    grain = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1)), np.int16)
    pixels = np.clip(grain + np.where(mask, 30, -30), 0, 255).astype(np.uint8)
    repeats = -(-side // patch)
    for part, values in (("images", pixels), ("masks", mask.astype(np.uint8) * 255)):
        whole = np.tile(values, (repeats, repeats))[:side, :side]
        Image.fromarray(whole).save(folder / part / f"{number:06d}.png", compress_level=1)


def pillow_seconds(folder: Path) -> float:
    """Estimates the seconds of decoding all images and masks on all cores; from 100 of them on one core."""
    files = [sorted((folder / part).iterdir()) for part in ("images", "masks")]
    some = [path for several in files for path in several[:100]]
    start = time.perf_counter()
    for path in some:
        with Image.open(path) as image:
            image.load()
    return (time.perf_counter() - start) * len(files[0]) * 2 / len(some) / (os.cpu_count() or 1)


class _EnoughError(Exception):
    """Transform is done; later nodes are not measured."""


def measure(folder: Path, root: Path, settings: list[str]) -> dict[str, Any]:
    """Measures seconds and peak memory of each step on the images of a folder, in this process."""
    from pipeline.check.check import check
    from pipeline.config import profile
    from pipeline.root import Root

    overrides = {**profile.parse_overrides(settings), "data": folder, "channels": 1}
    config, place = profile.load(overrides=overrides), Root(root)
    rows: dict[str, Any] = {}

    def note(name: str, seconds: float) -> None:
        rows[name] = (seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)

    for name in ("check", "check again"):
        start = time.perf_counter()
        report = check(config, place)
        note(name, time.perf_counter() - start)
        assert report.ok, report.problems
    from pipeline import graph
    from pipeline.engine import runner
    from pipeline.history.executions import Node

    def end(node: Node) -> None:
        note(node.name, node.seconds)
        if node.name == "Transform":
            tiles = node.outputs["transformed_examples"][0].uri
            rows["tiles / padded images"] = _stored_ratio(tiles)
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        runner.run(graph.create_pipeline(config, place), "benchmark", on_end=end)
    return rows


def _stored_ratio(uri: str) -> float:
    """Returns the bytes of the stored tiles per byte of the padded images as 8-bit PNG."""
    import tensorflow as tf

    from unet.images.reader import encode_png

    stored = sum(path.stat().st_size for path in Path(uri).rglob("*.gz"))
    padded = 0
    files = sorted(map(str, Path(uri).rglob("*.gz")))
    for record in tf.data.TFRecordDataset(files, "GZIP").take(50).as_numpy_iterator():
        example = tf.train.Example.FromString(record).features.feature
        tile = tf.io.decode_png(example["tile"].bytes_list.value[0]).numpy()
        # Share of the tile in the padded image: tiles overlap.
        height, width = (example[key].int64_list.value[0] for key in ("height", "width"))
        count = example["tiles"].int64_list.value[0]
        share = (height + 184) * (width + 184) / count / tile[..., 0].size
        padded += len(encode_png(tile)) * min(1.0, share)
    tiles = sum(1 for _ in tf.data.TFRecordDataset(files, "GZIP"))
    return stored / (padded / min(50, tiles) * tiles)


def main() -> None:
    """Measures all numbers of images, each in a new process, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000], help="numbers of images")
    parser.add_argument("--size", type=int, default=512, help="side of an image in pixels")
    parser.add_argument("--set", action="append", default=[], help="a setting of the pipeline, KEY=VALUE")
    results.add_argument(parser)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        rows = measure(options.folder / "data", options.folder / "root", options.set)
        (options.folder / "rows.json").write_text(json.dumps(rows))
        return
    print(f"{'images':>7}  {'step':<22} {'seconds':>8} {'ms/image':>9} {'of pillow':>9} {'peak GB':>8}")
    for count in options.images:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_images(folder / "data", count, options.size)
            pillow = pillow_seconds(folder / "data")
            settings = [word for setting in options.set for word in ("--set", setting)]
            environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
            log = folder / "log.txt"
            with log.open("w") as output:
                done = subprocess.run(
                    [sys.executable, __file__, "--folder", name, *settings],
                    env=environment, stdout=output, stderr=output, check=False,
                )  # fmt: skip
            if done.returncode:
                sys.exit(log.read_text())
            rows = json.loads((folder / "rows.json").read_text())
            ratio = rows.pop("tiles / padded images")
            for step, (seconds, peak) in {"pillow, all cores": (pillow, float("nan")), **rows}.items():
                if step in ("pillow, all cores", "check", "check again", *NODES):
                    each = seconds / count * 1000
                    print(
                        f"{count:>7}  {step:<22} {seconds:>8.1f} {each:>9.2f} {pillow / seconds:>9.2f}"
                        f" {peak:>8.2f}"
                    )
                    results.keep(
                        options.json, "data", {"images": count, "size": options.size, "step": step},
                        {"seconds": seconds, "of pillow": pillow / seconds},
                    )  # fmt: skip
            print(f"{count:>7}  tiles take {ratio:.2f} times the bytes of the padded images", flush=True)


if __name__ == "__main__":
    main()
