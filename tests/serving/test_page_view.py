"""What the page shows of an image, in a real browser: layers, zoom, colours, sizes of windows."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.browser import Browser, browser
from tests.serving.conftest import CLASSES, VALUES, encoded, noise
from tests.serving.pages import choose, needs_browser, pixels, set_to, settled, text, view
from tests.serving.running import Server, b64, wait_for

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


def test_zoom_by_keyboard(page: Browser):
    def percent() -> float:
        return float(text(page, "zoom").split()[0])

    view(page, "mask")
    page.run("document.getElementById('view').focus()")
    fitted, whole = percent(), settled(page)
    assert fitted == pytest.approx(100 * min(whole.shape[0] / SIZE[0], whole.shape[1] / SIZE[1]), abs=0.5)
    page.press("+")
    page.press("+")
    assert percent() == pytest.approx(fitted * 1.25**2, abs=1)
    near = settled(page)
    # Enlarged pixels stay squares: there is no colour between those of the classes.
    assert {*map(tuple, near.reshape(-1, 4))} == {(*color, 255) for color in COLORS.tolist()}
    page.press("1")
    assert percent() == 100
    page.press("0")
    np.testing.assert_array_equal(settled(page), whole)
    for key in ("+", "+", "+", ARROW_RIGHT, ARROW_DOWN):
        page.press(key)
    moved = settled(page)
    page.press("-")
    assert percent() == pytest.approx(fitted * 1.25**2, abs=1)
    assert (moved != near).any()


def test_sixteen_bits_of_which_twelve_are_used_are_seen(page: Browser, tmp_path: Path):
    image = (np.arange(40 * 60, dtype=np.uint16).reshape(SIZE) + 100) % 4096
    (tmp_path / "deep.png").write_bytes(encoded(image))
    choose(page, tmp_path / "deep.png")
    page.click("#list li:nth-child(2) button")
    wait_for(lambda: text(page, "title") == "deep.png" and page.run("return contrast.checked"))
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
