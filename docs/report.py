"""Makes docs/report.png, a picture of the report of the newest run, with headless Chromium.

.venv/bin/python docs/report.py [ROOT]
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.layout import Root
from pipeline.report.page import write_report
from tests.browser import browser

CHECKOUT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 1280, 1170


def main(root: Path) -> None:
    """Writes the report again and takes a picture of its top."""
    page = write_report(Root(root.absolute()), "latest")
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as window:
        window.emulate(WIDTH, HEIGHT, "light")
        window.open(page.as_uri())
        picture = Image.open(io.BytesIO(window.screenshot(beyond=False))).convert("RGB")
    picture.save(CHECKOUT / "docs" / "report.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKOUT / "runs")
