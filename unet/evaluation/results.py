"""The Evaluator's results besides TFMA's files: the verdict, a table of the images, and pictures.

All results are JSON and picture files, which only this module reads and writes, without TensorFlow. JSON has
no NaN: a value that could not be measured is null in JSON and None in Python.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic
from typing_extensions import NotRequired, TypedDict  # below Python 3.12 pydantic takes no other

from unet.files import atomic_write

VERDICT, IMAGES, PICTURES = "verdict.json", "images.json", "pictures"
EVALUATION, TABLE = "evaluation.json", "images.csv"  # of the command evaluate
INDEX = "index.json"  # in the folder of pictures
BLACK, WHITE = 0.5, 99.7  # percentiles of an image's values that its picture shows as black and white

_Content = TypeVar("_Content")
Number = float | None  # None if the value could not be measured


class EvaluationDamaged(ValueError):
    """A file of an evaluation cannot be used; the message names the file, the reason and a remedy."""


class Check(TypedDict):
    """The result of one check of the gate.

    `slice` is "" for all test images. A "threshold" compares `value` with `bound`; a "drop" allows `value` to
    be worse than `baseline` by `bound`, and by more if chance may explain it. `margin` is the distance to the
    bound, negative beyond it. `low` and `high` are the 95 % interval of `value`, or, for a drop, of `value`
    minus `baseline`; `p` is the p-value of the paired bootstrap, None if there are too few images to
    speak of chance. `by_chance`: the drop is larger than allowed, and passed because chance may explain it.
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


def decisive_p(check: Check) -> Number:
    """The p-value of a drop that is larger than allowed, which p alone decided; None for any other check.

    It is the probability of such a drop by chance. Of a model that is better it is close to 1, which would
    read like the opposite.
    """
    return check["p"] if check["by_chance"] or not check["passed"] else None


class Baseline(TypedDict):
    """Whether there was a blessed model to compare with, and why not; `model_id` is its id in ML Metadata."""

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
    """Metrics over a part of the test images; `baseline` is None if no models were compared."""

    images: int
    metrics: dict[str, Number]
    baseline: dict[str, Number] | None


class Bin(TypedDict):
    """Pixels of similar probability: mean probability, share of correct pixels, number of pixels."""

    confidence: Number
    accuracy: Number
    pixels: int


class Calibration(TypedDict):
    """Reliability bins over all test images, and the expected calibration error."""

    bins: list[Bin]
    ece: Number


class Objects(TypedDict):
    """Numbers of objects of a class, see `unet.metrics.objects`; `matched` above each of its `IOUS`."""

    ground_truth: int
    predicted: int
    matched: list[int]


class Verdict(TypedDict):
    """The gate's decision and its reasons; `confusion` has a row for each class of the ground truth.

    `objects`: those of each class that counts, by name; earlier verdicts have none.
    """

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
    objects: NotRequired[dict[str, Objects]]


_VERDICT = pydantic.TypeAdapter(Verdict)


class ImageBaseline(TypedDict):
    """Confusion matrix and metrics of the last blessed model on an image."""

    confusion: list[list[int]]
    metrics: dict[str, Number]


class ImageRow(TypedDict):
    """One test image; `foreground` is the share of its ground truth that is not background; else NaN."""

    name: str
    height: int
    width: int
    bit_depth: int
    foreground: Number
    slices: list[str]
    confusion: list[list[int]]
    metrics: dict[str, Number]
    baseline: ImageBaseline | None


class ErrorShares(TypedDict):
    """Shares of the pixels of each kind, see `unet.evaluation.errors.shares`."""

    right: float
    missed: float
    too_much: float
    other: float


class ExamplePicture(TypedDict):
    """Files of one test image in the folder of pictures, see `unet.evaluation.pictures`.

    `stretched`: whether the picture of the image has another contrast than the image; True if it is missing.
    `errors`: shares of the wrong pixels by kind, see `unet.evaluation.errors`; earlier evaluations have none.
    """

    role: Literal["worst", "median", "best"]
    name: str
    score: Number
    image: str
    ground_truth: str
    predicted: str
    probability: str
    stretched: NotRequired[bool]
    errors: NotRequired[ErrorShares]


