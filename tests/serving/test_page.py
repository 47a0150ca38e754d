"""The page, in a real browser."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser import Browser, browser
from tests.serving.conftest import encoded, noise
from tests.serving.running import Server, wait_for

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (see tools/browser.sh)"),
]

TAB, ARROW_RIGHT = "\ue004", "\ue014"  # of the WebDriver protocol
PIXELS = """
const canvas = document.getElementById(arguments[0]);
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return [canvas.height, canvas.width, Array.from(data)];
"""


@pytest.fixture(scope="module")
def window(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def page(window: Browser, server: Server) -> Browser:
    window.emulate(1280, 900, "light")
    window.open(server.url)
    window.errors()
    return window


def choose(page: Browser, path: Path) -> str:
    """Chooses a file; what the page says when it is done."""
    page.type("#file", str(path))
    said = "return document.getElementById('message').textContent"
    return wait_for(lambda: (text := page.run(said)).startswith(f"{path.name}: ") and text)


def pixels(page: Browser, name: str) -> np.ndarray:
    height, width, data = page.run(PIXELS, name)
    return np.array(data, np.uint8).reshape(height, width, 4)


def shown(page: Browser) -> bool:
    return page.run("return !document.getElementById('result').hidden")


def test_image_mask_and_overlay(page: Browser, tmp_path: Path, expected: Callable[[bytes, int], bytes]):
    image = noise(40, 60)
    path = tmp_path / "cells.png"
    path.write_bytes(encoded(image))
    assert re.fullmatch(r"cells\.png: 60 × 40 pixels in [\d.]+ s\.", choose(page, path))
    assert shown(page)

    mask = np.asarray(Image.open(io.BytesIO(expected(path.read_bytes(), 1))))
    np.testing.assert_array_equal(pixels(page, "image")[..., 0], image)
    painted = pixels(page, "mask")[..., :3].astype(int)
    colors = {value: np.unique(painted[mask == value], axis=0).tolist() for value in np.unique(mask)}
    assert all(len(found) == 1 for found in colors.values())  # one colour a class, and all of them differ
    assert len({tuple(found[0]) for found in colors.values()}) == len(colors) > 1
    overlay = pixels(page, "overlay")[..., :3]
    background = mask == mask.min()
    np.testing.assert_array_equal(overlay[background][:, 0], image[background])
    assert (overlay[~background] != image[~background][:, None]).any(-1).mean() > 0.9

    legend = page.run("return [...document.querySelectorAll('#legend li')].map((item) => item.textContent)")
    shares = {value: 100 * (mask == value).mean() for value in np.unique(mask)}
    assert legend == [f"value {value}: {share:.1f} %" for value, share in shares.items()]
    assert page.run("return document.getElementById('save').download") == "cells-mask.png"
    assert page.run("return document.getElementById('served').textContent") == "unet, version 1"
    assert page.errors() == []


def test_what_the_model_does_not_take_is_sent_as_plain_rgb(
    page: Browser, tmp_path: Path, expected: Callable[[bytes, int], bytes]
):
    rgb = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    transparent = np.dstack([rgb, np.full((30, 50), 255, np.uint8)])
    path = tmp_path / "transparent.png"
    path.write_bytes(encoded(transparent))
    assert "It was sent as an RGB PNG, without transparency." in choose(page, path)
    mask = np.asarray(Image.open(io.BytesIO(expected(encoded(rgb), 1))))
    painted = pixels(page, "mask")[..., :3]
    for value in np.unique(mask):
        assert len(np.unique(painted[mask == value], axis=0)) == 1
    assert page.errors() == []


def test_errors_are_told_in_words(page: Browser, tmp_path: Path):
    good, text, cut = (tmp_path / name for name in ("good.png", "text.txt", "cut.png"))
    good.write_bytes(encoded(noise(40, 60)))
    text.write_text("no image")
    cut.write_bytes(good.read_bytes()[:900])
    choose(page, good)
    assert choose(page, text) == "text.txt: This browser cannot read it as an image."
    assert not shown(page)
    assert choose(page, cut) == (
        "cut.png: The server refuses it: the file is damaged or cut short: Invalid PNG data, size 900."
    )
    assert page.run("return document.getElementById('message').className") == "bad"
    choose(page, good)
    assert shown(page)


def test_dropped_files(page: Browser):
    page.run(
        """
        const image = new Uint8Array(arguments[0]);
        const transfer = new DataTransfer();
        transfer.items.add(new File([image], "dropped.png"));
        document.getElementById("drop").dispatchEvent(
            new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    """,
        list(encoded(noise(20, 20))),
    )
    wait_for(lambda: shown(page))
    assert page.run("return document.getElementById('image').getAttribute('aria-label')") == (
        "The image dropped.png, 20 by 20 pixels"
    )


def test_keyboard(page: Browser, tmp_path: Path):
    path = tmp_path / "cells.png"
    path.write_bytes(encoded(noise(40, 60)))
    choose(page, path)
    page.run("document.activeElement.blur()")
    focused = []
    for _ in range(3):
        page.press(TAB)
        focused.append(page.run("return document.activeElement.id"))
    assert focused == ["file", "strength", "save"]
    before = pixels(page, "overlay")
    page.run("document.getElementById('strength').focus()")
    page.press(ARROW_RIGHT)
    assert page.run("return document.getElementById('strength').value") == "46"
    assert (pixels(page, "overlay") != before).any()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 1280])
def test_widths_and_schemes(page: Browser, tmp_path: Path, width: int, scheme: str):
    path = tmp_path / "an image with a name that is rather long, as names of files often are.png"
    path.write_bytes(encoded(noise(300, 400)))
    page.emulate(width, 800, scheme)
    choose(page, path)
    assert page.run("return document.documentElement.scrollWidth") <= width  # nothing to scroll sideways
    ground, text = page.run(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    )
    bright = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (ground, text)]
    assert (bright[0] > bright[1]) == (scheme == "light")
    assert page.errors() == []


def test_nothing_comes_from_anywhere_else(page: Browser, server: Server):
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert {url.split("/")[2] for url in loaded if not url.startswith("data:")} == {
        f"127.0.0.1:{server.port}"
    }
    status, headers, _ = server.request("GET", "/")
    assert (status, headers["content-security-policy"].split(";")[0]) == (200, "default-src 'self'")
