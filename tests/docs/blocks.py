"""The blocks of code in the pages, and what their first lines tell a test.

A fence says its language and, where a reader need not care, how it is tested:

    sh                      runs, in bash, and must end well
    sh exits 2              runs, and must end with this exit code
    sh starts 8501          a server, ready on this port: runs until the next one starts or the page ends
    sh no-test: REASON      does not run here, for this reason
    python                  runs, with the interpreter of .venv
    python of ENVIRONMENT   runs, with that of another environment of the checkout
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from markdown_it import MarkdownIt

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of code; `line` is that of its fence."""

    page: Path
    line: int
    language: str
    how: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(CHECKOUT)}:{self.line}"

    @property
    def untested(self) -> str:
        """Why it does not run here, or nothing."""
        return self.how.removeprefix("no-test:").strip() if self.how.startswith("no-test:") else ""

    def number(self, word: str) -> int:
        """The number after `exits` or `starts`, 0 without the word."""
        found = re.fullmatch(rf"{word} (\d+)", self.how)
        return int(found[1]) if found else 0


def pages() -> list[Path]:
    """All pages in the order of the site's navigation, README last: it uses what the others made."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^([\w/.-]+)$", "".join(re.findall(r"```{toctree}(.*?)```", index, re.S)), re.M)
    first = [DOCS / "index.md", *(DOCS / f"{name}.md" for name in listed)]
    return [*first, *sorted({*DOCS.rglob("*.md")} - {*first}), README]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order; an indented one has no language."""
    found = []
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block") and token.map:
            language, _, how = token.info.partition(" ")
            found.append(Block(page, token.map[0] + 1, language, how.strip(), token.content))
    return found
