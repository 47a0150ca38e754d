"""Which images are shown, and how."""

import numpy as np
import pytest
from PIL import Image

from unet.evaluation import pictures
from unet.masks.labels import IGNORE


def rows(scores):
    return [{"name": f"{i:02d}", "metrics": {"foreground_iou": score}} for i, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (
            np.arange(12) / 12,
            {"worst": ["00", "01", "02"], "median": ["05", "06", "07"], "best": ["11", "10", "09"]},
        ),
        ([0.5, 0.1, 0.9], {"worst": ["01"], "median": ["00"], "best": ["02"]}),
        ([0.5, 0.1], {"worst": ["01"], "best": ["00"]}),
        ([0.5], {"worst": ["00"]}),
        ([np.nan, 0.3, None], {"worst": ["01"]}),
        ([], {}),
    ],
)
def test_the_worst_the_median_and_the_best_each_once(scores, expected):
    found: dict[str, list[str]] = {}
    for row in pictures.pick(rows(scores)):
        found.setdefault(row["role"], []).append(row["name"])
    assert found == expected


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [
        ((40, 50, 1), np.uint8, (50, 40)),
        ((1536, 1000, 3), np.uint16, (500, 768)),
        ((2000, 1, 1), np.uint8, (1, 768)),
        ((40, 50, 2), np.uint8, (50, 40)),
        ((40, 50, 5), np.uint16, (50, 40)),
    ],
)
def test_pictures_fit_a_page_and_keep_their_classes(tmp_path, shape, dtype, size):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 99, shape).astype(dtype)  # dark: it is stretched to be seen
    ground_truth = rng.choice([0, 1, IGNORE], shape[:2]).astype(np.uint8)
    foreground = np.full(shape[:2], 65535, np.uint16)
    picked = {"role": "worst", "name": "a/b", "score": 0.1}
    row = pictures.write_pictures(
        tmp_path, 3, picked, pixels, ground_truth, ground_truth % 2, foreground, IGNORE, 1
    )
    keys = ("image", "ground_truth", "predicted", "probability")
    arrays = {key: np.asarray(load(tmp_path / "pictures" / row[key])) for key in keys}
    assert {array.shape[:2] for array in arrays.values()} == {size[::-1]}
    assert arrays["image"].ndim == (3 if shape[-1] > 2 else 2)
    assert arrays["image"].max() > 100
    assert set(np.unique(arrays["ground_truth"])) <= {0, 1, IGNORE}
    assert arrays["probability"].min() == 255
    assert row["name"] == "a/b"
    wrong = {"missed": 0, "too_much": 0, "other": 0}
    assert row["errors"] == {"right": float(1 in ground_truth), **wrong}  # of all pixels, not of those shown


def test_errors_are_counted_in_the_whole_image(tmp_path):
    ground_truth = np.zeros((2000, 2000), np.uint8)
    ground_truth[::4, ::4] = 1  # single pixels, of which a picture of 768 shows few
    predicted = ground_truth.copy()
    predicted[0] = 0
    shown = np.zeros((2000, 2000, 1), np.uint8)
    picked = {"role": "worst", "name": "a", "score": 0.1}
    probability = np.zeros((2000, 2000), np.uint16)
    row = pictures.write_pictures(tmp_path, 0, picked, shown, ground_truth, predicted, probability, IGNORE, 1)
    assert row["errors"] == {"right": 499 / 500, "missed": 1 / 500, "too_much": 0, "other": 0}


@pytest.mark.parametrize(
    ("dtype", "low", "high", "stretched"),
    [
        (np.uint8, 0, 256, False),
        (np.uint8, 60, 200, False),
        (np.uint8, 90, 150, True),
        (np.uint16, 0, 4096, True),  # 12 bits in 16
        (np.uint16, 0, 65536, False),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_only_images_that_use_few_values_are_stretched(tmp_path, dtype, low, high, stretched, channels):
    # A ramp of blocks, so that JPEG changes no value by much.
    ramp = np.linspace(low, high - 1, 32).astype(dtype).repeat(16)
    pixels = np.broadcast_to(ramp[None, :, None], (64, 512, channels))
    mask, probability = np.zeros((64, 512), np.uint8), np.zeros((64, 512), np.uint16)
    picked = {"role": "worst", "name": "a", "score": 0.1}
    row = pictures.write_pictures(tmp_path, 0, picked, pixels, mask, mask, probability, IGNORE, 1)
    assert row["stretched"] == stretched
    found = load(tmp_path / "pictures" / row["image"])[32, 8::16].astype(int)  # [blocks] or [blocks, 3]
    expected = (
        np.interp(ramp[8::16], [low, high - 1], [0, 255])
        if stretched
        else ramp[8::16] / (np.iinfo(dtype).max + 1) * 256
    )
    assert abs(found.reshape(32, -1)[:, 0] - expected).max() < 6


def load(path):
    with Image.open(path) as picture:
        return np.asarray(picture)
