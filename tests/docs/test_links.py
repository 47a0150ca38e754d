"""Links of README.md; those of the pages are Sphinx's business, which `test_site.py` calls."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.docs.blocks import CHECKOUT, DOCS, README, pages


def links(page: Path) -> list[str]:
    """Targets of all links and pictures of a page that are in this checkout."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target and not re.match(r"\w+:", str(target)):
                found.append(str(target))
    return found


def anchors(page: Path) -> set[str]:
    """The address of each heading, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("link", sorted(set(links(README))))
def test_a_link_of_the_readme_leads_somewhere(link):
    path, _, anchor = link.partition("#")
    target = CHECKOUT / path if path else README
    assert target.exists()
    assert not anchor or anchor in anchors(target)


def test_the_readme_leads_to_each_page():
    linked = {(CHECKOUT / link.partition("#")[0]).resolve() for link in links(README)}
    below = DOCS / "reference" / "code"
    assert [page for page in pages() if page not in linked and page.parent != below] == [
        DOCS / "index.md",
        README,
    ]
