from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from data.synthetic import write_cells
from pipeline.check.check import check
from pipeline.config.profile import load
from pipeline.root import Root
from unet.dataset.plan import Plan, make_plan
from unet.errors import BadInput


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def planned(data: Path, **settings: Any) -> Plan:
    config, root = load(overrides={"data": data, **settings}), Root(data.parent / f"{data.name}-root")
    report = check(config, root)
    assert report.ok, report.problems
    plan = make_plan(data, config.reading(root.splits))
    left_out = {name for name, _ in report.copies}
    names = {s.name for samples in plan.samples.values() for s in samples}
    assert not names & left_out
    assert len(names) + len(left_out) == sum(report.summary.splits.values())
    return plan


def names(plan: Plan) -> set[str]:
    return {sample.name for samples in plan.samples.values() for sample in samples}


@pytest.mark.parametrize("kind", ["same", "compressed", "tif", "bmp", "colour", "palette", "jpeg", "deep"])
def test_the_same_image_in_another_file_is_a_copy(kind: str, tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (64, 64))
    original, copy = (tmp_path / f"images/cell_00{i}.png" for i in (0, 1))
    if kind == "jpeg":  # and what its pixels are in PNG
        Image.open(original).save(original.with_suffix(".jpg"))
        original.unlink()
        original = original.with_suffix(".jpg")
    with Image.open(original) as image:
        pixels = np.asarray(image)
    copy.unlink()
    if kind == "tif":
        tifffile.imwrite(copy.with_suffix(".tif"), pixels, compression="zlib")
    elif kind == "bmp":
        Image.fromarray(pixels).save(copy.with_suffix(".bmp"))
    elif kind == "colour":
        Image.fromarray(np.stack([pixels] * 3, -1)).save(copy)
    elif kind == "palette":
        Image.fromarray(pixels).convert("P").save(copy)
    elif kind == "deep":
        Image.fromarray(pixels * np.uint16(257)).save(copy)
    else:
        Image.fromarray(pixels).save(copy, compress_level=0 if kind != "same" else 6)
    splits = ["train", "test", "train", "train", "eval", "test"]
    rows = [f"images/{p.name},masks/cell_00{i}.png,{splits[i]}"
            for i, p in enumerate(sorted((tmp_path / "images").iterdir()))]  # fmt: skip
    (tmp_path / "manifest.csv").write_text("\n".join(["image,mask,split", *rows]))
    assert names(planned(tmp_path)) == {f"cell_00{i}" for i in range(1, 6)}


def test_a_page_that_occurs_twice_is_a_copy(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 256, (12, 32, 32), np.uint8)
    pages[10] = pages[0]
    tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack")
    tifffile.imwrite(tmp_path / "s_mask.tif", (pages > 127) * np.uint8(255), photometric="minisblack")
    assert {"s-0000", "s-0010"} - names(planned(tmp_path, slices_per_group=1)) == {"s-0000"}


def test_images_of_the_same_values_are_no_copies(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (64, 64))
    with Image.open(tmp_path / "images/cell_000.png") as image:
        pixels = np.asarray(image)
    for i in range(1, 6):
        Image.fromarray(np.roll(pixels, 7 * i, 1)).save(tmp_path / f"images/cell_00{i}.png")
    assert len(names(planned(tmp_path))) == 6


def test_what_the_check_decoded_is_not_decoded_again(tmp_path: Path, cache: Path) -> None:
    write_cells(tmp_path, 6, (64, 64))
    before = planned(tmp_path)
    [path] = cache.rglob("*.sqlite")
    with sqlite3.connect(path) as database:  # a mark that decoding would not leave: all are the same image
        rows = database.execute("SELECT key, value FROM checked WHERE key LIKE 'image%'").fetchall()
        for key, value in rows:
            marked = json.dumps({**json.loads(value), "content": "x"})
            database.execute("UPDATE checked SET value = ? WHERE key = ?", (marked, key))
    database.close()
    settings = load(overrides={"data": tmp_path}).reading(
        tmp_path.parent / f"{tmp_path.name}-root" / "splits.json"
    )
    with pytest.raises(BadInput, match="would be empty"):
        make_plan(tmp_path, settings)
    path.unlink()  # no check, or on another machine
    assert make_plan(tmp_path, settings) == before
    assert list(cache.rglob("*.sqlite")) == [path]  # the executor, which plans again, finds them


