"""Whatever is wrong with data stops a run before it starts: exit code 2, all files named, nothing written."""

import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from data.synthetic import write_cells
from pipeline.cli import main

CHECKOUT = Path(__file__).parent.parent


def png(width: int, height: int, deflated: bytes) -> bytes:
    """An 8-bit grey PNG whose header says what it likes."""
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    for name, data in ((b"IHDR", header), (b"IDAT", deflated), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return content


def zeros(count: int) -> bytes:
    """`count` zero bytes, deflated without ever being held."""
    packer = zlib.compressobj(1)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count % (1 << 20))), packer.flush()])


def truncated(data: Path) -> list[str]:
    for path in (data / "images/cell_001.png", data / "masks/cell_002.png"):
        path.write_bytes(path.read_bytes()[:-20])
    return ["images/cell_001.png", "masks/cell_002.png", "damaged or truncated"]


def zero_bytes(data: Path) -> list[str]:
    (data / "images/cell_001.png").write_bytes(b"")
    return ["images/cell_001.png", "empty file"]


def wrong_type(data: Path) -> list[str]:
    (data / "images/cell_001.png").write_text("<html>not found</html>")
    return ["images/cell_001.png", "not a PNG, JPEG, TIFF or BMP file"]


def lying_header(data: Path) -> list[str]:
    (data / "images/cell_001.png").write_bytes(png(20000, 20000, zeros(5000)))
    return ["images/cell_001.png", "damaged"]


def bomb(data: Path) -> list[str]:
    (data / "images/cell_001.png").write_bytes(png(40000, 40000, zeros(40001 * 40000)))
    return ["images/cell_001.png", "40000 x 40000 pixels, more than max_pixels"]


def missing_mask(data: Path) -> list[str]:
    (data / "masks/cell_001.png").unlink()
    return ["images/cell_001.png", "image without mask"]


def orphan_mask(data: Path) -> list[str]:
    (data / "images/cell_001.png").unlink()
    return ["masks/cell_001.png", "mask without image"]


def near_name(data: Path) -> list[str]:
    (data / "masks/cell_001.png").rename(data / "masks/cell_0010.png")
    return ["images/cell_001.png", "image without mask", "masks/cell_0010.png", "mask without image"]


def other_size(data: Path) -> list[str]:
    Image.new("L", (48, 32)).save(data / "masks/cell_001.png")
    return ["masks/cell_001.png", "mask of 48 x 32", "export the mask at the size of the image"]


def transposed(data: Path) -> list[str]:
    write_cells(data, 1, (32, 64))
    with Image.open(data / "masks/cell_000.png") as mask:
        mask.transpose(Image.Transpose.ROTATE_90).save(data / "masks/cell_000.png")
    return ["masks/cell_000.png", "transposed", "turn the mask by 90 degrees"]


def undeclared(data: Path) -> list[str]:
    for path in (data / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    return ["masks/cell_000.png", "masks/cell_007.png", "values of no class", "--set 'classes={"]


def colors(data: Path) -> list[str]:
    for path in (data / "masks").iterdir():
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.stack([mask, mask * 0, mask * 0], -1)).save(path)
    return ["masks/cell_000.png", "#ff0000", "--set 'classes={"]


def not_finite(data: Path) -> list[str]:
    for number, value in ((1, np.nan), (2, np.inf)):
        pixels = np.zeros((64, 64), np.float32)
        pixels[3, 4] = value
        (data / f"images/cell_00{number}.png").unlink()
        tifffile.imwrite(data / f"images/cell_00{number}.tif", pixels)
    return ["images/cell_001.tif", "images/cell_002.tif", "NaN", "inf"]


def floats_without_range(data: Path) -> list[str]:
    for number in (1, 2):
        (data / f"images/cell_00{number}.png").unlink()
        pixels = np.linspace(0, number, 64 * 64, dtype=np.float32).reshape(64, 64)
        tifffile.imwrite(data / f"images/cell_00{number}.tif", pixels)
    return ["images/cell_001.tif", "images/cell_002.tif", "--set 'value_range=[0, 2]'"]


