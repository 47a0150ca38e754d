"""Writes the generated parts of the pages into them, so that they read in the repository as on the site.

python -m docs.generators.tables
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from docs.generators import attacks, clients, commands, peers, profiles, quality, settings, speed

DOCS = Path(__file__).resolve().parents[1]
MAKERS: dict[str, Callable[[], str]] = {
    "settings": settings.markdown,
    "profiles": profiles.markdown,
    "commands": commands.markdown,
    "attacks": attacks.markdown,
    "clients": clients.markdown,
    "quality": quality.markdown,
    "speed": speed.markdown,
    "peers": peers.markdown,
}
_MADE = re.compile(r"(<!-- made by (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """Returns the text of a page with all that stands between `made by NAME` and `end` made anew."""
    return _MADE.sub(lambda found: f"{found[1]}\n{MAKERS[found[2]]().strip()}\n\n{found[3]}", page)


def pages() -> dict[Path, str]:
    """Returns the text of each page with such a part, as it is."""
    paths = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    found = {path: path.read_text(encoding="utf-8") for path in paths}
    return {path: text for path, text in found.items() if _MADE.search(text)}


def main() -> None:
    """Writes what changed, and names it."""
    for path, text in pages().items():
        if (made := filled(text)) != text:
            path.write_text(made, encoding="utf-8")
            print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
