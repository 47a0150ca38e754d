"""Images and masks become examples, and a folder that changes meanwhile is noticed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types.standard_artifacts import Examples

from components.example_gen import executor
from components.example_gen.executor import Executor, WriteShard, to_example, to_serving_example
from data.synthetic import write_cells
from pipeline.config.settings import PipelineConfig
from pipeline.engine.options import arguments
from unet import progress
from unet.dataset.plan import make_plan
from unet.dataset.sample import SPLITS, Sample
from unet.dataset.settings import ReadSettings
from unet.errors import BadInput, ImagesLost
from unet.images.reader import decode
from unet.masks.labels import IGNORE


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six small images and their masks."""
    write_cells(tmp_path / "data", 6, (32, 40))
    return tmp_path / "data"


def settings(data: Path, **change: Any) -> ReadSettings:
    return PipelineConfig(data=data, **change).reading(data.parent / "splits.json")


def sample(data: Path, number: int, **more: Any) -> Sample:
    name = f"cell_00{number}"
    return Sample(name, data / f"images/{name}.png", data / f"masks/{name}.png", "site-1", **more)


def features(example: tf.train.Example) -> dict[str, Any]:
    """The single value of each feature."""
    found = {}
    for name, feature in example.features.feature.items():
        [found[name]] = getattr(feature, feature.WhichOneof("kind")).value
    return found


def test_an_example_holds_the_pixels_and_what_the_statistics_watch(data: Path):
    indices = np.zeros((32, 40), np.uint8)
    indices[:8], indices[8:16] = 100, 255  # a quarter each; a third of what counts is of the class
    Image.fromarray(indices).save(data / "masks/cell_000.png")
    classes = {"background": 0, "cell": 100}
    wanted = settings(data, classes=classes, ignore=255)
    found = features(to_example(sample(data, 0, columns=(("site", "north"),)), wanted))
    assert (found["name"], found["group"], found["column_site"]) == (b"cell_000", b"site-1", b"north")
    assert (found["height"], found["width"], found["channels"], found["bit_depth"]) == (32, 40, 1, 8)
    pixels = np.asarray(Image.open(data / "images/cell_000.png"))
    np.testing.assert_array_equal(decode(found["image"])[..., 0], pixels)
    assert found["mean"] == pytest.approx(pixels.mean(), rel=1e-4)
    assert np.bincount(decode(found["mask"]).ravel(), minlength=256)[[0, 1, IGNORE]].tolist() == [
        16 * 40,
        8 * 40,
        8 * 40,
    ]
    assert found["fraction_cell"] == pytest.approx(1 / 3)
    assert found["fraction_background"] == pytest.approx(2 / 3)
    assert "instances" not in found


def test_a_page_of_a_stack_is_that_page_of_image_and_mask(data: Path):
    pages = np.random.default_rng(0).integers(0, 256, (3, 32, 40), np.uint8)
    for kind, stack in (("images", pages), ("masks", np.where(pages > 99, 255, 0).astype(np.uint8))):
        tifffile.imwrite(data / kind / "stack.tif", stack, photometric="minisblack")
    third = Sample("stack", data / "images/stack.tif", data / "masks/stack.tif", "stack", page=2)
    found = features(to_example(third, settings(data)))
    np.testing.assert_array_equal(decode(found["image"])[..., 0], pages[2])
    np.testing.assert_array_equal(decode(found["mask"])[..., 0], pages[2] > 99)


def test_a_mask_in_which_nothing_counts_has_no_fractions(data: Path):
    Image.fromarray(np.full((32, 40), 255, np.uint8)).save(data / "masks/cell_000.png")
    wanted = settings(data, classes={"background": 0, "cell": 100}, ignore=255)
    found = features(to_example(sample(data, 0), wanted))
    assert (found["fraction_background"], found["fraction_cell"]) == (0, 0)


@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_the_border_is_there_where_it_is_wanted(data: Path, weight: float):
    found = features(to_example(sample(data, 0), settings(data, border_weight=weight)))
    assert bool(found["border"]) == (weight > 0)
    assert not weight or decode(found["border"]).shape == (32, 40, 1)


def test_numbers_of_objects_travel_beside_the_classes(data: Path):
    mask = np.zeros((32, 40), np.uint16)
    mask[:4, :4], mask[9:14, 9:14] = 300, 2
    Image.fromarray(mask).save(data / "masks/cell_000.png")
    found = features(
        to_example(sample(data, 0), settings(data, classes={"background": 0, "cell": "instances"}))
    )
    assert len(np.unique(decode(found["instances"]))) == 3
    assert found["fraction_cell"] == pytest.approx((16 + 25) / (32 * 40))


def test_a_file_that_cannot_be_used_is_named(data: Path):
    (data / "images/cell_001.png").write_bytes(b"")
    Image.new("L", (40, 31)).save(data / "masks/cell_002.png")
    with pytest.raises(BadInput, match=r"^cell_001: .*an empty file"):
        to_example(sample(data, 1), settings(data))
    with pytest.raises(BadInput, match=r"^cell_002: mask is \(31, 40\), image is \(32, 40\)"):
        to_example(sample(data, 2), settings(data))
    with pytest.raises(BadInput, match=r"^.*images/cell_001\.png: .*an empty file"):
        to_serving_example(data / "images/cell_001.png", settings(data))


