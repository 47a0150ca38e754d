"""A report as a browser would take it in."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from pipeline.report.page import report
from tests.pipeline.report.conftest import Made


class Page(HTMLParser):
    """Text of each section, headings, tags and pictures of a page; fails on tags that are left open."""

    VOID = {"meta", "img", "br", "link", "line", "rect", "circle", "polyline"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: dict[str, str] = {"": ""}
        self.headings: list[int] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self._section, self._open = "", list[str]()
        self.feed(html)
        assert self._open == []
        assert "{{" not in html  # of a template, written where a value was meant

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = str(values["id"])
            self.text[self._section] = ""
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(values)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        self.text[self._section] += data


def page(made: Made) -> Page:
    return Page(report(made.root, made.run))
