"""Frames of a video are noticed by what they show, and numbered independent images are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from data.synthetic import write_cells
from pipeline.check.check import check
from pipeline.check.proposals import Proposal
from pipeline.config.profile import load
from pipeline.root import Root
from tests.pipeline.check.checking import printed
from unet.dataset.plan import make_plan


def write_frames(folder: Path, names: list[str], per_scene: int) -> None:
    """Frames of a camera that moves over a scene of its own each `per_scene` frames."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i, name in enumerate(names):
        rng = np.random.default_rng(i // per_scene)
        scene = np.asarray(Image.fromarray(rng.integers(0, 256, (12, 40), np.uint8)).resize((800, 240)))
        left = 10 * (i % per_scene)
        frame = scene[:96, left : left + 128]
        Image.fromarray(frame).save(folder / f"images/{name}.png")
        Image.fromarray((frame > 127).astype(np.uint8) * 255).save(folder / f"masks/{name}.png")


def grouped(folder: Path, **settings: object) -> list[Proposal]:
    report = check(load(overrides={"data": folder, **settings}), Root(folder / "root"), proposals=True)
    assert report.ok, report.problems
    return [p for p in report.proposals if p.key in ("slices_per_group", "group_pattern")]


@pytest.mark.parametrize("name", ["frame{:03d}", "{}", "a-{}-left"])
def test_frames_of_a_video_get_blocks(name: str, tmp_path: Path) -> None:
    write_frames(tmp_path / "data", [name.format(i) for i in range(30)], 30)
    [proposal] = grouped(tmp_path / "data")
    assert (proposal.key, proposal.value, proposal.current) == ("slices_per_group", "6", "0")
    assert not grouped(tmp_path / "data", slices_per_group=6)


def test_series_of_frames_are_groups(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_frames(data, [f"clip{c}_{i:03d}" for c in "abcdefgh" for i in range(5)], 5)
    [proposal] = grouped(data)
    assert proposal.key == "group_pattern"
    pattern = proposal.value.strip('"')
    assert not grouped(data, group_pattern=pattern)
    config = load(overrides={"data": data, "group_pattern": pattern})
    plan = make_plan(data, config.reading(tmp_path / "splits.json"))
    split_of = {(s.name[:5], split) for split, samples in plan.samples.items() for s in samples}
    assert len(split_of) == 8
    report = check(load(overrides={"data": data}), Root(data / "root"), proposals=True)
    assert "group_pattern" in printed(report, 200)


def test_numbered_images_that_are_independent_are_no_sequence(tmp_path: Path) -> None:
    for seed in range(3):
        write_cells(tmp_path / f"{seed}", 30, (64, 64), seed=seed)
        assert not grouped(tmp_path / f"{seed}")


def test_few_frames_are_left_alone(tmp_path: Path) -> None:
    write_frames(tmp_path / "data", [f"{i}" for i in range(9)], 9)
    assert not grouped(tmp_path / "data")


def write_stack(folder: Path, name: str, slices: int = 20, line: int = 0) -> None:
    """Cells that grow over the slices, with lines of 4 pixels between them, of value `line` in the masks."""
    side, rng = 256, np.random.default_rng(0)
    seeds = np.zeros((side, side), bool)
    seeds[tuple(rng.integers(0, side, (2, 25)))] = True
    numbered, _ = ndimage.label(seeds)
    noise = np.asarray(Image.fromarray(rng.integers(0, 90, (8, 40), np.uint8)).resize((1280, 256)))
    near = ndimage.distance_transform_edt(~seeds, return_distances=False, return_indices=True)
    cells = numbered[tuple(near)]
    edge = ndimage.morphological_gradient(cells, size=5) > 0
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(slices):
        there = np.roll(edge, i, 1)
        image = np.where(there, 40, 150) + noise[:, 8 * i : 8 * i + side]
        Image.fromarray(image.astype(np.uint8)).save(folder / f"images/{name.format(i)}.png")
        mask = np.where(there, line, 255 - line).astype(np.uint8)
        Image.fromarray(mask).save(folder / f"masks/{name.format(i)}.png")


@pytest.mark.parametrize(
    ("line", "settings", "alike"),
    [
        (0, {}, True),
        (255, {}, False),
        (0, {"slices_per_group": 4}, True),
        (0, {"segment_scores": True}, False),
    ],
)
def test_a_stack_of_membranes_is_told_of_the_profile_for_such(
    line: int, settings: dict[str, Any], alike: bool, tmp_path: Path
) -> None:
    write_stack(tmp_path, "slice_{:02d}", line=line)
    report = check(load(overrides={"data": tmp_path, **settings}), Root(tmp_path / "root"), proposals=True)
    assert report.like_isbi == alike
    assert ("--profile isbi2012" in printed(report, 200)) == alike
    if not settings.get("slices_per_group"):
        [value] = [p.value for p in report.proposals if p.key == "slices_per_group"]
        assert value == "4"


def test_independent_images_of_membranes_are_not_alike(tmp_path: Path) -> None:
    write_stack(tmp_path, "{}", slices=6)
    report = check(load(overrides={"data": tmp_path}), Root(tmp_path / "root"), proposals=True)
    assert not report.like_isbi
