"""`predict` on real tiny models: what is written, what is skipped, and what is said about bad files."""

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.cli import main
from unet.inference.model import Model
from unet.inference.model import predict as masks_of

CHECKOUT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("loaded_once")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, export_tiny: Any) -> Path:
    """With two versions: 1 and 2."""
    root = tmp_path_factory.mktemp("root")
    for version in (1, 2):
        export_tiny(root / "serving" / "unet" / str(version), seed=version)
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three images, b.png, a.jpg and c.bmp, and one below it, deep/a.png."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for name, shape in {
        "b.png": (40, 31),
        "a.jpg": (20, 50, 3),
        "c.bmp": (9, 9),
        "deep/a.png": (33, 33),
    }.items():
        Image.fromarray(noise(*shape)).save(folder / name)
    return folder


def predict(root: Path, *words: object) -> int:
    return main(["predict", *map(str, words), "--root", str(root)])


def written(out: Path) -> set[str]:
    return {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {".predict.jsonl"}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_files_folders_globs_and_pages(root: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, noise(2, 30, 20), photometric="minisblack")
    (photos / "Thumbs.db").write_bytes(b"x")
    tifffile.imwrite(
        tmp_path / "one.tif", noise(3, 30, 20), imagej=True, metadata={"axes": "ZYX"}
    )  # in a single page
    assert predict(root, photos, stack, tmp_path / "one.tif", "--out", out) == 0
    pages = {"stack-0000.png", "stack-0001.png", *(f"one-000{i}.png" for i in range(3))}
    assert written(out) == {"a.png", "b.png", "c.png", *pages}
    model = Model(root / "serving/unet/2")
    np.testing.assert_array_equal(pixels(out / "b.png"), model.mask(photos / "b.png"))
    assert pixels(out / "stack-0001.png").shape == (30, 20)
    # A glob keeps the folders below its fixed part; masks below the images are no images.
    out = photos / "masks"
    for _ in range(2):
        assert predict(root, f"{photos}/**/*", "--out", out) == 0
        assert written(out) == {"a.png", "b.png", "c.png", "deep/a.png"}


def test_everything_that_can_be_written(
    root: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    more = ["--probabilities", "--overlay", "--polygons"]
    assert predict(root, photos, "--out", out, *more, "geojson") == 0
    endings = (".png", ".background.png", ".cell.png", ".other.png", ".overlay.png", ".geojson")
    assert written(out) == {stem + ending for stem in "abc" for ending in endings}
    mask, cell = pixels(out / "b.png"), pixels(out / "b.cell.png")
    assert cell.dtype == np.uint16
    assert (mask[cell > 40000] == 100).all()
    height, width, _ = pixels(out / "b.overlay.png").shape
    assert height > 40  # the legend is below the image
    assert width >= 31
    features = json.loads((out / "b.geojson").read_text())["features"]
    area = sum(f["properties"]["area"] for f in features if f["properties"]["class"] == "cell")
    assert area == (mask == 100).sum()
    # COCO holds images that are skipped, too: all but c.bmp here.
    (out / "c.png").unlink()
    assert predict(root, photos, "--out", out, "--polygons", "coco") == 0
    coco = json.loads((out / "coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a.jpg", "b.png", "c.bmp"]
    found = [a for a in coco["annotations"] if a["image_id"] == 2 and a["category_id"] == 1]
    assert sum(a["area"] for a in found) == area
    # The same through the tiling of large images, whose masks and probabilities are TIFFs.
    tifffile.imwrite(tmp_path / "b.tif", pixels(photos / "b.png"))
    monkeypatch.setattr("unet.inference.inputs.LARGE_PIXELS", 1000)
    assert predict(root, tmp_path / "b.tif", "--out", tmp_path / "large", *more, "geojson") == 0
    assert written(tmp_path / "large") == {"b.tif", "b.background.tif", "b.cell.tif", "b.other.tif",
                                           "b.overlay.png", "b.geojson"}  # fmt: skip
    clear = np.sort([pixels(out / f"b.{name}.png") for name in ("background", "cell", "other")], 0)
    clear = clear[-1] - clear[-2].astype(int) > 2
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "large" / "b.tif")[clear], mask[clear])
    np.testing.assert_allclose(tifffile.imread(tmp_path / "large" / "b.cell.tif"), cell, atol=2)


def test_objects_are_those_of_the_masks_and_made_anew_of_finished_ones(
    root: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert predict(root, photos, "--out", out, "--objects") == 0
    assert written(out) == {
        "objects.csv",
        *(stem + end for stem in "abc" for end in (".png", ".objects.tif")),
    }
    lines = (out / "objects.csv").read_text().splitlines()
    rows = [row for row in csv.DictReader(lines) if row["image"] == "b.png"]
    mask, numbers = pixels(out / "b.png"), tifffile.imread(out / "b.objects.tif")
    assert [int(row["area"]) for row in rows] == np.bincount(numbers.ravel())[1:].tolist()
    values = {"cell": 100, "other": 255}
    for row in rows:
        assert set(mask[numbers == int(row["object"])]) == {values[row["class"]]}
    # Whatever else is asked of the objects later, the model is not asked again.
    monkeypatch.setattr("pipeline.commands.predict.Model", None)
    before = (out / "b.png").stat().st_ino
    assert predict(root, photos, "--out", out, "--split-objects", "0.5") == 0
    assert (out / "b.png").stat().st_ino == before
    assert len((out / "objects.csv").read_text().splitlines()) >= len(lines)
    # Objects of fewer than 15 pixels are left out, unless another size is asked for.
    areas = {}
    for least in (0, 15, 40):
        assert predict(root, photos, "--out", out, "--min-object-size", str(least)) == 0
        table = csv.DictReader((out / "objects.csv").read_text().splitlines())
        areas[least] = [int(row["area"]) for row in table]
    assert len(areas[15]) == len(lines) - 1
    for least in (15, 40):
        assert areas[least] == [area for area in areas[0] if area >= least]
    for word in ("--split-objects", "--min-object-size"):
        with pytest.raises(SystemExit):
            predict(root, photos, "--out", out, word, "-1")


@pytest.mark.parametrize(
    "words", [["--probabilities"], ["--overlay"], ["--objects"], ["--split-objects", "1"]]
)
def test_a_model_whose_classes_nobody_knows_gives_masks_alone(
    root: Path, photos: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "foreign"
    shutil.copytree(root / "serving/unet/1", model)
    (model / "assets.extra/training.json").unlink()
    assert predict(root, photos, "--out", tmp_path / "out", "--model", model, *words) == 2
    assert f"{model}: no training record, which names the classes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_finished_is_skipped(
    root: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def redone(*words: object) -> set[str]:
        before = {name: (out / name).stat().st_ino for name in written(out)}
        assert predict(root, photos, "--out", out, *words) == 0
        return {name for name in written(out) if (out / name).stat().st_ino != before.get(name)}

    assert redone() == {"a.png", "b.png", "c.png"}
    capsys.readouterr()
    assert redone() == set()
    assert "0 of 3 images, 3 skipped" in capsys.readouterr().out
    os.utime(photos / "a.jpg", (1, 1))  # the same image as before
    times = (photos / "b.png").stat()
    (photos / "b.png").write_bytes((photos / "deep/a.png").read_bytes())
    os.utime(photos / "b.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert redone() == {"b.png"}
    (out / "a.png").unlink()
    (out / "c.png").write_bytes(b"torn")
    assert redone() == {"a.png", "c.png"}
    assert redone("--overlay") == {"a.png", "b.png", "c.png", *(f"{s}.overlay.png" for s in "abc")}
    assert redone() == set()
    assert redone("--model", "1") == {"a.png", "b.png", "c.png"}
    assert redone("--model", root / "serving/unet") == {"a.png", "b.png", "c.png"}  # the newest
    assert redone("--overwrite") == {"a.png", "b.png", "c.png"}
    with (out / ".predict.jsonl").open("a") as file:
        file.write('{"file": "a.png", "by')
    assert redone() == set()


def test_several_models_and_versions(root: Path, photos: Path, tmp_path: Path) -> None:
    serving = root / "serving" / "unet"
    folders = [serving / "1", serving / "2"]
    assert predict(root, photos / "b.png", "--out", tmp_path, "--model", "1", "--model", folders[1]) == 0
    (expected,) = masks_of([photos / "b.png"], folders)
    np.testing.assert_array_equal(pixels(tmp_path / "b.png"), expected)


def test_bad_files_are_reported_and_the_rest_go_on(
    root: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "empty.png").touch()
    (photos / "text.png").write_text("<html>")
    (photos / "cut.png").write_bytes((photos / "b.png").read_bytes()[:-20])
    (photos / "gone.png").symlink_to("nowhere.png")
    tifffile.imwrite(photos / "float.tif", noise(5, 5).astype(np.float32))
    out = tmp_path / "out"
    code = predict(root, photos, photos / "gone.png", "--out", out)
    assert code == 2  # a file that is named and not there: nothing starts
    assert "gone.png: there is no such file or folder" in capsys.readouterr().err
    assert not out.exists()
    assert predict(root, photos, "--out", out, "--polygons", "coco") == 2
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    for name, text in {
        "empty.png": "an empty file (0 bytes); copy or export it again",
        "text.png": "not a PNG, JPEG, TIFF or BMP file",
        "cut.png": "damaged or truncated",
        "float.tif": "the model was trained on images of 8 or 16 bits",
        "gone.png": "a link to a file that does not exist",
    }.items():
        assert any(f"{photos / name}" in line and text in line for line in lines), lines
    assert "3 of 8 images, 5 could not be used" in printed.out
    assert len(lines) == 5
    assert written(out) == {"a.png", "b.png", "c.png", "coco.json"}
    coco = json.loads((out / "coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a.jpg", "b.png", "c.bmp"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: there is no such file or folder"),
        (["new/*.png"], "no image matches this"),
        (["."], "no files in it"),
        ([CHECKOUT / "docs/example.png", "--model", "7"], "no version 7; there are: 1, 2"),
        ([CHECKOUT / "docs/example.png", "--model", "."], "not a SavedModel"),
        ([CHECKOUT / "docs/example.png", "--out", CHECKOUT / "docs"], "would be written over that image"),
        ([CHECKOUT / "docs/example.png", "example.bmp"], "several images would become this file"),
        ([CHECKOUT / "docs/example.png", "--out", CHECKOUT / "README.md"], "README.md: no folder"),
        (["drawn.bmp"], "drawn.png: not made by predict"),
    ],
    ids=str,
)
def test_wrong_arguments_are_answered_before_anything_starts(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[object], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in {"example.bmp", "drawn.bmp"} & {*map(str, words)}:
        Image.fromarray(noise(4, 4)).save(name)
    Path("out").mkdir()
    Path("out/drawn.png").touch()
    before = written(tmp_path)
    assert predict(root, "--out", tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err
    assert written(tmp_path) == before


def test_a_root_without_a_model(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(tmp_path / "new", photos, "--out", tmp_path / "out") == 2
    assert "no model was pushed yet" in capsys.readouterr().err


def test_polygons_without_their_package_are_refused_before_anything_starts(
    root: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "rasterio", None)  # as where it is not installed
    assert predict(root, photos, "--polygons", "geojson", "--out", tmp_path / "out") == 2
    assert "polygons need the package rasterio" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def start(root: Path, *words: object, **how: Any) -> subprocess.Popen:
    command = [sys.executable, CHECKOUT / "run_pipeline.py", "predict", *words, "--root", root]
    return subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
    )


def heed_interrupts() -> None:
    """Shells start background jobs, maybe these tests, with SIGINT ignored; a child would ignore it, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_nothing_torn_and_goes_on(root: Path, tmp_path: Path, number: int) -> None:
    (tmp_path / "images").mkdir()
    for i in range(24):
        Image.fromarray(noise(300 + i, 300)).save(tmp_path / "images" / f"{i}.png")
    out = tmp_path / "out"
    words = [tmp_path / "images", "--out", out, "--overlay"]
    process = start(root, *words, preexec_fn=heed_interrupts)
    while len(list(out.glob("[0-9]*.png"))) < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate()
    if number == signal.SIGINT:
        assert process.returncode == 75
        assert "run the same command to go on" in errors
    before = {name: (out / name).stat().st_ino for name in written(out) if not name.endswith(".part")}
    assert 4 <= len(before) < 48
    for name in before:
        pixels(out / name)  # whole
    assert predict(root, *words) == 0
    assert written(out) == {f"{i}{ending}" for i in range(24) for ending in (".png", ".overlay.png")}
    kept = [name for name, inode in before.items() if (out / name).stat().st_ino == inode]
    assert len(kept) >= len(before) - 2
    assert predict(root, tmp_path / "images", "--out", tmp_path / "again") == 0
    for i in range(24):
        assert (out / f"{i}.png").read_bytes() == (tmp_path / "again" / f"{i}.png").read_bytes()


def test_a_full_disk_ends_with_one_sentence(root: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(300, 300)).save(tmp_path / "a.png")

    def little() -> None:  # no file may have more bytes than this
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    process = start(root, tmp_path / "a.png", "--out", tmp_path / "out", preexec_fn=little)
    _, errors = process.communicate()
    assert process.returncode == 1
    told = f"a file in {tmp_path / 'out'} became larger than is allowed: raise the limit (ulimit -f)"
    assert errors.splitlines()[-1] == told
    assert not written(tmp_path / "out")


def test_errors_and_finished_work_need_no_tensorflow(root: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(root, photos, "--out", out) == 0
    code = (
        "import sys; from pipeline.cli import main; code = main(sys.argv[1:]);"
        "assert 'tensorflow' not in sys.modules and 'rasterio' not in sys.modules; sys.exit(code)"
    )
    for words, expected in [((photos,), 0), (("nowhere",), 2)]:
        command = [sys.executable, "-c", code, "predict", *words, "--out", out, "--root", root]
        done = subprocess.run([*map(str, command)], cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stderr


def test_a_mask_gets_a_world_file_where_its_image_lies_on_a_map(root: Path, tmp_path: Path) -> None:
    tags = [(33550, 12, 3, (2.0, 2.0, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 10.0, 20.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "map.tif", noise(30, 40), extratags=tags)
    tifffile.imwrite(tmp_path / "cell.tif", noise(30, 40))
    assert predict(root, tmp_path / "map.tif", tmp_path / "cell.tif", "--out", tmp_path / "out") == 0
    assert written(tmp_path / "out") == {"map.png", "map.pgw", "cell.png"}
    lines = (tmp_path / "out/map.pgw").read_text().split()
    assert list(map(float, lines)) == [2, 0, 0, -2, 11, 19]
