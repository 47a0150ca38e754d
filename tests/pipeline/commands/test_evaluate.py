"""`evaluate` on real tiny models: what it finds, what it writes, and what it refuses."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from unet.dataset import split_memory
from unet.images.reader import read_image
from unet.inference.model import predict
from unet.metrics.confusion import summarize

CHECKOUT = Path(__file__).parents[3]
CLASSES = ["background", "cell", "other"]
VALUES = np.array([0, 100, 255])
VOID = 7
pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, export_tiny: Any) -> Path:
    """With two versions; version 2 says that its masks have void pixels."""
    root = tmp_path_factory.mktemp("root")
    export_tiny(root / "serving" / "unet" / "1", seed=1)
    labels = {"classes": dict(zip(CLASSES, VALUES.tolist(), strict=True)), "ignore": VOID}
    export_tiny(root / "serving" / "unet" / "2", seed=2, labels=labels)
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three images and masks of all classes, of which the first row is void in one."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for name, shape in {"a": (40, 31), "b": (20, 50), "c": (33, 33)}.items():
        mask = rng.choice(VALUES, shape).astype(np.uint8)
        if name == "b":
            mask[0] = VOID
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(
            tmp_path / "data" / "images" / f"{name}.png"
        )
        Image.fromarray(mask).save(tmp_path / "data" / "masks" / f"{name}.png")
    return tmp_path / "data"


def evaluate(root: Path, data: Path, *words: object) -> int:
    return main(["evaluate", "--data", str(data), "--root", str(root), *map(str, words)])


def counts(root: Path, data: Path, name: str) -> np.ndarray:
    """The confusion matrix of a predicted mask, counted here."""
    truth = np.asarray(Image.open(data / "masks" / f"{name}.png"))
    (mask,) = predict([data / "images" / f"{name}.png"], root / "serving" / "unet" / "2")
    return np.array([[((truth == t) & (mask == p)).sum() for p in VALUES] for t in VALUES])


def test_the_scores_are_those_of_the_predicted_masks(
    root: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(root, data, "--out", tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    each = {name: counts(root, data, name) for name in "abc"}
    assert each["b"].sum() == 19 * 50
    for row in found["per_image"]:
        np.testing.assert_array_equal(row["confusion"], each[row["name"]])
    total = sum(each.values())
    np.testing.assert_array_equal(found["confusion"], total)
    for name, value in summarize(total, CLASSES).items():
        assert found["metrics"][name]["value"] == (None if np.isnan(value) else value)
    assert found["metrics"]["iou_cell"]["low"] <= found["metrics"]["iou_cell"]["value"]
    assert (found["model"], found["images"]) == (str(root / "serving" / "unet" / "2"), 3)
    assert (found["passed"], found["checks"]) == (None, [])
    assert "Scored; nothing was demanded" in (tmp_path / "out" / "report.html").read_text()
    with (tmp_path / "out" / "images.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [line["name"] for line in table] == ["a", "b", "c"]
    assert float(table[1]["iou_cell"]) == found["per_image"][1]["metrics"]["iou_cell"]
    said = capsys.readouterr().out
    for text in (
        "on 3 images of",
        "foreground_iou",
        "precision",
        "cell",
        "20",
        f"Written to {tmp_path / 'out'}",
    ):
        assert text in said
    assert "thresholds" not in said
    assert "NOT MET" not in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["pixel_error=1", "ece=1"], 0, "All thresholds are met"),
        (["pixel_error=1", "iou_cell=1"], 3, "Not met: iou_cell is 0."),
        (["foreground_iou@size=small=0"], 0, "foreground_iou @ size=small"),
        (["foreground_iou@size=large=0"], 3, "no test image is in that slice"),
    ],
)
def test_thresholds_decide_the_exit_code(
    root: Path, data: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert evaluate(root, data, *(part for word in words for part in ("--threshold", word))) == code
    assert said in capsys.readouterr().out


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(
    root: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.write_text("a file")
    (data / "masks" / "a.png").unlink()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(data / "masks" / "b.png")
    (data / "images" / "c.png").write_bytes(b"text")
    assert evaluate(root, data, "--out", out, "--threshold", "iou_cell") == 2
    lines = capsys.readouterr().err.splitlines()
    assert "--threshold iou_cell: expected METRIC=VALUE" in lines[0]
    assert any(line.startswith(f"{data / 'images' / 'a.png'}: image without mask") for line in lines)
    assert any(line.startswith(f"{data / 'masks' / 'b.png'}: ") for line in lines)
    assert any(line.startswith(f"{data / 'images' / 'c.png'}: ") for line in lines)
    assert f"{out}: no folder: give a folder for the results" in lines
    assert out.read_text() == "a file"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "9"], "no version 9; there are: 1, 2"),
        (["--model", "nowhere"], "nowhere: no folder of this name, and no run"),
        (["--threshold", "iou_cat=0.5"], "unknown metric 'iou_cat'"),
        (["--set", "classes={background=0, cell=100}"], "those of the model, in its order, are"),
        (["--set", "clases={}"], "did you mean 'classes'?"),
        (["--data", "nowhere"], "nowhere"),
        (["--model", "1"], "b.png"),  # its record says nothing of void pixels
    ],
)
def test_bad_arguments_are_said(
    root: Path, data: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert evaluate(root, data, *words) == 2
    found = capsys.readouterr()
    assert said in found.err
    assert "Traceback" not in found.err
    assert found.out == ""


def test_settings_come_before_the_record(root: Path, data: Path) -> None:
    assert evaluate(root, data, "--model", "1", "--set", f"ignore={VOID}") == 0
    for path in (data / "masks").iterdir():
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.where(mask == 100, 1, np.where(mask == 255, 2, mask)).astype(np.uint8)).save(path)
    assert evaluate(root, data) == 2
    assert evaluate(root, data, "--set", "classes={background=0, cell=1, other=2}") == 0


def test_images_that_taught_the_models_of_the_root_are_named(
    root: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_root = tmp_path / "root"
    (of_root / "serving").mkdir(parents=True)
    (of_root / "serving/unet").symlink_to(root / "serving/unet")
    content = {name: read_image(data / f"images/{name}.png").content for name in "abc"}
    splits = {content["a"]: "train", content["b"]: "eval", content["c"]: "test"}
    split_memory.save(of_root / "splits.json", split_memory.Memory(images=splits))
    with Image.open(data / "images/a.png") as image:
        image.save(data / "images/a.tif")  # another file of the same pixels
    (data / "images/a.png").unlink()
    assert evaluate(of_root, data, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert f"Taught:  a, b: of the train or eval split of {of_root}\n" in said
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["taught"] == ["a", "b"]
    (of_root / "splits.json").write_text("[")
    assert evaluate(of_root, data) == 0
    assert "Taught" not in capsys.readouterr().out


def test_images_that_are_turned_are_named(root: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(root, data) == 0
    assert "Turned" not in capsys.readouterr().out
    exif = Image.Exif()
    exif[274] = 3  # by 180 degrees, so that a mask that was not turned has the same size
    with Image.open(data / "images/b.png") as image:
        image.save(data / "images/b.png", exif=exif)
    assert evaluate(root, data) == 0
    assert "Turned:  b: by the orientation in the file (EXIF);" in capsys.readouterr().out.splitlines()


def test_images_of_other_channels_and_models_without_a_record_are_refused(
    root: Path, data: Path, tmp_path: Path, export_tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = export_tiny(tmp_path / "two", channels=2, use_channels="all")
    assert evaluate(root, data, "--model", model, "--set", "ignore=7") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{data / 'images' / 'a.png'}: an image of 1 channels, the model sees 2; ")
    record = model / "assets.extra" / "training.json"
    rest = {key: value for key, value in json.loads(record.read_text()).items() if key != "channels"}
    for text, why in (("{", "Expecting"), (json.dumps(rest), "without 'channels'")):
        record.write_text(text)
        assert evaluate(root, data, "--model", model) == 2
        assert f"its training record is damaged ({why}" in capsys.readouterr().err
    record.unlink()
    assert evaluate(root, data, "--model", model) == 2
    assert "no training record" in capsys.readouterr().err


def test_errors_need_no_tensorflow(root: Path, data: Path) -> None:
    (data / "images" / "a.png").write_bytes(b"text")
    code = (
        "import sys; from pipeline.cli import main; code = main(sys.argv[1:]);"
        "assert 'tensorflow' not in sys.modules and 'tfx' not in sys.modules; sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "evaluate", "--data", data, "--root", root]
    done = subprocess.run([*map(str, command)], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "a.png" in done.stderr
