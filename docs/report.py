"""Draws the documentation's pictures from the report of the newest run, with headless Chromium.

.venv/bin/python docs/report.py [ROOT]

docs/report.png shows the top of the report, docs/curves.png its learning curves, docs/test-images.png the
worst and the best image of the test split.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.report.page import write_report
from pipeline.root import Root
from tests.browser import Browser, browser

DOCS = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1280, 1170

# Shows only the first of the worst and best images, and hides paths of this machine.
LESS = """
document.querySelectorAll('#curves details, #curves > .small').forEach(element => element.remove());
let group = '', figures = 0;
for (const element of [...document.getElementById('images').children]) {
  if (element.tagName === 'H3') { group = element.textContent; figures = 0; }
  if (element.tagName === 'FIGURE') figures += 1;
  if (figures > 1 || !['', 'Worst', 'Best'].includes(group)) element.remove();
}"""


def main(root: Path) -> None:
    """Writes the report again and takes the pictures."""
    page = write_report(Root(root.absolute()), "latest")
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as window:
        window.emulate(WIDTH, HEIGHT, "light")
        window.open(page.as_uri())
        pictures = {"report": _picture(window, beyond=False)}
        window.run(LESS)
        pictures |= {"curves": _section(window, "curves"), "test-images": _section(window, "images")}
    for name, picture in pictures.items():
        picture.save(DOCS / f"{name}.png", optimize=True)


def _section(window: Browser, name: str) -> Image.Image:
    """Returns the picture of one section, with a margin."""
    left, top, right, bottom = window.run(
        "const box = document.getElementById(arguments[0]).getBoundingClientRect();"
        "return [box.left + scrollX, box.top + scrollY, box.right + scrollX, box.bottom + scrollY];",
        name,
    )
    # Cuts off the line above the section.
    return _picture(window, beyond=True).crop((left - 20, top + 5, right + 20, bottom))


def _picture(window: Browser, *, beyond: bool) -> Image.Image:
    return Image.open(io.BytesIO(window.screenshot(beyond))).convert("RGB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS.parent / "runs")
