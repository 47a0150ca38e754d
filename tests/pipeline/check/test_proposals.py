from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from pipeline.check.check import check
from pipeline.check.proposals import Proposal, _patch_size, training_time
from pipeline.config.profile import load
from pipeline.root import Root
from unet.tiling import Geometry


def proposed(folder: Path, **settings: Any) -> dict[str, Proposal]:
    config = load(overrides={"data": folder, **settings})
    report = check(config, Root(folder / "root"), proposals=True)
    assert report.ok, report.problems
    return {proposal.key: proposal for proposal in report.proposals}


def write_discs(
    folder: Path, side: int, diameter: int, brightness: range = range(120, 121), spacing: int = 0
) -> None:
    """Six images, each with discs of one size on a grid; brightness differs between images."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    spacing = spacing or 2 * diameter
    y, x = np.mgrid[:side, :side] % spacing - spacing // 2
    mask = np.hypot(y, x) < diameter / 2
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 9, (side, side))
        level = brightness[number % len(brightness)]
        Image.fromarray((mask * 80 + noise + level).astype(np.uint8)).save(folder / f"images/{number}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"masks/{number}.png")


@pytest.mark.parametrize(
    ("diameter", "low", "high"), [(5, 2.0, 3.0), (20, 1.0, 1.0), (60, 1.0, 1.0), (300, 0.2, 0.4)]
)
def test_scale_brings_objects_to_a_size_the_network_sees(
    tmp_path: Path, diameter: int, low: float, high: float
) -> None:
    write_discs(tmp_path, 16 * diameter if diameter < 100 else 1200, diameter)
    scale = proposed(tmp_path)["scale"]
    assert low <= float(scale.value) <= high
    assert "pixels across" in scale.reason


@pytest.mark.parametrize(
    ("diameter", "settings", "value", "why"),
    [
        (3, {}, "4", "one in twenty has fewer than 9 pixels, which would be left out"),
        (20, {}, "15", "what is smaller than 15 is a speck"),
        (3, {"min_object_size": 5}, "5", "what is smaller than 5 is a speck"),
    ],
)
def test_specks_are_smaller_than_small_objects(
    tmp_path: Path, diameter: int, settings: dict[str, int], value: str, why: str
) -> None:
    write_discs(tmp_path, 16 * diameter, diameter)
    proposal = proposed(tmp_path, **settings)["min_object_size"]
    assert proposal.value == value
    assert why in proposal.reason


def write_classes(folder: Path, mask: Any) -> None:
    """Six images that look like their mask of class numbers."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number in range(6):
        Image.fromarray((mask * 60 + number).astype(np.uint8)).save(folder / f"images/{number}.png")
        Image.fromarray(mask.astype(np.uint8)).save(folder / f"masks/{number}.png")


@pytest.mark.parametrize(("width", "scale"), [(3, 1.0), (6, 0.62), (15, 0.24)])
def test_thin_lines_are_not_made_thinner_than_they_can_be_seen(
    tmp_path: Path, width: int, scale: float
) -> None:
    """Vessels and the like are large as objects."""
    y, x = np.mgrid[:1200, :1200]
    write_classes(tmp_path, (x % 150 < width) | (y % 150 < width))
    found = proposed(tmp_path, classes={"background": 0, "vessel": 1})["scale"]
    assert float(found.value) == pytest.approx(scale, abs=0.02)  # 4 pixels are left of the width
    assert "but vessel is about" in found.reason


def test_the_largest_of_several_classes_does_not_decide_about_the_scale(tmp_path: Path) -> None:
    y, x = np.mgrid[:1200, :1200]
    house = (abs(x - 300) < 150) & (abs(y - 600) < 200)
    cell = np.hypot(x % 100 - 50, y % 100 - 50) < 12
    mask = np.where(house, 1, np.where(cell & (x > 600), 2, 0))
    write_classes(tmp_path, mask)
    classes = {"background": 0, "house": 1, "cell": 2}
    found = proposed(tmp_path, classes=classes)["scale"]
    assert (found.value, "about 24 pixels across" in found.reason) == ("1", True)
    write_classes(tmp_path, np.minimum(mask, 1))  # without the cells
    assert float(proposed(tmp_path, classes={"background": 0, "house": 1})["scale"].value) < 0.3


@pytest.mark.parametrize(("side", "scale"), [(200, "1"), (280, "0.68")])
def test_an_image_is_not_made_smaller_than_what_the_network_sees(
    tmp_path: Path, side: int, scale: str
) -> None:
    y, x = np.mgrid[:side, :side]
    write_classes(tmp_path, np.hypot(x - side / 2, y - side / 2) < 0.28 * side)
    found = proposed(tmp_path, classes={"background": 0, "yolk": 1})["scale"]
    assert (found.value, f"but images are about {side} pixels wide" in found.reason) == (scale, True)


