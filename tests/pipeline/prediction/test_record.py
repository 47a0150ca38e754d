"""What an earlier prediction finished counts only as long as nothing about it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.prediction.record import PredictionRecord
from pipeline.prediction.tasks import RECORD
from tests.open_files import none_left
from unet.files import hash_of


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
    PredictionRecord(folder, [model]).finish(image, hash_of(image), ["a.mask.png", "a.overlay.png"])
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
    record.finish(image, hash_of(image), ["m.png"])
    assert record.is_finished(image, ["m.png"])


def replace(image: Path, content: bytes) -> None:
    """Replaces a file as `cp -p` and unzip do: with another of the same time."""
    times = image.stat()
    image.write_bytes(content)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda out, image: image.write_bytes(b"more pixels"),
        lambda out, image: replace(image, b"PIXELS"),
        lambda out, image: image.unlink(),
        lambda out, image: (out / NAMES[1]).write_bytes(b"cut"),
        lambda out, image: replace(out / NAMES[1], b"OVERLAY"),
        lambda out, image: (out / NAMES[1]).unlink(),
        lambda out, image: (out / RECORD).unlink(),
    ],
    ids=[
        "longer image",
        "equal size and time",
        "image gone",
        "cut output",
        "output of equal size and time",
        "output gone",
        "record gone",
    ],
)
def test_what_changed_since_is_done_again(out: Path, model: Path, image: Path, change):
    change(out, image)
    assert not PredictionRecord(out, [model]).is_finished(image, NAMES)


def test_an_image_that_changed_while_it_was_read_is_done_again(out: Path, model: Path, image: Path):
    content = hash_of(image)
    image.write_bytes(b"other and longer")
    PredictionRecord(out, [model]).finish(image, content, NAMES)
    assert not PredictionRecord(out, [model]).is_finished(image, NAMES)


def test_another_image_of_the_same_content_is_not_this_one(out: Path, model: Path, image: Path):
    other = image.with_name("b.png")
    other.write_bytes(image.read_bytes())
    os.utime(other, ns=(image.stat().st_atime_ns, image.stat().st_mtime_ns))
    assert hash_of(other) == hash_of(image)
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


@pytest.mark.parametrize(
    "torn",
    [b'{"file": "a.mask.png", "by', b"\xff\xfe", b"[]", b"1", b'{"by": "x"}', b"[" * 100_000],
    ids=["cut", "bytes", "list", "number", "other", "deep"],
)
def test_a_torn_line_hides_no_other_one(out: Path, model: Path, image: Path, torn: bytes):
    with (out / RECORD).open("ab") as file:
        file.write(torn)
    assert PredictionRecord(out, [model]).is_finished(image, NAMES)
    (out / "new.png").write_bytes(b"new")
    PredictionRecord(out, [model]).finish(image, hash_of(image), ["new.png"])
    assert PredictionRecord(out, [model]).is_finished(image, [*NAMES, "new.png"])


def test_the_last_line_of_a_name_counts(out: Path, model: Path, image: Path):
    image.write_bytes(b"other and longer")
    PredictionRecord(out, [model]).finish(image, hash_of(image), NAMES)
    assert PredictionRecord(out, [model]).is_finished(image, NAMES)
    assert len((out / RECORD).read_text().split()) > 2  # it only grows


def test_a_copy_with_another_time_is_the_same_image(out: Path, model: Path, image: Path):
    os.utime(image, ns=(0, 0))
    assert PredictionRecord(out, [model]).is_finished(image, NAMES)


def test_what_cannot_be_compared_now_is_not_finished(out: Path, model: Path, image: Path):
    record = PredictionRecord(out, [model])
    os.utime(image, (1, 1))  # its hash of before is not known to be that of now
    with none_left():
        assert not record.is_finished(image, NAMES)
    assert record.is_finished(image, NAMES)
