"""What an earlier prediction finished counts only as long as nothing about it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.prediction.record import NAME, PredictionRecord, look


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"weights")
    return tmp_path / "model"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(b"pixels")
    return tmp_path / "a.png"


@pytest.fixture
def out(tmp_path: Path, model: Path, image: Path) -> Path:
    """A folder in which the mask and the overlay of the image are finished."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.mask.png").write_bytes(b"mask")
    (folder / "a.overlay.png").write_bytes(b"overlay")
    PredictionRecord(folder, [model]).finish(image, look(image), ["a.mask.png", "a.overlay.png"])
    return folder


NAMES = ["a.mask.png", "a.overlay.png"]


def test_it_is_remembered_by_the_next_process(out: Path, model: Path, image: Path):
    record = PredictionRecord(out, [model])
    assert record.is_finished(image, NAMES)
    assert record.is_finished(image, NAMES[:1])
    assert not record.is_finished(image, [*NAMES, "a.cell.png"])


def test_the_same_process_knows_it_at_once(tmp_path: Path, model: Path, image: Path):
    (tmp_path / "m.png").write_bytes(b"mask")
    record = PredictionRecord(tmp_path, [model])
    assert not record.is_finished(image, ["m.png"])
    record.finish(image, look(image), ["m.png"])
    assert record.is_finished(image, ["m.png"])


@pytest.mark.parametrize(
    "change",
    [
        lambda out, image: image.write_bytes(b"more pixels"),
        lambda out, image: os.utime(image, ns=(0, 0)),
        lambda out, image: image.unlink(),
        lambda out, image: (out / NAMES[1]).write_bytes(b"cut"),
        lambda out, image: (out / NAMES[1]).unlink(),
        lambda out, image: (out / NAME).unlink(),
    ],
    ids=["longer image", "written again", "image gone", "cut output", "output gone", "record gone"],
)
def test_what_changed_since_is_done_again(out: Path, model: Path, image: Path, change):
    change(out, image)
    assert not PredictionRecord(out, [model]).is_finished(image, NAMES)


def test_an_image_that_changed_while_it_was_read_is_done_again(out: Path, model: Path, image: Path):
    seen = look(image)
    image.write_bytes(b"other and longer")
    PredictionRecord(out, [model]).finish(image, seen, NAMES)
    assert not PredictionRecord(out, [model]).is_finished(image, NAMES)


def test_another_image_of_the_same_look_is_not_this_one(out: Path, model: Path, image: Path):
    other = image.with_name("b.png")
    other.write_bytes(image.read_bytes())
    os.utime(other, ns=(image.stat().st_atime_ns, image.stat().st_mtime_ns))
    assert look(other) == look(image)
    assert not PredictionRecord(out, [model]).is_finished(other, NAMES)


def test_other_models_give_other_files(out: Path, model: Path, image: Path):
    assert not PredictionRecord(out, [model, model]).is_finished(image, NAMES)
    (model / "saved_model.pb").write_bytes(b"others")
    assert not PredictionRecord(out, [model]).is_finished(image, NAMES)


@pytest.mark.parametrize(
    ("edited", "text", "finished"),
    [
        ("unet/inference/tiled.py", "edited = 1", False),
        ("unet/inference/tiled.py", "# a comment", True),
        ("pipeline/prediction/outputs.py", "edited = 1", False),
        ("unet/training/losses.py", "edited = 1", True),
    ],
)
def test_other_code_gives_other_files(
    checkout: Path, out: Path, model: Path, image: Path, edited: str, text: str, finished: bool
):
    with (checkout / edited).open("a") as file:
        file.write(f"\n{text}\n")
    assert PredictionRecord(out, [model]).is_finished(image, NAMES) == finished


@pytest.mark.parametrize("torn", [b'{"file": "a.mask.png", "by', b"\xff\xfe", b"[]", b'{"by": "x"}'])
def test_a_torn_line_hides_no_other_one(out: Path, model: Path, image: Path, torn: bytes):
    with (out / NAME).open("ab") as file:
        file.write(torn)
    assert PredictionRecord(out, [model]).is_finished(image, NAMES)
    (out / "new.png").write_bytes(b"new")
    PredictionRecord(out, [model]).finish(image, look(image), ["new.png"])
    assert PredictionRecord(out, [model]).is_finished(image, [*NAMES, "new.png"])


def test_the_last_line_of_a_name_counts(out: Path, model: Path, image: Path):
    image.write_bytes(b"other and longer")
    PredictionRecord(out, [model]).finish(image, look(image), NAMES)
    assert PredictionRecord(out, [model]).is_finished(image, NAMES)
    assert len((out / NAME).read_text().split()) > 2  # it only grows


def test_a_file_that_is_gone_has_no_look(tmp_path: Path):
    assert look(tmp_path / "gone.png") == []
    (tmp_path / "a").write_bytes(b"four")
    assert look(tmp_path / "a") == [4, (tmp_path / "a").stat().st_mtime_ns]
