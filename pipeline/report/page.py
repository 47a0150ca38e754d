"""Assembles the sections to a page: the report of a run, or the comparison of two runs."""

from __future__ import annotations

import base64
import functools
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.history.durations import format_duration
from pipeline.history.record import REPORT
from pipeline.history.runs import Run, load
from pipeline.report import change, data, formats, gallery, provenance, quality, scores, training, verdict
from pipeline.report.artifacts import Evaluated, Missing, NotReached, RunArtifacts
from pipeline.report.scores import Scores
from pipeline.root import Root
from unet.files import atomic_write

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PageSection:
    """A section of a page: its anchor, heading, template, and the function that returns its content."""

    id: str
    title: str
    build: Callable[..., dict[str, Any]]


_MEASURED = (
    PageSection("classes", "Classes", quality.classes),
    PageSection("distribution", "Image by image", quality.distribution),
    PageSection("slices", "Slices", quality.slices),
    PageSection("calibration", "Calibration", quality.calibration),
)
SECTIONS = (
    PageSection("verdict", "Verdict", verdict.build),
    PageSection("images", "Test images", gallery.build),
    *_MEASURED,
    PageSection("blessed", "Against the last blessed model", change.with_blessed),
    PageSection("curves", "Learning curves", training.curves),
    PageSection("search", "Search of the learning rate", training.search),
    PageSection("samples", "What the network was shown", training.samples),
    PageSection("data", "Data", data.build),
    PageSection("components", "Time and memory", provenance.components),
    PageSection("configuration", "Configuration", provenance.configuration),
    PageSection("lineage", "Lineage", provenance.lineage_steps),
)
COMPARED = (
    PageSection("verdicts", "Verdicts and metrics", change.verdicts),
    PageSection("changed-images", "Image by image", change.images),
    PageSection("both-curves", "Learning curves", change.compare_curves),
    PageSection("settings", "What was set differently", change.configurations),
    PageSection("times", "Time by component", change.times),
)
SCORED = (PageSection("verdict", "Metrics", scores.build), *_MEASURED)


def write_report(root: Root, run_id: str) -> Path:
    """Writes the report of a run atomically into its folder; returns its path.

    Raises:
        HistoryError: the run does not exist.
        OSError: the file cannot be written.
    """
    run = load(root.path, run_id)
    path = root.run(run.id) / REPORT
    text = report(root, run)
    with atomic_write(path) as file:
        file.write(text)
    return path


def write_comparison(root: Root, first: str, second: str) -> Path:
    """Writes the comparison of two runs atomically into the folder of the second; returns its path.

    Raises:
        HistoryError: a run does not exist.
        OSError: the file cannot be written.
    """
    a, b = load(root.path, first), load(root.path, second)
    path = root.run(b.id) / f"against-{a.id}.html"
    text = comparison(root, a, b)
    with atomic_write(path) as file:
        file.write(text)
    return path


def report(root: Root, run: Run) -> str:
    """Returns the report of a run as HTML."""
    artifacts = RunArtifacts(root, run)
    sections, unreached = _render(SECTIONS, artifacts)
    if run.status in verdict.EARLY:
        sections[0]["title"] = "What happened"
    return (
        _environment()
        .get_template("report.html")
        .render(
            _frame(f"Run {run.id}"),
            sections=sections,
            unreached=unreached,
            headline=verdict.headline(artifacts),
            run=run,
            data=provenance.describe_data(artifacts),
        )
    )


def evaluation(scored: Scores) -> str:
    """Returns the report of the command evaluate as HTML."""
    sections, unreached = _render(SCORED, scored)
    return (
        _environment()
        .get_template("evaluation.html")
        .render(
            _frame("Evaluation"),
            sections=sections,
            unreached=unreached,
            headline=scores.headline(scored),
            scored=scored,
        )
    )


def comparison(root: Root, a: Run, b: Run) -> str:
    """Returns the comparison of two runs as HTML."""
    sections, unreached = _render(COMPARED, RunArtifacts(root, a), RunArtifacts(root, b))
    return (
        _environment()
        .get_template("comparison.html")
        .render(_frame(f"{a.id} and {b.id}"), sections=sections, unreached=unreached, a=a, b=b)
    )


def _render(
    sections: tuple[PageSection, ...], *artifacts: Evaluated
) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the sections as HTML or an error sentence, and the titles of those the run did not reach."""
    shown: list[dict[str, Any]] = []
    unreached = []
    for section in sections:
        entry: dict[str, Any] = {"id": section.id, "title": section.title, "html": "", "note": ""}
        template = _environment().get_template(f"{section.id}.html")
        try:
            entry["html"] = Markup(template.render(section.build(*artifacts), artifacts=artifacts[0]))
        except NotReached:
            unreached.append(section.title)
            continue
        except Missing as missing:
            if str(missing) in (other["note"] for other in shown):
                continue  # only once: several sections use the same file
            entry["note"] = str(missing)
        except Exception as error:
            # Files of old and damaged runs can raise any exception; the other sections are shown all the
            # same.
            _log.debug("The section %s cannot be shown", section.title, exc_info=True)
            entry["note"] = (
                f"This cannot be shown: what the run left of it is damaged ({type(error).__name__}: {error})."
            )
        shown.append(entry)
    return shown, unreached


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": formats.format_moment, "megabytes": formats.megabytes}
    environment.filters["duration"] = format_duration
    return environment


def _frame(title: str) -> dict[str, Any]:
    """Returns the common parts of all pages: style, script, and the policy that forbids loading files."""
    folder = Path(__file__).parent
    style, script = ((folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return {"title": title, "style": Markup(style), "script": Markup(script), "policy": policy}