_EXAMPLES = pydantic.TypeAdapter(list[ExamplePicture])


def read_verdict(folder: str | Path) -> Verdict | None:
    """The verdict of an evaluation; None without a file.

    Raises:
        EvaluationDamaged: the file exists and cannot be used.
    """
    path = Path(folder, VERDICT)
    content = _read(path, dict)
    if content is None:
        return None
    return _valid(_VERDICT, path, content)


def read_images(folder: str | Path) -> list[ImageRow]:
    """A row for each test image, sorted by name; empty without a file.

    Raises:
        EvaluationDamaged: the file exists and cannot be used.
    """
    return _rows(Path(folder, IMAGES))


def read_pictures(folder: str | Path) -> list[ExamplePicture]:
    """The pictures of an evaluation, without those whose files are missing.

    Raises:
        EvaluationDamaged: the index of the pictures exists and cannot be used.
    """
    where = Path(folder, PICTURES)
    rows = _valid(_EXAMPLES, where / INDEX, _rows(where / INDEX))
    files = [(row["image"], row["ground_truth"], row["predicted"], row["probability"]) for row in rows]
    return [row for row, names in zip(rows, files, strict=True) if all((where / n).is_file() for n in names)]


def metrics_of(verdict: Verdict | None) -> dict[str, float]:
    """Value of each metric over all test images, NaN if not measured; empty without a verdict."""
    found = verdict["metrics"] if verdict else {}
    return {name: _number(metric["value"]) for name, metric in found.items()}


def write_verdict(folder: str | Path, verdict: Mapping[str, Any]) -> None:
    """Writes the verdict atomically."""
    _write(Path(folder, VERDICT), verdict)


def write_images(folder: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes the table of the images, sorted by name."""
    _write(Path(folder, IMAGES), sorted(rows, key=lambda row: row["name"]))


def write_picture_index(folder: str | Path, index: Sequence[Mapping[str, Any]]) -> None:
    """Writes the index of the pictures, whose files must exist already."""
    _write(Path(folder, PICTURES, INDEX), index)


def write_evaluation(
    folder: str | Path, evaluation: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Writes the scores of a model on labelled images: `EVALUATION`, and `TABLE` with a line an image.

    Args:
        folder: folder of the files, created if missing.
        evaluation: the scores over all images, to which the rows are added.
        rows: a row for each image, in the form of `ImageRow`.
    """
    keys = ("name", "height", "width", "bit_depth", "foreground")
    names = list(rows[0]["metrics"]) if rows else []
    Path(folder).mkdir(parents=True, exist_ok=True)
    # Both are complete before either has its name.
    with atomic_write(Path(folder, TABLE)) as table, atomic_write(Path(folder, EVALUATION)) as file:
        file.write(_text({**evaluation, "per_image": rows}))
        lines = csv.writer(table, lineterminator="\n")
        lines.writerow([*keys, *names])
        for row in rows:
            values = [*(row[key] for key in keys), *(row["metrics"][name] for name in names)]
            lines.writerow([_without_nan(value) for value in values])
        table.flush()


def _rows(path: Path) -> list[Any]:
    content: list[Any] = _read(path, list) or []
    if not all(isinstance(row, dict) for row in content):
        raise _damaged(path, "not a list of objects")
    return content


def _valid(form: pydantic.TypeAdapter[_Content], path: Path, content: Any) -> _Content:
    try:
        return form.validate_python(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{where}: {first['msg']}") from error


def _read(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvaluationDamaged(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    except (RecursionError, ValueError) as error:
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
    with atomic_write(path) as file:
        file.write(_text(content))


def _text(content: Any) -> str:
    return json.dumps(_without_nan(content), indent=1, allow_nan=False)


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