def test_normalize_follows_the_exposures(tmp_path: Path) -> None:
    write_discs(tmp_path / "same", 160, 20)
    write_discs(tmp_path / "different", 160, 20, range(0, 150, 30))
    assert proposed(tmp_path / "same")["normalize"].value == '"dataset"'
    assert proposed(tmp_path / "different")["normalize"].value == '"image"'


def test_images_of_one_value_have_no_exposure(tmp_path: Path) -> None:
    write_discs(tmp_path, 96, 20)
    for i in range(6, 12):
        Image.new("L", (96, 96), i).save(tmp_path / f"images/{i}.png")
        Image.new("L", (96, 96)).save(tmp_path / f"masks/{i}.png")
    assert proposed(tmp_path)["normalize"].value == '"dataset"'


def test_windows_fit_small_images(tmp_path: Path) -> None:
    write_discs(tmp_path, 96, 20)
    patch = proposed(tmp_path)["patch_size"]
    assert patch.value == "284"
    assert patch.changes
    load(overrides={"patch_size": int(patch.value)})  # a valid one


def test_the_patch_fits_a_network_with_a_stem(tmp_path: Path) -> None:
    write_discs(tmp_path, 300, 20)
    stem = {"depth": 3, "stem_stride": 2}
    patch = proposed(tmp_path, patch_size=440, **stem)["patch_size"]
    load(overrides={"patch_size": int(patch.value), **stem})  # a valid one
    assert "2.7 times" in patch.reason


def test_tissue_is_no_object(tmp_path: Path) -> None:
    write_discs(tmp_path, 200, 20)
    for path in (tmp_path / "masks").iterdir():
        Image.fromarray((np.arange(200 * 200).reshape(200, 200) > 9000).astype(np.uint8) * 255).save(path)
    assert proposed(tmp_path)["scale"].value == "1"


@pytest.mark.parametrize(
    ("diameter", "loss", "changes"),
    [
        (20, {"cross_entropy": 1.0}, False),  # a fifth of the pixels
        (8, {"cross_entropy": 1.0}, True),  # 3 per cent
        (8, {"dice": 2.0, "focal": 1.0}, False),
        (8, "tversky", False),
    ],
)
def test_a_rare_class_gets_a_loss_that_counts_classes(
    tmp_path: Path, diameter: int, loss: Any, changes: bool
) -> None:
    write_discs(tmp_path, 160, diameter, spacing=40)
    found = proposed(tmp_path, loss=loss)["loss"]
    assert found.changes == changes
    assert (found.value == '"cross_entropy+dice"') == changes
    assert "foreground has" in found.reason


@pytest.mark.parametrize(
    ("values", "times"),
    [(("8", "444", "1500"), 1), (("16", "444", "3000"), 4.9), (("8", "284", "1500"), 0.4)],
)
def test_it_is_told_how_much_longer_a_training_takes(values: tuple[str, ...], times: float) -> None:
    proposals = [
        Proposal(key, value, "", "")
        for key, value in zip(("base_filters", "patch_size", "steps"), values, strict=True)
    ]
    assert training_time(proposals, load()) == pytest.approx(times, rel=0.03)
    assert training_time(proposals, load(overrides={"minutes": 5})) == 1
    assert training_time([], load()) == 1


def test_all_proposals_are_legal_settings(tmp_path: Path) -> None:
    write_discs(tmp_path, 300, 30)
    values = proposed(tmp_path)
    from pipeline.config.profile import parse_overrides

    load(overrides=parse_overrides([f"{p.key}={p.value}" for p in values.values()]))
    assert set(values) == {
        *("normalize", "scale", "loss", "base_filters", "patch_size", "tile_stride", "steps"),
        "min_object_size",
    }
    assert all(p.reason for p in values.values())


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@given(side=st.floats(1, 6000))
@example(side=260.0)
@example(side=512.0)
def test_a_proposed_patch_is_legal_and_learns_from_as_much_as_the_default(
    depth: int, stem_stride: int, side: float
) -> None:
    geometry = Geometry(depth, stem_stride)
    patch, why = _patch_size(side, geometry)
    assert geometry.is_valid_size(patch)
    output = geometry.output_size(patch)
    assert output >= min(round(side), 260)
    smaller = patch - geometry.step  # would show less
    assert smaller < geometry.smallest or geometry.output_size(smaller) < max(260, 444 - 2 * geometry.halo)
    if "mirrored" in why:
        assert smaller < geometry.smallest or geometry.output_size(smaller) < round(side)
    else:
        assert round(side) > output - geometry.step
    load(overrides={"depth": depth, "stem_stride": stem_stride, "patch_size": patch, "tile_stride": 512})
