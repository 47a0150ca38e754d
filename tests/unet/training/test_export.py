"""What an exported model says of its training."""

import pytest

from tests.unet.training.tiny import SETTINGS
from unet.export.settings import ExportSettings
from unet.registry.records import training_record
from unet.tiling import Geometry, tile_area
from unet.training.build import build_network
from unet.training.export import export


@pytest.mark.parametrize(
    ("normalize", "normalization"),
    [("dataset", {"over": "dataset", "mean": [90.0], "stddev": [60.0]}), ("image", {"over": "image"})],
)
def test_its_record_has_what_answers_are_made_by(tiles, tmp_path, normalize, normalization):
    change = {"depth": 1, "normalize": normalize, "value_range": (0.0, 1.0), "scale": 0.5, "ignore": 7}
    settings = SETTINGS.model_copy(update=change)
    how = ExportSettings(serving_memory=0.25, serving_max_pixels=1234)
    network = build_network(settings, 1, None, "softmax", "float32")
    export([network], settings, how, tiles, tmp_path / "1", {"start": "fresh"})
    geometry = Geometry(1)
    assert training_record(tmp_path / "1") == {
        "classes": ["background", "cell"],
        "class_values": [0, 255],
        "labels": {"classes": {"background": 0, "cell": 255}, "ignore": 7},
        "background": "first",
        "channels": 1,
        "value_range": [0.0, 1.0],
        "use_channels": None,
        "normalization": normalization,
        "max_pixels": 1234,
        "base_filters": 2,
        "scale": 0.5,
        "test_time_augmentation": False,
        "max_area": tile_area(2.5e8, 2, geometry),
        "geometry": {
            "depth": 1,
            "halo": geometry.halo,
            "step": geometry.step,
            "smallest": geometry.smallest,
        },
        "start": "fresh",
    }
