"""Checks of a folder, and what is printed of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.check.check import check
from pipeline.check.findings import Report, print_report
from pipeline.config.profile import load
from pipeline.root import Root


def run(data: Path, **settings: Any) -> Report:
    config = load(overrides={"data": data, "max_pixels": 10**6, **settings})
    return check(config, Root(data.parent / f"{data.name}-root"))


def found(report: Report) -> dict[str, str]:
    return {problem.path.removeprefix(f"{report.data}/"): problem.found for problem in report.problems}


def printed(report: Report, width: int = 80, arguments: Sequence[str] | None = None) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width), arguments)
    return out.getvalue()
