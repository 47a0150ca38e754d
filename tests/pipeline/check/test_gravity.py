"""Photographs have an up and a down; cells, images from above and unevenly lit slides do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from data.synthetic import write_cells
from pipeline.check.check import check
from pipeline.check.gravity import Gravity, gravity
from pipeline.check.proposals import Proposal
from pipeline.config.profile import load, parse_overrides
from pipeline.root import Root
from unet.dataset.plan import find

Scene = Callable[[np.random.Generator], NDArray[np.uint8]]


def street(rng: np.random.Generator, sky: int = 200, ground: int = 90) -> NDArray[np.uint8]:
    """A bright sky above a horizon somewhere, houses of any brightness on it, and noise."""
    scene = np.full((60, 80), sky, np.float64)
    horizon = rng.integers(20, 40)
    scene[horizon:] = ground
    for _ in range(6):
        left, top = rng.integers(0, 70), rng.integers(5, horizon)
        scene[top:horizon, left : left + 12] = rng.integers(0, 256)
    return (scene + rng.normal(0, 8, scene.shape)).clip(0, 255).astype(np.uint8)


def colored(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A blue sky over brown ground of the same brightness."""
    red = street(rng, 80, 160).astype(np.float64)
    return np.stack([red, np.full_like(red, 120), 240 - red], -1).clip(0, 255).astype(np.uint8)


def turned(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Streets seen from above: their light parts lie on any side."""
    return np.ascontiguousarray(np.rot90(street(rng)[:, :60], rng.integers(4)))


def slanting(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A slide that is lit from its upper left corner."""
    light = 1 - (np.arange(60)[:, None] + np.arange(80)) / 200
    return (rng.integers(90, 160, (60, 80)) * light).astype(np.uint8)


def write(folder: Path, scene: Scene, count: int = 20, suffix: str = "png") -> Path:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        pixels = scene(np.random.default_rng(i))
        Image.fromarray(pixels).save(folder / f"images/{i}.{suffix}")
        mask = (np.random.default_rng(i).random(pixels.shape[:2]) > 0.5).astype(np.uint8) * 255
        Image.fromarray(mask).save(folder / f"masks/{i}.png")
    return folder


def seen(folder: Path) -> Gravity | None:
    settings = load(overrides={"data": folder}).reading(folder / "splits.json")
    return gravity(find(folder, settings)[0], settings)


@pytest.mark.parametrize(("scene", "what"), [(street, "brighter"), (colored, "bluer")])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_sky_above_a_ground_is_seen(tmp_path: Path, scene: Scene, what: str, suffix: str) -> None:
    found = seen(write(tmp_path / "data", scene, 50, suffix))
    assert found is not None
    assert (found.images, found.what) == (32, what)
    assert found.share > 0.9


def test_a_bright_ground_is_seen(tmp_path: Path) -> None:
    found = seen(write(tmp_path / "data", lambda rng: street(rng, 60, 220)))
    assert found is not None
    assert found.what == "darker"


@pytest.mark.parametrize("scene", [turned, slanting])
def test_what_has_no_up_is_left_alone(tmp_path: Path, scene: Scene) -> None:
    assert seen(write(tmp_path / "data", scene)) is None


@pytest.mark.parametrize("seed", range(3))
def test_cells_have_no_up(tmp_path: Path, seed: int) -> None:
    write_cells(tmp_path, 12, seed=seed, channels=3)
    assert seen(tmp_path) is None


def test_the_bundled_nuclei_have_no_up() -> None:
    data = load().data
    settings = load().reading(data / "no-splits.json")
    assert gravity(find(data, settings)[0], settings) is None


def test_few_images_may_be_chance(tmp_path: Path) -> None:
    assert seen(write(tmp_path / "data", street, 7)) is None


def proposed(folder: Path, **settings: object) -> dict[str, Proposal]:
    report = check(load(overrides={"data": folder, **settings}), Root(folder / "root"), proposals=True)
    assert report.ok, report.problems
    return {p.key: p for p in report.proposals if p.key in ("flip", "quarter_turns", "rotation")}


def test_photographs_are_not_turned_over(tmp_path: Path) -> None:
    data = write(tmp_path / "data", street)
    found = proposed(data)
    assert {key: (p.value, p.current, p.changes) for key, p in found.items()} == {
        "flip": ('"horizontal"', '"both"', True),
        "quarter_turns": ("false", "true", True),
    }
    assert "brighter in" in found["flip"].reason
    taken = load(overrides=parse_overrides([f"{p.key}={p.value}" for p in found.values()]))
    assert (taken.flip, taken.quarter_turns) == ("horizontal", False)
    assert proposed(data, spatial_augment_prob=0.2)["rotation"].value == "15"
    assert not proposed(data, spatial_augment_prob=0.2, rotation=5.0)["rotation"].changes
    own_word = proposed(data, flip="none", quarter_turns=False)
    assert not any(p.changes for p in own_word.values())


def test_nothing_is_proposed_for_what_has_no_up(tmp_path: Path) -> None:
    assert not proposed(write(tmp_path / "data", turned))
