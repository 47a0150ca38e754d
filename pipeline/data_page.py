"""The statistics of a run's images as a page that needs neither a network nor a script."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.distribution import load_statistics, numeric

_WIDTH, _HEIGHT = 160, 36  # of a histogram, in CSS pixels
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #2a6fb0; --bad: #a4262c; }
@media (prefers-color-scheme: dark) { :root { --bar: #7fb8ea; --bad: #ff9c9c; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.bad { color: var(--bad); font-weight: 600; white-space: pre-wrap; }
svg rect { fill: var(--bar); }
"""


def write_page(path: Path, title: str, statistics: str, baseline: str, sentences: Sequence[str]) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: of the HTML file.
        title: of the page.
        statistics: URI of the statistics that StatisticsGen wrote.
        baseline: URI of those of the last blessed model's data, or empty.
        sentences: what was found wrong or different, for people.
    """
    sets: dict[str, Any] = load_statistics(statistics)
    if baseline:
        before = load_statistics(baseline)
        sets |= {f"{split}, last blessed": before[split] for split in before}
    columns = {name: numeric(split) for name, split in sets.items()}
    counts = {name: int(split.datasets[0].num_examples) for name, split in sets.items()}
    features = list(dict.fromkeys(feature for values in columns.values() for feature in values))
    verdict = (
        "".join(f'<p class="bad">{html.escape(sentence)}</p>' for sentence in sentences)
        or "<p>Nothing was found that differs from what is expected.</p>"
    )
    body = "".join(_section(feature, columns, counts) for feature in features)
    images = ", ".join(f"{html.escape(name)} {count}" for name, count in counts.items())
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>{verdict}"
        f"<p>Images: {images}. Means and deviations are on a scale of 0 to 255 at any bit depth.</p>{body}"
        "</body></html>"
    )
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _section(feature: str, columns: Mapping[str, Mapping[str, Any]], counts: Mapping[str, int]) -> str:
    """A table of one feature: a row for each set of images."""
    present = {name: values[feature] for name, values in columns.items() if feature in values}
    low, high = min(v.min for v in present.values()), max(v.max for v in present.values())
    rows = []
    for name, v in present.items():
        missing = counts[name] - int(v.common_stats.num_non_missing)
        numbers = (v.min, v.mean, v.median, v.max, v.std_dev)
        cells = "".join(f"<td>{number:.4g}</td>" for number in numbers)
        rows.append(
            f'<tr><th scope="row">{html.escape(name)}</th>{cells}<td>{missing}</td>'
            f"<td>{_histogram(v, low, high, f'{feature} of {name}')}</td></tr>"
        )
    heads = ("images", "least", "mean", "median", "most", "deviation", "missing", f"{low:.4g} to {high:.4g}")
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in heads)
    return (
        f'<h2>{html.escape(feature)}</h2><div class="table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _histogram(values: Any, low: float, high: float, title: str) -> str:
    """The histogram of equal widths of TFDV on the common axis from `low` to `high`."""
    buckets: Sequence[Any] = next((h.buckets for h in values.histograms if h.type == h.STANDARD), [])
    most = max((b.sample_count for b in buckets), default=0) or 1
    scale = _WIDTH / (high - low) if high > low else 0
    bars = []
    for bucket in buckets:
        height = bucket.sample_count / most * _HEIGHT
        x = (bucket.low_value - low) * scale if scale else _WIDTH / 2
        width = max((bucket.high_value - bucket.low_value) * scale, 2)
        if height:
            bars.append(
                f'<rect x="{x:.1f}" y="{_HEIGHT - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
            )
    return (
        f'<svg role="img" width="{_WIDTH + 4}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH + 4} {_HEIGHT}">'
        f"<title>{html.escape(title)}</title>{''.join(bars)}</svg>"
    )
