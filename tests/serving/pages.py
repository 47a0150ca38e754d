"""The page of the server in a browser, as its tests use it."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.browser import Browser
from tests.serving.running import wait_for

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
needs_browser = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (see tools/browser.sh)"
)
ROWS = """
return [...document.querySelectorAll("#list li")].map((item) => [
    item.querySelector(".name").textContent, item.dataset.state, item.querySelector("p").textContent]);
"""
LEGEND = """
return [...document.querySelectorAll("#legend tbody tr")].map((row) => [
    ...[...row.cells].map((cell) => cell.textContent.trim()),
    getComputedStyle(row.querySelector("i")).backgroundColor]);
"""


def text(page: Browser, name: str) -> str:
    return page.run("return document.getElementById(arguments[0]).textContent", name)


def shown(page: Browser, name: str = "result") -> bool:
    return page.run("return document.getElementById(arguments[0]).checkVisibility()", name)


def rows(page: Browser) -> list[list[str]]:
    """Name, state and sentence of each image in the list."""
    return page.run(ROWS)


def legend(page: Browser) -> list[list[str]]:
    """Name, pixels, per cent, objects and colour of each class."""
    return page.run(LEGEND)


def choose(page: Browser, *paths: Path) -> list[list[str]]:
    """Chooses files; the rows of the list when all of them are done or refused."""
    before = len(rows(page))
    page.type("#file", "\n".join(map(str, paths)))
    return ended(page, before + len(paths))


def ended(page: Browser, count: int) -> list[list[str]]:
    """The rows once there are so many and the server is asked for none."""
    wait_for(
        lambda: len(found := rows(page)) == count and not {row[1] for row in found} & {"waiting", "running"}
    )
    return rows(page)


def set_to(page: Browser, name: str, value: Any) -> None:
    """Sets an input as a person does by moving it."""
    page.run(
        "const found = document.getElementById(arguments[0]); found.value = arguments[1];"
        "found.dispatchEvent(new Event('input', { bubbles: true }))",
        name,
        value,
    )


def view(page: Browser, kind: str) -> None:
    page.click(f"input[name=view][value={kind}]")


def settled(page: Browser) -> NDArray[np.uint8]:
    """The pixels of the canvas, [height, width, 4], once two frames in a row are the same."""
    last: list[str] = []

    def same() -> bool:
        last.append(page.run("return document.getElementById('view').toDataURL()"))
        return len(last) > 1 and last[-1] == last[-2]

    wait_for(same)
    png = base64.b64decode(last[-1].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def pixels(page: Browser, height: int, width: int) -> NDArray[np.uint8]:
    """The pixels of an image of this size, [height, width, 3], shown pixel for pixel."""
    page.click("#actual")
    seen = settled(page)
    top, left = (round((whole - side) / 2) for whole, side in zip(seen.shape, (height, width), strict=False))
    return seen[top : top + height, left : left + width, :3]
