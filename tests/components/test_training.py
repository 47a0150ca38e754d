"""A training learns, repeats itself, and stops at a loss that is no number."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import training
from components.errors import TrainingFailed
from components.images import decode, encode_png
from components.input_pipeline import Tiles
from components.masks import IGNORE
from components.training import TrainSettings

SETTINGS = TrainSettings(
    classes={"background": 0, "cell": 255}, decoder="paper", base_filters=2, depth=2, dropout=0.0, window=72,
    batch_size=2, steps=120, validate_every=60, optimizer="adam", momentum=0.9, learning_rate=3e-3,
    schedule="cosine", grey=0.1, normalise="dataset", seed=5, ignore=None, value_range=None, scale=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def tiles():
    """Two images of bright squares, one tile each."""
    rng = np.random.default_rng(1)
    rows = []
    for i in range(2):
        mask = np.kron(rng.integers(0, 2, (6, 6)), np.ones((12, 12))).astype(np.uint8)
        image = (mask * 120 + rng.integers(0, 60, mask.shape)).astype(np.uint8)
        rows.append((encode_png(image), encode_png(mask), f"{i}".encode(), 0, 0, 32, 32, 1))
    keys = ("tile", "tile_mask", "name", "top", "left", "height", "width", "tiles")
    columns = {key: np.array(values, dtype=object if key in keys[:3] else None)
               for key, values in zip(keys, zip(*rows, strict=True), strict=True)}  # fmt: skip
    return Tiles(columns, np.full((2, 1), 90, np.float32), np.full((2, 1), 60, np.float32))


def train(tiles, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    keras.utils.set_random_seed(settings.seed)
    network = training.compile_network(settings, 1, settings.learning_rate)
    return training.fit(network, settings, tiles, tiles, "test")


def test_it_learns_and_the_same_seed_gives_the_same_weights(tiles):
    (first, curves), (second, _) = train(tiles), train(tiles)
    assert curves["loss"][-1] < curves["loss"][0]
    assert max(curves["val_foreground_iou"]) > 0.5
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_best_weights_are_kept_and_score_what_the_curve_says(tiles):
    best, curves = train(tiles)
    confusion = training.WholeImageValidation(best, tiles, SETTINGS).confusion()
    assert confusion.sum() == 2 * 32 * 32
    score = confusion[1, 1] / (confusion[1].sum() + confusion[:, 1].sum() - confusion[1, 1])
    assert score == pytest.approx(max(curves["val_foreground_iou"]))


def test_the_budget_of_steps_is_kept_where_validations_do_not_divide_it(tiles, caplog):
    with caplog.at_level("INFO", "unet.progress"):
        _, curves = train(tiles, steps=25, validate_every=10)
    steps = [record.step for record in caplog.records if record.name == "unet.progress"]
    assert steps == list(range(1, 26))
    assert len(curves["val_foreground_iou"]) == 3


def test_a_loss_that_is_no_number_stops_the_training(tiles):
    with pytest.raises(TrainingFailed, match=r"the loss is (nan|inf) at step \d+ of 120"):
        train(tiles, learning_rate=1e20, optimizer="sgd", schedule="constant")


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_cosine_schedule_warms_up_and_ends_at_zero(optimizer):
    settings = dataclasses.replace(SETTINGS, optimizer=optimizer, steps=100)
    rate = training.make_optimizer(settings, 1e-3)._learning_rate
    values = [float(rate(tf.constant(step))) for step in (0, 10, 100)]
    assert values == pytest.approx([1e-4, 1e-3, 0], abs=1e-9)


def marked(tiles, rows):
    """The same tiles, with the first rows of each mask not to be counted."""
    masks = []
    for encoded in tiles.features["tile_mask"]:
        mask = decode(encoded)[..., 0].copy()
        mask[:rows] = IGNORE
        masks.append(encode_png(mask))
    features = {**tiles.features, "tile_mask": np.array(masks, dtype=object)}
    return dataclasses.replace(tiles, features=features)


@pytest.mark.parametrize(("rows", "counted"), [(30, 2 * 22 * 32), (72, 0)])
def test_ignored_pixels_neither_train_nor_count(tiles, rows, counted):
    unsure = marked(tiles, rows)
    best, curves = train(unsure, ignore=99, steps=20, validate_every=20)
    assert np.isfinite(curves["loss"]).all()
    assert training.WholeImageValidation(best, unsure, SETTINGS).confusion().sum() == counted
