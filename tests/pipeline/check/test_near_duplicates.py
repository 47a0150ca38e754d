"""Near-duplicates in two splits."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from data.synthetic import write_cells
from tests.pipeline.check.checking import printed, run


def manifest(folder: Path, split_of: dict[str, str], group: str = "") -> None:
    rows = [f"images/{name}.png,masks/{name}.png,{split},{group or name}" for name, split in split_of.items()]
    (folder / "manifest.csv").write_text("\n".join(["image,mask,split,group", *rows]))


def test_near_duplicates_in_two_splits_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    write_cells(data, 9, (80, 90))
    names = [f"cell_{i:03d}" for i in range(9)]
    split_of = dict(zip(names, ["train"] * 5 + ["eval"] * 2 + ["test"] * 2, strict=True))
    manifest(data, split_of)
    assert run(data).near_duplicates == []
    # Brightened: their pixels agree nowhere.
    for one, other in (("cell_001", "cell_008"), ("cell_002", "cell_005"), ("cell_003", "cell_004")):
        with Image.open(data / f"images/{one}.png") as image:
            image.point(lambda value: min(255, value * 9 // 8 + 3)).save(data / f"images/{other}.png")
        (data / f"masks/{other}.png").write_bytes((data / f"masks/{one}.png").read_bytes())
    report = run(data)
    assert report.ok
    assert report.copies == []
    assert report.near_duplicates == [("cell_005", "cell_002"), ("cell_008", "cell_001")]
    told = "Near-duplicates in two splits: cell_005 and cell_002, cell_008 and cell_001;"
    assert told in printed(report, 200)
    for at_once in (1, 2):  # as if there were thousands
        monkeypatch.setattr("pipeline.check.near_duplicates._AT_ONCE", at_once)
        assert run(data).near_duplicates == report.near_duplicates


def test_images_that_are_left_out_have_no_near_duplicates(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_cells(data, 6, (80, 90))
    for part in ("images", "masks"):
        (data / part / "cell_005.png").write_bytes((data / part / "cell_000.png").read_bytes())
    splits = ["train", "train", "train", "eval", "test", "test"]
    manifest(data, {f"cell_{i:03d}": split for i, split in enumerate(splits)})
    report = run(data)
    assert [kept for _, kept in report.copies] == ["cell_005"]
    assert report.near_duplicates == []