def dangling_link(data: Path) -> list[str]:
    (data / "images/cell_001.png").unlink()
    (data / "images/cell_001.png").symlink_to("nowhere.png")
    return ["images/cell_001.png", "a link to a file that does not exist"]


def pipe(data: Path) -> list[str]:
    for name in ("images/cell_001.png", "masks/cell_002.png"):
        (data / name).unlink()
        os.mkfifo(data / name)
    return ["images/cell_001.png", "masks/cell_002.png", "a pipe or a device"]


def circular_tiff(data: Path) -> list[str]:
    (data / "images/cell_001.png").unlink()
    path = data / "images/cell_001.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(2):
            writer.write(np.zeros((64, 64), np.uint8), metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        first, second = (page.offset for page in file.pages)
    (tags,) = struct.unpack_from("<H", content, second)
    struct.pack_into("<I", content, second + 2 + 12 * tags, first)
    path.write_bytes(content)
    return ["images/cell_001.tif", "its pages form a circle"]


def two_of_one_stem(data: Path) -> list[str]:
    Image.new("L", (64, 64)).save(data / "images/CELL_001.jpg")
    return ["second file of that name"]


def empty_set(data: Path) -> list[str]:
    for path in data.rglob("*.png"):
        path.unlink()
    return ["no images"]


def single_image(data: Path) -> list[str]:
    for path in data.rglob("*.png"):
        if path.stem != "cell_000":
            path.unlink()
    return ["would be empty", "add images"]


def class_missing_from_a_split(data: Path) -> list[str]:
    lines = ["image,mask,split"]
    for number in range(8):
        split = ("train", "train", "train", "train", "eval", "eval", "test", "test")[number]
        lines.append(f"images/cell_00{number}.png,masks/cell_00{number}.png,{split}")
        if split == "test":
            Image.new("L", (64, 64)).save(data / f"masks/cell_00{number}.png")
    (data / "manifest.csv").write_text("\n".join(lines))
    return ["'foreground'", "no mask of the test split"]


def folder_named_like_an_image(data: Path) -> list[str]:
    (data / "images/cell_001.png").unlink()
    (data / "images/cell_001.png").mkdir()
    return ["images/cell_001.png"]


CASES: list[Callable[[Path], list[str]]] = [
    truncated, zero_bytes, wrong_type, lying_header, bomb, missing_mask, orphan_mask, near_name, other_size,
    transposed, undeclared, colors, not_finite, floats_without_range, dangling_link, pipe, circular_tiff,
    two_of_one_stem, empty_set, single_image, class_missing_from_a_split, folder_named_like_an_image,
]  # fmt: skip


@pytest.mark.parametrize("spoil", CASES, ids=lambda spoil: spoil.__name__)
def test_bad_data_stop_a_run_before_it_starts(
    spoil: Callable[[Path], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cells(tmp_path / "data", 8, (64, 64))
    expected = spoil(tmp_path / "data")
    os.environ["COLUMNS"] = "400"
    try:
        code = main(["run", "--data", str(tmp_path / "data"), "--root", str(tmp_path / "root")])
    finally:
        del os.environ["COLUMNS"]
    printed = capsys.readouterr().out
    assert code == 2, printed
    for text in expected:
        assert text in printed
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("classes", "line"),
    [
        ("{foreground=255, background=0}", "--set 'classes={background=0, foreground=255}'"),
        ("{foreground=255, rest=0, rim=1}", "--set background=none"),
    ],
)
def test_a_background_in_doubt_is_asked_about_before_anything_runs(
    command: str, classes: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cells(tmp_path / "data", 8, (64, 64))
    words = ["--data", str(tmp_path / "data"), "--root", str(tmp_path / "root")]
    assert main([command, *words, "--set", f"classes={classes}"]) == 2
    told = capsys.readouterr()
    assert line in told.err + told.out
    assert not (tmp_path / "root").exists()


def unprivileged() -> list[str]:
    """What a command has to begin with so that permissions count, also for root."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may read any file, and there is no setpriv")
    drop = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"]


@pytest.mark.parametrize(
    ("closed", "option"),
    [
        ("images/cell_001.png", ""), ("masks/cell_001.png", ""), ("images", ""), ("masks", ""), (".", ""),
        ("manifest.csv", ""), ("../data", "../{SPAN}"), ("../root/splits.json", ""),
    ],
)  # fmt: skip
def test_what_may_not_be_read_is_in_the_table(closed: str, option: str, tmp_path: Path) -> None:
    write_cells(tmp_path / "data", 8, (64, 64))
    for path, content in (
        (tmp_path / "root/splits.json", "{}"),
        (tmp_path / "data/manifest.csv", "image,mask"),
    ):
        if path.name == Path(closed).name:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
    path = tmp_path / "data" / closed
    data = tmp_path / "data" / "span-{SPAN}" if option else tmp_path / "data"
    path.chmod(0)
    command = [*unprivileged(), sys.executable, "run_pipeline.py", "check", "--data", str(data), "--root"]
    done = subprocess.run(
        [*command, str(tmp_path / "root")],
        env={**os.environ, "COLUMNS": "800"}, capture_output=True, text=True, cwd=CHECKOUT,
    )  # fmt: skip
    path.chmod(0o700)
    assert done.returncode == 2, done.stderr
    [row] = [line for line in done.stdout.splitlines() if "cannot be read (Permission denied)" in line]
    assert Path(closed).name in row
    assert "permissions" in done.stdout
    assert done.stderr == ""


LIMITED = """
import resource, sys, time
from unet.images.raster import ImageError
from unet.images.reader import read_image
resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))
start = time.monotonic()
try:
    read_image(sys.argv[1])
except ImageError as error:
    print(time.monotonic() - start, error)
"""


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_a_bomb_is_refused_at_once_and_in_little_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"bomb.{kind}"
    if kind == "png":
        path.write_bytes(png(40000, 40000, zeros(40001 * 40000)))
    else:
        tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib")
        data = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as file:
            places = [
                tag.valueoffset for tag in file.pages[0].tags if tag.name in ("ImageWidth", "ImageLength")
            ]
        for place in places:
            data[place : place + 4] = struct.pack("<I", 40000)
        path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    seconds, _, message = done.stdout.partition(" ")
    assert float(seconds) < 5  # in truth some milliseconds; not a measurement, but far from decoding it
    assert "more than max_pixels" in message


def test_names_of_all_kinds_just_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cells(tmp_path, 8, (64, 64))
    names = ["ä b", "it's", 'say "x"', "a,b;c", "new\nline", "слово", "UPPER", "-dash"]
    for number, name in enumerate(names):
        for part, extension in (("images", "PNG"), ("masks", "png")):
            (tmp_path / part / f"cell_00{number}.png").rename(tmp_path / part / f"{name}.{extension}")
    for ignored in ("Thumbs.db", ".DS_Store", "._UPPER.png", "desktop.ini"):
        (tmp_path / "images" / ignored).write_bytes(b"x")
    code = main(["check", "--data", str(tmp_path), "--root", str(tmp_path / "root")])
    assert code == 0, capsys.readouterr().out
    assert "8 usable images" in capsys.readouterr().out


def test_bad_files_can_be_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cells(tmp_path, 8, (64, 64))
    truncated(tmp_path)
    missing_mask(tmp_path)
    words = ["check", "--data", str(tmp_path), "--root", str(tmp_path / "root"), "--skip-bad"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "6 usable images, 0 problems" in printed
    assert "images/cell_001.png" in printed
