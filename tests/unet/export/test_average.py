"""The exported mean of several models answers as they do together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unet.export.average import average
from unet.inference.model import Model
from unet.registry.records import ModelError, digest, training_record
from unet.tiling import Geometry

CLOSE = 1e-5
IMAGE = np.random.default_rng(1).integers(0, 256, (60, 70), np.uint8)
OVER_DATA = [{"over": "dataset", "mean": [m], "stddev": [s]} for m, s in ((100.0, 40.0), (30.0, 90.0))]
pytestmark = pytest.mark.usefixtures("loaded_once")


def exported(tmp_path: Path, export_tiny: Any, *changes: dict[str, Any]) -> list[Path]:
    return [export_tiny(tmp_path / str(i), i, **change) for i, change in enumerate(changes)]


@pytest.mark.parametrize(
    "network",
    [
        {"geometry": {"depth": 1, "stem_stride": 2}},
        {"recipe": {"decoder": "paper", "residual": True, "normalization_layer": "batch"}},
    ],
    ids=["stem", "residual and normalized"],
)
def test_its_probabilities_are_the_mean(tmp_path: Path, export_tiny: Any, network: dict[str, Any]) -> None:
    """Of networks that read the image twice, each normalised over its own data."""
    folders = exported(tmp_path, export_tiny, *({"normalization": n} | network for n in OVER_DATA))
    average(folders, tmp_path / "mean", test_time_augmentation=False)
    expected = np.mean([Model(folder).probabilities(IMAGE) for folder in folders], 0)
    np.testing.assert_allclose(Model(tmp_path / "mean").probabilities(IMAGE), expected, atol=CLOSE)
    record = training_record(tmp_path / "mean")
    assert [part["sha256"] for part in record["mean_of"]] == [digest(folder) for folder in folders]


def test_a_mean_counts_as_what_it_is_made_of(tmp_path: Path, export_tiny: Any) -> None:
    folders = exported(tmp_path, export_tiny, {}, {}, {})
    average(folders[:2], tmp_path / "two", test_time_augmentation=False)
    average([tmp_path / "two", folders[2]], tmp_path / "three", test_time_augmentation=False)
    expected = np.mean([Model(folder).probabilities(IMAGE) for folder in folders], 0)
    np.testing.assert_allclose(Model(tmp_path / "three").probabilities(IMAGE), expected, atol=CLOSE)


def test_the_symmetries_of_one_model(tmp_path: Path, export_tiny: Any) -> None:
    (folder,) = exported(tmp_path, export_tiny, {})
    average([folder], tmp_path / "turned", test_time_augmentation=True)
    turned, model = Model(tmp_path / "turned"), Model(folder)
    # As large as a tile's answer: a padded image would be padded on another side when turned.
    geometry = Geometry(2)
    side = geometry.smallest + 8 * geometry.step - 2 * geometry.halo
    image = np.random.default_rng(1).integers(0, 256, (side, side), np.uint8)
    back = []
    for k in range(4):
        square = np.rot90(image, k)
        back.append(np.rot90(model.probabilities(np.ascontiguousarray(square)), -k))
        flipped = model.probabilities(np.ascontiguousarray(np.flipud(square)))
        back.append(np.rot90(np.flipud(flipped), -k))
    np.testing.assert_allclose(turned.probabilities(image), np.mean(back, 0), atol=CLOSE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": ["background", "cell", "wall"]}, "classes differ from"),
        ({"normalization": OVER_DATA[0]}, "not normalised as"),
        ({"recipe": {"decoder": "published"}}, "its weights are not those of the network"),
        ({"recipe": {}}, "exported by an earlier version, or damaged"),
    ],
)
def test_models_that_do_not_fit_together_are_refused(
    tmp_path: Path, export_tiny: Any, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        average(exported(tmp_path, export_tiny, {}, change), tmp_path / "mean", test_time_augmentation=False)
    assert not (tmp_path / "mean").exists()
