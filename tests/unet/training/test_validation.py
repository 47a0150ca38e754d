"""Validation on whole images, of a network whose answers are known: class 1 where a pixel is bright."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from tests.unet.training.tiny import SETTINGS
from unet.images.reader import decode, encode_png
from unet.masks.labels import IGNORE
from unet.training.validation import WholeImageValidation

PERFECT, ALL_CELL, ALL_BACKGROUND = 0.0, 100.0, -100.0


def bright(bias=PERFECT):
    """A network without context, but of the geometry of depth 2: the tiles are bright in their cells."""
    layers = [keras.layers.Cropping2D(20), keras.layers.Conv2D(2, 1)]
    network = keras.Sequential([keras.Input((None, None, 1)), *layers])
    network.set_weights(weights(bias))
    return network


def weights(bias):
    return [np.array([[[[0.0, 1.0]]]]), np.array([0.0, bias])]


def ground_truths(tiles):
    return [decode(encoded)[20:52, 20:52, 0] for encoded in tiles.features["tile_mask"]]


def with_masks(tiles, change):
    masks = [encode_png(change(decode(encoded)[..., 0])) for encoded in tiles.features["tile_mask"]]
    return dataclasses.replace(tiles, features=tiles.features | {"tile_mask": np.array(masks, object)})


def validation(tiles, network=None, **changes):
    made = WholeImageValidation(bright(), tiles, SETTINGS.model_copy(update=changes))
    made.set_model(network or bright())
    return made


@pytest.mark.parametrize(("bias", "rows"), [(PERFECT, "diagonal"), (ALL_CELL, 1), (ALL_BACKGROUND, 0)])
def test_pixels_are_counted_by_truth_and_prediction(tiles, bias, rows):
    background, cell = np.bincount(np.ravel(ground_truths(tiles)), minlength=2)
    expected = np.zeros((2, 2), int)
    if rows == "diagonal":
        np.fill_diagonal(expected, [background, cell])
    else:
        expected[:, rows] = background, cell
    np.testing.assert_array_equal(WholeImageValidation(bright(bias), tiles, SETTINGS).confusion(), expected)


def test_ignored_pixels_are_not_counted(tiles):
    def ignored(mask):
        mask = mask.copy()
        mask[:30] = IGNORE  # 10 rows of the part without halo
        return mask

    counted = WholeImageValidation(bright(), with_masks(tiles, ignored), SETTINGS).confusion()
    assert counted.sum() == 2 * 22 * 32
    assert counted[0, 1] == counted[1, 0] == 0


def test_the_weights_in_training_are_validated_and_its_metrics_told(tiles):
    callback, logs = validation(tiles, bright(ALL_CELL)), {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    cells = np.mean(ground_truths(tiles))
    assert logs["val_foreground_iou"] == pytest.approx(cells)
    assert logs["val_pixel_error"] == pytest.approx(1 - cells)
    assert {"loss", "val_iou_background", "val_iou_cell"} < logs.keys()
    callback.on_epoch_end(1)  # without logs, too


def test_the_best_weights_are_kept_and_patience_ends_it(tiles):
    callback = validation(tiles, patience=2)
    network = callback.model
    network.stop_training = False
    told = []
    for epoch, bias in enumerate([ALL_CELL, PERFECT, PERFECT, ALL_CELL]):
        network.set_weights(weights(bias))
        callback.on_epoch_end(epoch)
        told.append((callback.stale, network.stop_training))
    assert told == [(0, False), (0, False), (1, False), (2, True)]  # as good again is no better
    assert callback.best_score == 1
    for found, expected in zip(callback.restore_best().get_weights(), weights(PERFECT), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("select_by", "kept"),
    [("recall_cell", ALL_CELL), ("pixel_error", PERFECT), ("recall_background", ALL_BACKGROUND)],
)
def test_the_best_weights_are_those_of_the_metric_that_was_chosen(tiles, select_by, kept):
    callback = validation(tiles, select_by=select_by)
    for epoch, bias in enumerate([ALL_BACKGROUND, ALL_CELL, PERFECT]):
        callback.model.set_weights(weights(bias))
        callback.on_epoch_end(epoch)
    assert callback.best_score == 1
    for found, expected in zip(callback.restore_best().get_weights(), weights(kept), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_without_patience_it_never_ends(tiles):
    callback = validation(tiles, patience=0)
    callback.model.stop_training = False
    for epoch in range(4):
        callback.on_epoch_end(epoch)
    assert (callback.stale, callback.model.stop_training) == (3, False)


def test_the_first_validation_counts_even_if_it_measures_nothing(tiles):
    callback = validation(with_masks(tiles, lambda mask: np.full_like(mask, IGNORE)))
    logs: dict[str, float] = {}
    callback.on_epoch_end(0, logs)
    assert math.isnan(logs["val_foreground_iou"])
    assert callback.best_score == -math.inf
    assert callback.best_weights
    callback.on_epoch_end(1)
    assert callback.stale == 1


@pytest.mark.parametrize(("count", "names"), [(0, []), (1, ["0"]), (2, ["0", "1"]), (3, ["0", "1"])])
def test_as_many_images_are_shown_as_asked_for(tiles, count, names):
    assert [name for name, _ in validation(tiles).pictures(count)] == names


def test_an_image_is_shown_beside_its_truth_and_the_prediction(tiles):
    callback = WholeImageValidation(bright(ALL_CELL), tiles, SETTINGS)
    for i, (_, shown) in enumerate(callback.pictures(2)):
        assert (shown.shape, shown.dtype.name) == ((32, 96, 1), "float32")
        image, ground_truth, prediction = np.split(shown[..., 0], 3, 1)
        pixels = decode(tiles.features["tile"][i])[20:52, 20:52, 0].astype(float)
        np.testing.assert_allclose(image, (pixels - pixels.min()) / np.ptp(pixels), atol=1e-6)
        np.testing.assert_array_equal(ground_truth, ground_truths(tiles)[i])
        assert (prediction == 1).all()


def test_an_image_of_two_tiles_is_shown_once_and_what_is_ignored_as_the_last_class(tiles):
    features = tiles.features | {"name": np.array([b"a", b"a"], object)}
    features["left"], features["width"] = np.array([0, 32]), np.array([64, 64])
    twice = with_masks(dataclasses.replace(tiles, features=features), lambda mask: np.full_like(mask, IGNORE))
    [(name, shown)] = WholeImageValidation(bright(), twice, SETTINGS).pictures(5)
    assert name == "a"
    assert (shown[:, 32:64] == 1).all()


def test_without_a_background_the_best_weights_are_those_of_all_classes(tiles):
    callback = validation(tiles, bright(ALL_CELL), background="none")
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    cells = np.mean(ground_truths(tiles))
    assert logs["val_foreground_iou"] == pytest.approx(cells / 2)  # the background's is 0
    assert callback.best_score == logs["val_mean_iou"]
