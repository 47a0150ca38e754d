"""What the Evaluator leaves beside TFMA's own files: the verdict, a table of the images, and pictures.

Plain JSON and pictures, read and written here alone; no TensorFlow is needed. JSON has no NaN: what could not
be measured is null there, and None here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
from typing_extensions import TypedDict  # below Python 3.12 pydantic takes no other

from unet.files import atomic_write

VERDICT, IMAGES, PICTURES = "verdict.json", "images.json", "pictures"
INDEX = "index.json"  # in the folder of pictures

Number = float | None  # None: could not be measured


class EvaluationDamaged(ValueError):
    """A file of an evaluation cannot be used; the message says which, why, and what to do."""


class Check(TypedDict):
    """One thing that the gate demands.

    `slice` is "" for all test images. A "threshold" compares `value` with `bound`; a "drop" allows it to be
    worse than `baseline` by `bound`, and by more where that may be chance. `margin` is how much is left.
    `low` and `high` are the 95 % interval of `value`, of a drop that of value less baseline, `p` is that of
    the paired bootstrap. `by_chance`: the drop is larger than allowed, and passed because
    chance may explain it.
    """

    metric: str
    slice: str
    kind: Literal["threshold", "drop"]
    value: Number
    bound: float
    baseline: Number
    margin: Number
    low: Number
    high: Number
    p: Number
    passed: bool
    by_chance: bool
    images: int


class Baseline(TypedDict):
    """Whether there was a model to compare with, and why; `model_id` is its id in ML Metadata."""

    state: Literal["compared", "none", "incomparable", "rebaselined"]
    why: str
    model_id: int | None


class Metric(TypedDict):
    """A metric over all test images, the 95 % bootstrap interval, and the last blessed model's value."""

    value: Number
    low: Number
    high: Number
    baseline: Number


class Slice(TypedDict):
    """Metrics over a part of the test images; `baseline` is None where nothing was compared."""

    images: int
    metrics: dict[str, Number]
    baseline: dict[str, Number] | None


class Bin(TypedDict):
    """Pixels whose class has about this probability: its mean, the share that is right, how many."""

    confidence: Number
    accuracy: Number
    pixels: int


class Calibration(TypedDict):
    """Reliability bins over all test images, and the expected calibration error."""

    bins: list[Bin]
    ece: Number


class Verdict(TypedDict):
    """What the gate decided, and on what; `confusion` has a row for each true class."""

    blessed: bool
    reason: str
    classes: list[str]
    images: int
    baseline: Baseline
    checks: list[Check]
    metrics: dict[str, Metric]
    slices: dict[str, Slice]
    confusion: list[list[int]]
    calibration: Calibration


_VERDICT = pydantic.TypeAdapter(Verdict)


class ImageBaseline(TypedDict):
    """What the last blessed model made of an image."""

    confusion: list[list[int]]
    metrics: dict[str, Number]


class ImageRow(TypedDict):
    """One test image; `foreground` is the share of its true pixels that are not of the first class."""

    name: str
    height: int
    width: int
    bit_depth: int
    foreground: Number
    slices: list[str]
    confusion: list[list[int]]
    metrics: dict[str, Number]
    baseline: ImageBaseline | None


class ExamplePicture(TypedDict):
    """Files of one test image in the folder of pictures, see `unet.evaluation.pictures`."""

    role: Literal["worst", "median", "best"]
    name: str
    score: Number
    image: str
    ground_truth: str
    predicted: str
    probability: str


def read_verdict(folder: str | Path) -> Verdict | None:
    """The verdict of an evaluation; None where the gate came to none.

    Raises:
        EvaluationDamaged: the file is there and cannot be used.
    """
    path = Path(folder, VERDICT)
    content = _read(path, dict)
    if content is None:
        return None
    try:
        return _VERDICT.validate_python(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{where}: {first['msg']}") from error


def read_images(folder: str | Path) -> list[ImageRow]:
    """A row for each test image, by name; empty where there is no table.

    Raises:
        EvaluationDamaged: the file is there and cannot be used.
    """
    return _rows(Path(folder, IMAGES))


def read_pictures(folder: str | Path) -> list[ExamplePicture]:
    """The pictures of an evaluation; those whose files are gone are left out.

    Raises:
        EvaluationDamaged: their list is there and cannot be used.
    """
    where = Path(folder, PICTURES)
    keys = ("image", "ground_truth", "predicted", "probability")
    return [row for row in _rows(where / INDEX) if all((where / row[key]).is_file() for key in keys)]


def metrics_of(verdict: Verdict | None) -> dict[str, float]:
    """Value of each metric over all test images; NaN where it could not be measured. None gives none."""
    found = verdict["metrics"] if verdict else {}
    return {name: _number(metric["value"]) for name, metric in found.items()}


def write_verdict(folder: str | Path, verdict: Mapping[str, Any]) -> None:
    """Writes the verdict, whole or not at all."""
    _write(Path(folder, VERDICT), verdict)


def write_images(folder: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes the table of the images, by name."""
    _write(Path(folder, IMAGES), sorted(rows, key=lambda row: row["name"]))


def write_picture_index(folder: str | Path, index: Sequence[Mapping[str, Any]]) -> None:
    """Writes the list of the pictures, whose files are there already."""
    _write(Path(folder, PICTURES, INDEX), index)


def _rows(path: Path) -> list[Any]:
    content: list[Any] = _read(path, list) or []
    if not all(isinstance(row, dict) for row in content):
        raise _damaged(path, "not a list of objects")
    return content


def _read(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvaluationDamaged(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(content, kind):
        raise _damaged(path, f"not a JSON {'object' if kind is dict else 'list'}")
    return content


def _damaged(path: Path, detail: str) -> EvaluationDamaged:
    return EvaluationDamaged(
        f"{path}: damaged, or of another version ({detail}); restore the file, or run with another --root"
    )


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_without_nan(content), indent=1, allow_nan=False)
    with atomic_write(path) as file:
        file.write(text)


def _number(value: Number) -> float:
    return math.nan if value is None else value


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
