"""The report in a real browser: what a person sees, with a keyboard, on a phone, by day and by night."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.report.page import comparison, report
from tests.browser import Browser, browser
from tests.pipeline.report.conftest import Made

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (see tools/browser.sh)"),
]
TAB, ENTER, ESCAPE, RIGHT = "\ue004", "\ue007", "\ue00c", "\ue014"  # of the WebDriver protocol
# Every text that can be seen, with its contrast against the colour that lies behind it.
CONTRASTS = """
const bright = ([r, g, b]) => {
  const part = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const parse = (colour) => {
  const n = colour.match(/[\\d.]+/g).map(Number);
  const scale = colour.startsWith("color(") ? 255 : 1;
  return [...n.slice(0, 3).map((v) => scale * v), n[3] ?? 1];
};
const behind = (element) => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  let found = parse(getComputedStyle(document.body).backgroundColor);
  for (const [r, g, b, a] of layers.reverse()) found = [r, g, b].map((v, i) => a * v + (1 - a) * found[i]);
  return found;
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const low = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, style = getComputedStyle(element);
  if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
  if (element.closest("script, style, title, .hidden, .skip")) continue;
  const ink = parse(element.closest("svg") ? style.fill : style.color);
  const [a, b] = [bright(ink), bright(behind(element.closest("svg")?.parentElement ?? element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) low.push([walker.currentNode.textContent.trim().slice(0, 40), contrast]);
}
return low;
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def page(window: Browser, make: Callable[..., Made], tmp_path: Path) -> Browser:
    made = make(
        threshold=0.2,
        names=["a rather long name of an image, as they are when microscopes make them_0001_of_2000.ome"],
    )
    path = tmp_path / "report.html"
    path.write_text(report(made.root, made.run), encoding="utf-8")
    window.emulate(1280, 900, "light")
    window.open(path.as_uri())
    return window


def test_everything_is_there_and_nothing_is_loaded(page: Browser):
    assert page.run("return document.querySelector('h1').textContent") == "Run 20261125-004505"
    assert "passed every check on 5 test images" in page.run(
        "return document.getElementById('verdict').innerText"
    )
    widths = page.run("return [...document.images].map((image) => image.naturalWidth)")
    assert len(widths) >= 5 * 3 + 5  # three images, five pictures each, and the samples
    assert all(width > 0 for width in widths)
    assert page.run("return document.querySelectorAll('svg.chart').length") == 7  # one of them the search's
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [url for url in loaded if not url.startswith("data:")] == []
    assert page.errors() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 768, 1280])
def test_widths_and_schemes(page: Browser, width: int, scheme: str):
    page.emulate(width, 800, scheme)
    page.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.run("return document.documentElement.scrollWidth") <= width
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 380) == (scheme == "light")
    assert page.run(CONTRASTS) == []
    assert page.errors() == []


@pytest.mark.parametrize("width", [375, 1280])
def test_twelve_classes_are_readable(window: Browser, make: Callable[..., Made], tmp_path: Path, width: int):
    names = [f"class number {i}" for i in range(12)]
    made = make(classes=names, size=(300, 400))
    path = tmp_path / "report.html"
    path.write_text(report(made.root, made.run), encoding="utf-8")
    window.emulate(width, 900, "light")
    window.open(path.as_uri())
    window.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert window.run("return document.documentElement.scrollWidth") <= width
    assert window.run(CONTRASTS) == []
    over = "img.over[src^='data:image/svg']"
    letters = window.run(f'return [...document.querySelectorAll("{over}")].map((i) => i.naturalWidth)')
    assert len(letters) >= 2 * 3
    assert set(letters) == {400, 40}  # of the test images and of the samples
    if width == 1280:  # the matrix needs no scrolling
        assert window.run(
            "const table = document.querySelector('.matrix.narrow');"
            "return table.scrollWidth <= table.parentElement.clientWidth"
        )
    assert window.errors() == []


def test_the_keyboard_opens_moves_and_closes_the_zoom(page: Browser):
    page.run("document.querySelector('.panel').focus()")
    page.press(ENTER)
    title = "return document.getElementById('zoom-title').textContent"
    first = page.run(title)
    assert first.startswith("Image ")
    assert page.run("return document.getElementById('zoom').open")
    assert page.run("return document.activeElement.id") == "zoom-view"
    before = page.run("return document.querySelector('#zoom-view .stack').getBoundingClientRect().width")
    page.press("+")
    after = page.run("return document.querySelector('#zoom-view .stack').getBoundingClientRect().width")
    assert after == pytest.approx(1.5 * before, rel=0.01)
    page.run("document.getElementById('zoom-view').scrollTo(40, 30)")
    page.press(RIGHT)
    assert page.run(title).startswith("True classes of ")
    assert page.run("const v = document.getElementById('zoom-view'); return [v.scrollLeft, v.scrollTop]") == [
        40,
        30,
    ]
    page.press("0")
    fitted = page.run("return document.querySelector('#zoom-view .stack').getBoundingClientRect().width")
    assert fitted == pytest.approx(before, rel=0.01)
    style = "return getComputedStyle(document.querySelector('#zoom-view img')).imageRendering"
    assert page.run(style) == "pixelated"
    page.press(ESCAPE)
    assert not page.run("return document.getElementById('zoom').open")
    assert page.run("return document.activeElement.className") == "panel"
    page.press(TAB)
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.errors() == []


def test_the_first_tab_skips_to_the_content(page: Browser):
    page.press(TAB)
    assert page.run("return document.activeElement.textContent") == "Skip to the content"
    page.press(ENTER)
    assert page.run("return location.hash") == "#content"


def test_the_zoom_fits_a_phone(page: Browser):
    page.emulate(375, 700, "dark")
    page.run("document.querySelectorAll('.panel')[3].click()")
    box = "return document.querySelector('#zoom-view .stack').getBoundingClientRect().width"
    assert 200 < page.run(box) <= 375
    overlay = page.run(
        "return [...document.querySelectorAll('#zoom-view img')].map((i) => i.getBoundingClientRect().width)"
    )
    assert len(overlay) == 2
    assert overlay[0] == overlay[1]


def test_a_comparison(window: Browser, make: Callable[..., Made], tmp_path: Path):
    first, second = make("a", seed=1), make("b", seed=2)
    path = tmp_path / "comparison.html"
    path.write_text(comparison(first.root, first.run, second.run), encoding="utf-8")
    for width, scheme in ((375, "dark"), (1280, "light")):
        window.emulate(width, 800, scheme)
        window.open(path.as_uri())
        assert window.run("return document.documentElement.scrollWidth") <= width
        assert window.run("return document.querySelectorAll('svg.chart').length") == 4
        assert window.run(CONTRASTS) == []
        assert window.errors() == []