def test_a_range_of_values_is_another_image(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (64, 64))
    for path in (tmp_path / "images").iterdir():
        with Image.open(path) as image:
            tifffile.imwrite(path.with_suffix(".tif"), np.asarray(image, np.float32) / 255)
        path.unlink()
    assert len(names(planned(tmp_path, value_range=(0, 1)))) == 6
    assert len(names(planned(tmp_path, value_range=(0, 2)))) == 6


def write_sites(data: Path, **sites: str) -> None:
    images = sorted((data / "images").iterdir())
    rows = [f"images/{p.name},masks/{p.name},{sites.get(p.stem, 'north')},x" for p in images]
    (data / "manifest.csv").write_text("\n".join(["image,mask,site,remark", *rows]))


def test_declared_columns_are_part_of_what_the_examples_hold(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_cells(data, 6, (64, 64))
    write_sites(data, cell_000="south")
    plain = planned(data)
    declared = planned(data, slices=["site", "group"])
    assert {sample.columns for s in plain.samples.values() for sample in s} == {()}
    values = {s.name: dict(s.columns) for samples in declared.samples.values() for s in samples}
    assert values["cell_000"] == {"site": "south"}
    assert values["cell_001"] == {"site": "north"}
    write_sites(data)
    assert planned(data).fingerprint == plain.fingerprint  # nobody asked for the column
    assert planned(data, slices=["site"]).fingerprint != declared.fingerprint


def test_a_column_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_cells(data, 6, (64, 64))
    for known in ("none, which a manifest.csv could have", "remark, site"):
        config = load(overrides={"data": data, "slices": ["stain"]})
        [problem] = check(config, Root(tmp_path / "root")).problems
        assert problem.found == "no column 'stain', which slices declares"
        assert problem.advice.endswith(known)
        write_sites(data)


def test_every_file_is_hashed_once_by_check_driver_and_executor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    write_cells(data, 6, (64, 64))
    time.sleep(0.05)  # of a file that was written just now, no time tells whether it changes again
    hashed = 0
    sha256 = hashlib.sha256

    def counted(*content: bytes) -> Any:
        nonlocal hashed
        hashed += sys._getframe(1).f_code.co_filename.endswith("unet/files.py")
        return sha256(*content)

    monkeypatch.setattr(hashlib, "sha256", counted)
    config, root = load(overrides={"data": data}), Root(tmp_path / "root")
    settings = config.reading(root.splits)
    assert check(config, root).ok
    driver, executor = make_plan(data, settings), make_plan(data, settings)
    assert driver.fingerprint == executor.fingerprint
    assert hashed == 12  # 6 images, 6 masks

    mask = data / "masks/cell_000.png"  # the same size and time as before, other content
    before, content = mask.stat(), bytearray(mask.read_bytes())
    other = data / "other.png"
    other.write_bytes(bytes(content[:-1]) + b"x")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(mask)
    assert make_plan(data, settings).fingerprint != driver.fingerprint
    assert hashed == 13


@pytest.mark.parametrize("fold", [None, 1])
def test_the_plan_deals_by_classes_as_the_check_does(fold: int | None, tmp_path: Path, cache: Path) -> None:
    data = tmp_path / "data"
    write_cells(data, 20, (40, 60))
    for i in range(6, 20):
        Image.new("L", (60, 40)).save(data / f"masks/cell_{i:03d}.png")
    config = load(overrides={"data": data, "fold": fold, "folds": 3})
    report = check(config, Root(tmp_path / "root"))
    for path in cache.rglob("*.sqlite"):  # no check, or on another machine: masks are decoded
        path.unlink()
    settings = config.reading(tmp_path / "root" / "splits.json")
    plan = make_plan(data, settings)
    few = {f"cell_{i:03d}" for i in range(6)}
    shown = {split: sum(s.name in few for s in samples) for split, samples in plan.samples.items()}
    assert report.summary.class_images["foreground"] == shown
    assert all(shown.values())
    assert make_plan(data, settings) == plan  # the executor's
