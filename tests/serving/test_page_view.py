"""What the page shows of an image, in a real browser: layers, zoom, colours, sizes of windows."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tests.browser import Browser, browser
from tests.serving.conftest import CLASSES, VALUES, encoded, noise
from tests.serving.pages import choose, needs_browser, pixels, set_to, settled, text, view
from tests.serving.running import Server, b64, wait_for
from unet.masks.object_rule import ObjectRule
from unet.masks.objects import predicted_objects

pytestmark = [pytest.mark.server, needs_browser]

ARROW_RIGHT, ARROW_DOWN = "\ue014", "\ue015"  # of the WebDriver protocol
COLORS = np.array([[0, 0, 0], [230, 159, 0], [86, 180, 233]])  # of the card
SIZE = (40, 60)
# Each element with text of its own: its colour, and the first ground beneath it that is not transparent.
CONTRASTS = """
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
const luminance = (colour) => {
    const [r, g, b] = parts(colour).map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (each) => {
    const own = getComputedStyle(each).backgroundColor;
    return parts(own)[3] === 0 && each.parentElement ? ground(each.parentElement) : own;
};
return [...document.querySelectorAll("body *")]
    .filter((each) => each.checkVisibility() && each.tagName !== "OPTION")
    .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((each) => {
        const [one, other] = [getComputedStyle(each).color, ground(each)].map(luminance);
        return [each.id || each.textContent, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)];
    });
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def page(window: Browser, single: Server, tmp_path: Path) -> Browser:
    """The page with the mask of an image of noise."""
    window.emulate(1280, 800, "light")
    window.open(single.url)
    window.errors()
    (tmp_path / "noise.png").write_bytes(encoded(noise(*SIZE)))
    choose(window, tmp_path / "noise.png")
    return window


@pytest.fixture
def indices(single: Server) -> NDArray[np.int64]:
    """The class of each pixel of that image."""
    mask = np.asarray(Image.open(io.BytesIO(single.mask(encoded(noise(*SIZE))))))
    return np.searchsorted(VALUES[1], mask)


def test_image_mask_and_overlay(page: Browser, indices: NDArray[np.int64]):
    view(page, "image")
    image = np.repeat(noise(*SIZE)[..., None], 3, -1)
    np.testing.assert_array_equal(pixels(page, *SIZE), image)
    view(page, "mask")
    np.testing.assert_array_equal(pixels(page, *SIZE), COLORS[indices])
    view(page, "overlay")
    for percent in (0, 45, 100):
        set_to(page, "opacity", percent)
        mixed = (1 - percent / 100) * image + percent / 100 * COLORS[indices]
        mixed[indices == 0] = image[indices == 0]  # the background is clear
        assert abs(pixels(page, *SIZE) - mixed).max() <= 2
    page.click("#legend tbody tr:nth-child(3) input")  # without the last class
    mixed[indices == 2] = image[indices == 2]
    np.testing.assert_array_equal(pixels(page, *SIZE), mixed)
    assert page.errors() == []


def test_probabilities(page: Browser, single: Server):
    call = {"instances": [b64(encoded(noise(*SIZE)))], "signature_name": "probabilities"}
    status, answer = single.predict(call)
    assert status == 200
    view(page, "probabilities")
    wait_for(lambda: page.run("return document.getElementById('class').length") == len(CLASSES))
    names = page.run("return [...document.getElementById('class').options].map((option) => option.text)")
    assert names == CLASSES
    set_to(page, "opacity", 100)
    for i in range(len(CLASSES)):
        set_to(page, "class", str(i))
        png = base64.b64decode(answer["predictions"][0][i]["b64"])
        share = np.asarray(Image.open(io.BytesIO(png))).astype(float) / 65535
        seen = pixels(page, *SIZE).astype(int)
        dark, bright = np.array([68, 1, 84]), np.array([253, 231, 37])  # the ends of viridis
        assert abs(seen[share < 0.001] - dark).max(initial=0) <= 2
        assert abs(seen[share > 0.999] - bright).max(initial=0) <= 2
        ordered = seen[..., 1].ravel()[np.argsort(share, axis=None)]  # its green grows with the probability
        assert (np.diff(ordered) >= 0).all()
    set_to(page, "from", 0.5)
    image = np.repeat(noise(*SIZE)[..., None], 3, -1)
    np.testing.assert_array_equal(pixels(page, *SIZE)[share < 0.5], image[share < 0.5])


def percent(page: Browser) -> float:
    """The zoom that the page tells."""
    return float(text(page, "zoom").split()[0])


def pointed(page: Browser) -> list[int]:
    """Column and row of the pixel under the pointer, as the page tells them."""
    return [int(number) for number in re.findall(r"(?<=[xy] )\d+", text(page, "at"))]


