"""What `check` found, as tables for people and as JSON."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from data.synthetic import write_cells
from tests.pipeline.check.checking import printed, run


def test_names_are_printed_whole_and_as_they_are(tmp_path: Path) -> None:
    write_cells(tmp_path, 5)
    name = "[red]" + "x" * 150 + ":smile:"
    (tmp_path / f"images/{name}.png").write_bytes(b"")
    (tmp_path / "images/\x1b[31m.png").write_bytes(b"")
    report = run(tmp_path)
    assert f"images/{name}.png" in printed(report, width=800)
    assert "\x1b" not in printed(report)
    folded = [line[2:24].strip() for line in printed(report).splitlines()]
    assert f"images/{name}.png" in "".join(folded)
    assert max(map(len, printed(report).splitlines())) <= 80


def test_json_holds_the_same(tmp_path: Path) -> None:
    write_cells(tmp_path, 4)
    (tmp_path / "masks/cell_003.png").unlink()
    report = json.loads(run(tmp_path).to_json())
    assert (report["ok"], report["data"]) == (False, str(tmp_path))
    assert report["problems"][0]["path"] == str(tmp_path / "images/cell_003.png")
    assert report["summary"]["splits"] == {"train": 1, "eval": 1, "test": 1}


@pytest.mark.parametrize(("color", "kind"), [(2, "Colour"), (3, "Colour"), (4, "Grey")])
def test_mixed_gray_and_color_is_shown(tmp_path: Path, color: int, kind: str) -> None:
    write_cells(tmp_path, 6)
    write_cells(tmp_path, color, channels=3)
    report = run(tmp_path)
    assert report.ok
    assert len(report.summary.odd_channels) == min(color, 6 - color)
    assert f"{kind} among the others: {', '.join(report.summary.odd_channels)}" in printed(report)


def test_files_with_one_cause_share_a_row(tmp_path: Path) -> None:
    write_cells(tmp_path, 110, (32, 32))
    for path in (tmp_path / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    report = run(tmp_path)
    assert len(report.problems) == 110
    text = printed(report, width=120)
    assert text.count("pixel values of no class") == 1
    assert "and 102 more (check --json)" in text
    [command] = [
        line for line in printed(report, width=40).splitlines() if "--set" in line and "check" in line
    ]
    assert command.endswith("--set 'classes={background=0, foreground=1}'")


def test_masks_of_other_colors_with_one_remedy_share_a_row(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (32, 32))
    for i, path in enumerate(sorted((tmp_path / "masks").iterdir())):
        mask = np.zeros((32, 32, 3), np.uint8)
        mask[4 : 9 + i], mask[20:25] = (255, 0, 0), (0, 0, 255 if i < 3 else 0)
        Image.fromarray(mask).save(path)
    text = printed(run(tmp_path), width=400)
    assert text.count("a mask in colour") == 1
    assert "(the first of them)" in text


def test_a_file_is_named_once_for_all_its_pages(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        stack = np.arange(5 * 32 * 32, dtype=np.uint16).reshape(5, 32, 32) % 3
        tifffile.imwrite(
            tmp_path / part / "a.tif", stack.astype(np.uint8), photometric="minisblack", metadata=None
        )
    report = run(tmp_path)
    assert len(report.problems) == 5
    assert printed(report, 400).count("masks/a.tif") == 1


def test_printed_commands_repeat_what_was_given(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (32, 32))
    (tmp_path / "masks").rename(tmp_path / "truth")
    for path in (tmp_path / "truth").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    pairs = ["--set", 'pairs=["images/*", "truth/*"]', "--set", "seed=3"]
    given = ["--data", str(tmp_path), "--root", "else where", *pairs]
    report = run(tmp_path, pairs=("images/*", "truth/*"))
    text = printed(report, 400, [*given, "--set", "classes={background=0, cell=255}"])
    [line] = [line for line in text.splitlines() if "run_pipeline.py check" in line]
    words = shlex.split(line)
    assert words[words.index("check") + 1 :] == [*given, "--set", "classes={background=0, foreground=1}"]


def test_printed_commands_have_a_value(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (32, 32))
    for i in range(6):
        Image.new("L", (32, 32)).save(tmp_path / f"masks/cell_00{i}.png")
    text = printed(run(tmp_path))
    assert "occurs in no mask" in text
    assert "python run_pipeline.py check" not in text
    write_cells(tmp_path / "new", 6, (32, 32))
    for path in (tmp_path / "new/masks").iterdir():
        path.rename(path.with_name(f"{path.stem}-seg.png"))
    assert "check --data" in printed(run(tmp_path / "new"), width=400)
    assert "--set 'mask_suffix=-seg'" in printed(run(tmp_path / "new"), width=400)


def test_masks_that_show_0_as_white_are_named(tmp_path: Path) -> None:
    write_cells(tmp_path, 6)
    for path in (tmp_path / "masks").iterdir():
        mask = np.asarray(Image.open(path)) == 0
        path.unlink()
        tifffile.imwrite(path.with_suffix(".tif"), mask, photometric="miniswhite", software="scanner")
    report = run(tmp_path)
    assert report.ok
    assert "6 of one bit show 0 as white" in printed(report, width=120)
    assert report.summary.class_shares["background"] > 0.5


def test_classes_without_a_background_are_proposed_with_both_answers(tmp_path: Path) -> None:
    write_cells(tmp_path, 6, (32, 32))
    for path in (tmp_path / "masks").iterdir():
        mask = np.asarray(Image.open(path)) // 255
        mask[:3] = 2
        Image.fromarray(mask).save(path)
    (tmp_path / "classes.json").write_text(json.dumps({"road": 0, "car": 1, "sky": 2}))
    report = run(tmp_path)
    lines = [line for line in printed(report, 400).splitlines() if "run_pipeline.py check" in line]
    classes = "--set 'classes={road=0, car=1, sky=2}'"
    assert [line.partition(" --set ")[2] for line in lines] == [
        f"{classes[6:]} --set background={answer}" for answer in ("first", "none")
    ]
    given = ["--data", str(tmp_path), "--set", "background=none"]
    [line] = [line for line in printed(report, 400, given).splitlines() if "run_pipeline.py check" in line]
    assert line.endswith(f"--set background=none {classes}")


def test_blank_slices_are_told_once(tmp_path: Path) -> None:
    write_cells(tmp_path, 20, (32, 32))
    for i in range(8, 20):
        Image.new("L", (32, 32), 9).save(tmp_path / f"images/cell_{i:03d}.png")
    report = run(tmp_path)
    assert report.ok
    lines = printed(report, 200).splitlines()
    names = ", ".join(f"cell_{i:03d}" for i in range(8, 14))
    assert [line for line in lines if line.startswith("Blank")] == [
        f"Blank:   12 images of one value in all pixels: {names} and 6 more"
    ]
    assert sum("the same image as" in line for line in lines) == 1
    assert len(report.copies) > 1


def test_images_that_are_turned_are_told_for_their_masks_may_not_be(tmp_path: Path) -> None:
    write_cells(tmp_path, 5, (32, 32))
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(tmp_path / "images/cell_001.png") as image:
        image.save(tmp_path / "images/cell_001.png", exif=exif)
    report = run(tmp_path)
    assert report.ok
    assert report.summary.turned == ["cell_001"]
    told = [line for line in printed(report, 200).splitlines() if line.startswith("Turned")]
    assert told == ["Turned:  cell_001: by the orientation in the file (EXIF);"]


def test_masks_of_one_value_each_get_one_advice_and_no_classes(tmp_path: Path) -> None:
    write_cells(tmp_path, 24, (32, 32))
    for i in range(24):
        Image.new("L", (32, 32), 2 * i + 1).save(tmp_path / f"masks/cell_{i:03d}.png")
    report = run(tmp_path)
    assert len({problem.advice for problem in report.problems}) == 1
    assert "one value in all pixels" in report.problems[0].advice
    assert "--set" not in printed(report, 200)
