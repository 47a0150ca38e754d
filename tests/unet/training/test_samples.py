"""What is kept of the patches of a training, for people to look at."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from pipeline.config.settings import PipelineConfig
from unet.images.reader import decode, encode_png
from unet.masks.labels import IGNORE
from unet.training.files import SAMPLES_INDEX as INDEX
from unet.training.samples import write_samples
from unet.training.settings import STILL, TrainSettings

HALO = 20  # of depth 2


def settings(**change):
    base = {"depth": 2, "patch_size": 60, "tile_stride": 16, "channels": 1, "brightness_contrast": 0.0}
    return TrainSettings.of(PipelineConfig(**(base | change)))


def picture(folder, name):
    return np.asarray(Image.open(folder / name))


def test_each_image_once_before_and_after(tiles, tmp_path):
    write_samples(tmp_path / "samples", tiles, settings(flip="both"))
    folder = tmp_path / "samples"
    rows = json.loads((folder / INDEX).read_text())
    assert sorted(row["name"] for row in rows) == ["0", "1"]
    for row in rows:
        assert row["weight"] is None
        before, after = picture(folder, row["before"]), picture(folder, row["after"])
        assert before.shape == after.shape == (60, 60)
        for key, image in (("mask_before", before), ("mask_after", after)):
            mask = picture(folder, row[key])
            assert mask.shape == image.shape
            assert set(np.unique(mask[HALO:-HALO, HALO:-HALO])) <= {0, 1, IGNORE}
            assert (mask[:HALO] == IGNORE).all()
            center = mask != IGNORE
            assert image[center & (mask == 1)].mean() > image[center & (mask == 0)].mean()
        turned = [np.rot90(np.flip(before, 1) if flip else before, k) for flip in (0, 1) for k in range(4)]
        assert (
            min(np.abs(after.astype(int) - other).mean() for other in turned) < 10
        )  # JPEG; of others it is 60


def test_the_weight_map_is_that_of_the_loss(tiles, tmp_path):
    term = np.zeros((72, 72), np.uint8)
    term[30:40] = 255
    mask_channels = []
    for encoded in tiles.features["tile_mask"]:
        mask_channels.append(
            encode_png(np.concatenate([decode(encoded), term[..., None], term[..., None]], -1))
        )
    features = tiles.features | {"tile_mask": np.array(mask_channels, object)}
    with_border = dataclasses.replace(tiles, features=features, mask_channels=3)
    write_samples(
        tmp_path, with_border, settings(border_weight=10.0, class_weights={"foreground": 2.0}, **STILL)
    )
    for row in json.loads((tmp_path / INDEX).read_text()):
        weight = picture(tmp_path, row["weight"]) * row["weight_most"] / 255
        mask = picture(tmp_path, row["mask_after"])
        assert row["weight_most"] == pytest.approx(12, abs=1)
        assert (weight[mask == IGNORE] == 0).all()
        assert {1, 2} <= set(np.round(weight[mask != IGNORE]).astype(int)) <= {1, 2, 11, 12}