def test_an_image_in_service_is_its_name_and_scalars_alone(data: Path):
    found = features(to_serving_example(data / "images/cell_000.png", settings(data)))
    assert found.keys() == {"name", "height", "width", "channels", "bit_depth", "mean", "stddev"}
    assert (found["name"], found["height"], found["width"]) == (b"cell_000.png", 32, 40)


def names(path: Path | str) -> list[bytes]:
    records = tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator()
    return [features(tf.train.Example.FromString(record))["name"] for record in records]


def test_a_shard_has_its_samples_in_their_order_or_is_not_there(data: Path, tmp_path: Path):
    write, path = WriteShard(settings(data)), str(tmp_path / "shard.gz")
    order = [3, 0, 2, 1]
    assert list(write.process((path, [sample(data, i) for i in order]))) == [path]
    assert names(path) == [b"cell_00%d" % i for i in order]
    (data / "images/cell_002.png").write_bytes(b"")
    with pytest.raises(BadInput, match="cell_002"):
        list(write.process((str(tmp_path / "other.gz"), [sample(data, i) for i in order])))
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["shard.gz"]


@pytest.fixture
def execute(data: Path, tmp_path: Path) -> Callable[..., Examples]:
    """Runs the executor on the data as its driver saw them: `execute(fingerprint)`."""

    def run(fingerprint: str = "", **change: Any) -> Examples:
        wanted = settings(data, **change)
        source = tmp_path / "source.json"
        source.write_text(json.dumps({"folder": str(data), "settings": wanted.model_dump_json()}))
        examples = Examples()
        examples.uri = str(tmp_path / "examples")
        properties = {
            "source_file": str(source),
            "fingerprint": fingerprint or make_plan(data, wanted).fingerprint,
        }
        context = BaseBeamExecutor.Context(beam_pipeline_args=arguments(), tmp_dir=str(tmp_path / "tmp"))
        Executor(context).Do({}, {"examples": [examples]}, properties)
        return examples

    return run


def test_every_sample_is_in_one_shard_of_its_split(
    execute: Callable[..., Examples], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(executor, "SHARD_SIZE", 2)
    examples = execute(shares={"train": 0.5, "eval": 0.25, "test": 0.25})
    counts = {split: examples.get_int_custom_property(f"{split}_count") for split in SPLITS}
    assert sum(counts.values()) == 6
    assert max(counts.values()) > 2  # more than one file
    files = sorted(Path(examples.uri).rglob("*.gz"))
    assert [f"{file.parent.name}/{file.name}" for file in files] == [
        f"Split-{split}/data_tfrecord-{i:05d}-of-{-(-count // 2):05d}.gz"
        for split, count in sorted(counts.items())
        for i in range(-(-count // 2))
    ]
    assert sorted(name for file in files for name in names(file)) == [b"cell_00%d" % i for i in range(6)]
    assert json.loads(examples.split_names) == ["train", "eval", "test"]


def test_images_in_service_are_a_split_of_their_own(execute: Callable[..., Examples], data: Path):
    write_cells(data.parent / "service", 2, (32, 40))
    examples = execute(serving_data=data.parent / "service" / "images")
    assert json.loads(examples.split_names) == ["train", "eval", "test", "serving"]
    assert examples.get_int_custom_property("serving_count") == 2


def test_data_that_changed_since_the_driver_looked_are_not_read(execute: Callable[..., Examples], data: Path):
    with pytest.raises(BadInput, match=r"data changed while it was read; run again"):
        execute("the fingerprint of before")
    assert not (data.parent / "examples").exists()


class Saboteur(logging.Handler):
    """Does something once, as the first image is read."""

    def __init__(self, change: Callable[[], Any]):
        super().__init__()
        self.change, self.done = change, False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.done:
            self.done = True
            self.change()


def other_image(data: Path) -> None:
    Image.new("L", (40, 32)).save(data / "images/cell_005.png")


def other_mask(data: Path) -> None:
    Image.new("L", (40, 32)).save(data / "masks/cell_000.png")


def another_sample(data: Path) -> None:
    for part in ("images", "masks"):
        Image.new("L", (40, 32)).save(data / part / "new.png")


def replaced_and_put_back(data: Path) -> None:
    before = (data / "images/cell_005.png").read_bytes()
    other_image(data)
    (data / "images/cell_005.png").write_bytes(before)


@pytest.mark.parametrize("change", [other_image, other_mask, another_sample, replaced_and_put_back])
def test_data_that_change_while_they_are_read_stop_the_run(
    execute: Callable[..., Examples], data: Path, change: Callable[[Path], None]
):
    saboteur = Saboteur(lambda: change(data))
    with (
        progress.shown_by(saboteur),
        pytest.raises(BadInput, match=r"data changed while it was read; run again"),
    ):
        execute()
    assert saboteur.done


class Thief(logging.Handler):
    """Takes away each file that is finished, as an image of another one is read."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        for path in self.folder.rglob("data_tfrecord-*.gz"):
            path.unlink()


def test_a_file_that_no_worker_wrote_is_missed(
    execute: Callable[..., Examples], data: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(executor, "SHARD_SIZE", 1)
    thief = Thief(data.parent / "examples")
    with progress.shown_by(thief), pytest.raises(ImagesLost, match=r"data_tfrecord-.*was not written"):
        execute()