def test_zoom_by_wheel_drag_and_pinch(page: Browser):
    box = page.run("const box = document.getElementById('view').getBoundingClientRect(); return box.toJSON()")
    x, y = round(box["x"] + 0.7 * box["width"]), round(box["y"] + 0.4 * box["height"])
    page.wheel(x, y, 0)
    fitted = percent(page)
    page.drag((x, y), (x, y))
    before = pointed(page)
    page.wheel(x, y, -300)
    wait_for(lambda: percent(page) > 1.5 * fitted)
    page.drag((x, y), (x, y))
    assert pointed(page) == before  # what is under the pointer stays there
    page.drag((x, y), (x - 100, y - 50))
    assert pointed(page) == before  # and goes with it
    near = percent(page)
    page.pinch(x, y, 40, 80)
    wait_for(lambda: percent(page) == pytest.approx(2 * near, rel=0.01))


def png_of_all_filters(image: NDArray[Any]) -> bytes:
    """A PNG whose rows have the filters 0 to 4 in turns: encoders rarely choose some of them."""
    height, width = image.shape[:2]
    size = image[0, 0].nbytes
    stored = image.astype(image.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8).astype(int)
    padded = np.pad(stored, ((1, 0), (size, 0)))
    left, above, corner = padded[1:, :-size], padded[:-1, size:], padded[:-1, :-size]
    distances = np.abs([above - corner, left - corner, left + above - 2 * corner])
    paeth = np.choose(distances.argmin(0), [left, above, corner])
    predicted = np.stack([0 * left, left, above, (left + above) // 2, paeth])
    kinds = np.arange(height) % 5
    rows = np.column_stack([kinds, stored - predicted[kinds, np.arange(height)]]).astype(np.uint8)
    header = struct.pack(">IIBB3x", width, height, 8 * image.dtype.itemsize, 2 if image.ndim == 3 else 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_png_files_are_read_to_the_bit(page: Browser):
    gray = np.random.default_rng(1).integers(0, 65536, (12, 17), np.uint16)
    rgb = np.random.default_rng(2).integers(0, 256, (12, 17, 3), np.uint8)
    for image in (gray, rgb, rgb[..., 0]):
        png = png_of_all_filters(image)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), image)
        found = page.run(
            "return import('./png.js').then(({ decodePng }) => decodePng(new Blob([new Uint8Array("
            "arguments[0])]))).then((found) => ({ ...found, data: [...found.data] }))",
            [*png],
        )
        assert (found["height"], found["width"]) == image.shape[:2]
        np.testing.assert_array_equal(np.reshape(found["data"], image.shape), image)


TIFFS: list[dict[str, Any]] = [
    {"compression": packed, "predictor": predictor, "tile": tile, "byteorder": order, "rowsperstrip": rows}
    for packed, predictor, tile, order, rows in (
        (None, False, None, "<", None),
        (None, False, (16, 32), ">", None),
        ("lzw", False, None, "<", 50),
        ("lzw", True, (64, 48), ">", None),
        ("zlib", True, None, ">", 50),
        ("zlib", False, (64, 48), "<", None),
        ("packbits", False, None, "<", None),
    )
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_tiff_files_are_read_to_the_bit(page: Browser, tmp_path: Path, kind: type, channels: int):
    noise = np.random.default_rng(1).integers(0, np.iinfo(kind).max + 1, (73, 111, channels), kind)
    noise[:40] = noise[3]  # words that come again
    image = noise if channels == 3 else noise[..., 0]
    for stored in TIFFS:
        tifffile.imwrite(
            tmp_path / "image.tif", image, photometric="rgb" if channels == 3 else None, **stored
        )
        found = page.run(
            "return import('./tiff.js').then(({ decodeTiff }) => decodeTiff(new Blob([new Uint8Array("
            "arguments[0])]))).then((found) => ({ ...found, data: [...found.data] }))",
            [*(tmp_path / "image.tif").read_bytes()],
        )
        assert (found["height"], found["width"], found["pages"]) == (73, 111, 1)
        np.testing.assert_array_equal(np.reshape(found["data"], image.shape), image, str(stored))


def test_masks_of_16_bits_and_in_colour(page: Browser):
    script = """
        const [data, channels, known] = arguments;
        const mask = { width: 2, height: 2, channels, data };
        return import("./classes.js").then(({ sortByClass }) => {
            const { classes, indices } = sortByClass(mask, known);
            return [[...indices], classes.map(({ name, count, colour }) => [name, count, colour])];
        });
    """
    told = [
        {"name": "a", "value": 256, "color": [1, 2, 3], "background": True},
        {"name": "b", "value": 65535, "color": [4, 5, 6], "background": False},
        {"name": "c", "value": 7, "color": None, "background": False},
    ]
    indices, classes = page.run(script, [65535, 256, 65535, 257], 1, told)
    assert indices == [1, 0, 1, 3]  # what the card does not know comes last
    assert [row[:2] for row in classes] == [["a", 1], ["b", 2], ["c", 0], ["value 257", 1]]
    assert classes[1][2] == [4, 5, 6]
    red, blue = [255, 0, 0], [0, 0, 255]
    told = [
        {"name": name, "value": value, "color": [9, 9, 9], "background": False}
        for name, value in (("red", red), ("blue", blue))
    ]
    indices, classes = page.run(script, [*red, *blue, *blue, *blue], 3, told)
    assert indices == [0, 1, 1, 1]
    assert classes == [["red", 1, red], ["blue", 3, blue]]  # shown in the colours that the mask has
    indices, classes = page.run(script, [9, 3, 9, 9], 1, [])
    assert (indices, [row[:2] for row in classes]) == ([1, 0, 1, 1], [["value 3", 1], ["value 9", 3]])


@pytest.mark.parametrize("size", [(60, 80), (1, 40), (40, 1), (1, 1)])
def test_objects_are_those_of_the_pipeline(page: Browser, size: tuple[int, int]):
    script = """
        const [width, indices, backgrounds] = arguments;
        const height = indices.length / width;
        const classes = backgrounds.map((background) => ({ background }));
        return import("./objects.js").then(({ objectSizes, objectsOf }) =>
            objectSizes({ width, height, classes, indices: Uint8Array.from(indices) })
                .map((sizes) => [1, 5, 15].map((least) => objectsOf(sizes, least))));
    """
    random = np.random.default_rng(0)
    maze = np.zeros(size, int)  # of long walls: parts that meet rows later, from both sides
    maze[::2] = 1
    maze[1::2, random.integers(0, size[1], maze[1::2].shape[0])] = 1
    blobs = ndimage.gaussian_filter(random.normal(size=(3, *size)), (0, 2, 2)).argmax(0)
    for indices in (maze, blobs, random.integers(0, 3, size)):
        found = page.run(script, size[1], indices.ravel().tolist(), [True, False, False])
        assert found == [
            [0, 0, 0],
            *(
                [int(predicted_objects(indices == i, ObjectRule(min_size=n)).max()) for n in (1, 5, 15)]
                for i in (1, 2)
            ),
        ]


def test_zoom_by_keyboard(page: Browser):
    view(page, "mask")
    page.run("document.getElementById('view').focus()")
    fitted, whole = percent(page), settled(page)
    assert fitted == pytest.approx(100 * min(whole.shape[0] / SIZE[0], whole.shape[1] / SIZE[1]), abs=0.5)
    page.press("+")
    page.press("+")
    assert percent(page) == pytest.approx(fitted * 1.25**2, abs=1)
    near = settled(page)
    # Enlarged pixels stay squares: there is no colour between those of the classes.
    assert {*map(tuple, near.reshape(-1, 4))} == {(*color, 255) for color in COLORS.tolist()}
    page.press("1")
    assert percent(page) == 100
    page.press("0")
    np.testing.assert_array_equal(settled(page), whole)
    for key in ("+", "+", "+", ARROW_RIGHT, ARROW_DOWN):
        page.press(key)
    moved = settled(page)
    page.press("-")
    assert percent(page) == pytest.approx(fitted * 1.25**2, abs=1)
    assert (moved != near).any()


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_sixteen_bits_of_which_twelve_are_used_are_seen(page: Browser, tmp_path: Path, name: str):
    image = (np.arange(40 * 60, dtype=np.uint16).reshape(SIZE) + 100) % 4096
    if name.endswith(".tif"):
        tifffile.imwrite(tmp_path / name, image)
    else:
        (tmp_path / name).write_bytes(encoded(image))
    choose(page, tmp_path / name)
    page.click("#list li:nth-child(2) button")
    wait_for(lambda: text(page, "title") == name and page.run("return contrast.checked"))
    view(page, "image")
    low, high = np.percentile(image, [1, 99.7])
    expected = np.clip((image - low) / (high - low), 0, 1) * 255
    assert abs(pixels(page, *SIZE)[..., 0] - expected).max() <= 1
    page.click("#contrast")
    assert pixels(page, *SIZE).max() <= image.max() // 256 + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_widths_and_schemes(page: Browser, tmp_path: Path, width: int, scheme: str):
    path = tmp_path / "an image with a name that is rather long, as names of files often are.png"
    path.write_bytes(encoded(noise(300, 400)))
    (tmp_path / "cut.png").write_bytes(path.read_bytes()[:900])
    page.emulate(width, 844, scheme)
    choose(page, path, tmp_path / "cut.png")
    page.click("#list li:nth-child(3) button")
    assert page.run("return document.documentElement.scrollWidth") <= width  # nothing to scroll sideways
    page.click("#list li:nth-child(2) button")
    wait_for(lambda: text(page, "title") == path.name)
    assert page.run("return document.documentElement.scrollWidth") <= width
    ground, color = page.run(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    )
    bright = [sum(map(int, re.findall(r"\d+", each)[:3])) for each in (ground, color)]
    assert (bright[0] > bright[1]) == (scheme == "light")
    low = {name: ratio for name, ratio in page.run(CONTRASTS) if ratio < 4.5}  # AA of WCAG
    assert low == {}
