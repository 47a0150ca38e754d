"""Masks of images, through an exported model. Imports TensorFlow, and nothing else that is heavy."""

from __future__ import annotations

import collections
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from components import images
from components.example_gen.sample import is_ignored
from components.versions import newest_version, training_record
from pipeline.exit_codes import BAD_INPUT, OK
from pipeline.layout import Root


def predict(
    inputs: Sequence[Path], out: Path, root: Path, model: Path | None = None, probabilities: bool = False
) -> int:
    """Writes `OUT/NAME.png` for every image, with the class values of the training masks.

    Each page of a multi-page TIFF is an image: `OUT/NAME-0000.png` and so on. A file that cannot be used is
    reported and the rest go on.

    Args:
        inputs: image files, and folders whose files are all images.
        out: folder for the masks; created where missing.
        root: the last model that was pushed there is used, unless `model` is given.
        model: folder of a SavedModel.
        probabilities: also write `OUT/NAME.CLASS.png`, 16-bit grey: 65535 is a probability of 1.

    Returns:
        0, or 2 if the arguments or any file could not be used.
    """
    files, problems = _files(inputs)
    if model is None:
        serving = Root(root.absolute()).serving
        version = newest_version(serving)
        model = serving / str(version) if version else None
        if model is None:
            problems.append(
                f"{serving}: no model was pushed yet: run `python run_pipeline.py` first, or give --model"
            )
    elif not (model / "saved_model.pb").is_file():
        problems.append(f"{model}: not a SavedModel: give the folder that holds saved_model.pb")
    if problems or model is None:
        print("\n".join(problems), file=sys.stderr)
        return BAD_INPUT

    record = training_record(model)
    classes = record.get("classes", []) if probabilities else []
    pages = [(path, page) for path in files for page in _pages(path)]
    targets = [out / name for path, page in pages for name in _names(path, page, classes)]
    problems += _collisions(files, targets)
    if out.exists() and not out.is_dir():
        problems.append(f"{out}: a file: give a folder for the masks")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return BAD_INPUT

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # a person looks at this terminal, and no log keeps the chatter
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

    try:
        signatures = tf.saved_model.load(str(model)).signatures
        serve, explain = signatures["serving_default"], signatures["probabilities"]
    except (OSError, ValueError, KeyError) as error:
        print(f"{model}: not a model of this pipeline, or a damaged one: {error}", file=sys.stderr)
        return BAD_INPUT
    out.mkdir(parents=True, exist_ok=True)
    bad = 0
    for number, (path, page) in enumerate(pages, 1):
        try:
            image = images.read_image(path, page=page or 0, value_range=record.get("value_range"))
            encoded = tf.constant([image.data])
            answers = [serve(image_bytes=encoded)["mask_bytes"][0]]
            if probabilities:
                answers += list(explain(image_bytes=encoded)["probabilities_bytes"][0])
            for name, png in zip(_names(path, page, classes), answers, strict=True):
                _write(out / name, png.numpy())
        except (images.ImageError, OSError) as error:
            bad += 1
            print(f"{path}: {error}", file=sys.stderr)
        except tf.errors.OpError as error:
            bad += 1
            print(f"{path}: {error.message}", file=sys.stderr)
        if sys.stdout.isatty():
            print(f"\r{number}/{len(pages)}", end="", flush=True)
    print(f"\r{len(pages) - bad} of {len(pages)} masks in {out}, by {model}")
    return BAD_INPUT if bad else OK


def _pages(path: Path) -> list[int | None]:
    """The pages of a multi-page TIFF; None for a file that is one image."""
    try:
        count = images.count_pages(path)
    except images.ImageError:
        return [None]  # reading it says what is wrong
    return list(range(count)) if count > 1 else [None]


def _names(image: Path, page: int | None, classes: Sequence[str]) -> list[str]:
    """Names of the files that are written for an image: the mask, and a probability for each class."""
    stem = image.stem if page is None else f"{image.stem}-{page:04d}"
    return [f"{stem}.png", *(f"{stem}.{name}.png" for name in classes)]


def _collisions(files: Sequence[Path], targets: Sequence[Path]) -> list[str]:
    """A line for each file that would be written twice, or over an image."""
    inputs = {path.resolve() for path in files}
    over = [f"{path}: would be written over that image: give another --out" for path in targets
            if path.resolve() in inputs]  # fmt: skip
    twice = [path for path, count in collections.Counter(targets).items() if count > 1]
    return over + [f"{path}: several images would become this file: predict them apart" for path in twice]


def _files(inputs: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """All image files that the arguments name, and a line for each argument that cannot be used."""
    files: list[Path] = []
    problems = []
    for path in inputs:
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.is_file()]
            found = [p for p in inside if not is_ignored(p)]
            files += found
            if not found:
                below = " or ".join(str(p) for p in sorted(path.iterdir()) if p.is_dir())
                problems.append(
                    f"{path}: no files in it: give a folder of images" + (f", {below}?" if below else "")
                )
        elif path.is_file():
            files.append(path)
        else:
            problems.append(f"{path}: there is no such file or folder")
    return files, problems


def _write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
