"""Draws docs/explanation/graph.svg from the pipeline that a run executes.

.venv/bin/python -m docs.generators.graph_picture

The components are drawn from top to bottom, each below its inputs. To their right, each output that another
component reads is a line: a dot where it is written, an arrow where it is read. So the picture shows exactly
the connections of the code, and a new component or input needs no new layout.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from docs.generators.svg import BLUE, GRAY, PLUM, TEAL, box, line, picture, text

FILE = Path(__file__).resolve().parents[1] / "explanation" / "graph.svg"
WIDTH, TITLE, ROW, GAP, LANE, MARGIN = 250, 30, 19, 16, 17, 12  # in pixels


Key = tuple[str, str]  # name of a component and of one of its outputs


@dataclasses.dataclass(frozen=True)
class Node:
    """A component: `inputs` by their names, and the `outputs` that others read."""

    name: str
    kind: str  # one of COLOURS
    inputs: dict[str, Key]
    outputs: tuple[str, ...]
    after: tuple[str, ...]  # components that it waits for without reading their outputs


COLORS = {"ours": BLUE, "of TFX": TEAL, "looks up earlier runs": PLUM}
LINES = (GRAY, "#3c82c9", "#2a9080", "#a86bc0", "#c8683a", "#8a8a2e")


def nodes(pipeline: Any) -> list[Node]:
    """Returns the components of a `tfx.orchestration.pipeline.Pipeline`, each after its inputs.

    Components without a defined order are sorted by name: every version of TFX gives the same list.
    """
    components = {component.id: component for component in pipeline.components}
    waiting = {name: {node.id for node in c.upstream_nodes} for name, c in components.items()}
    order: list[str] = []
    while len(order) < len(components):
        order += sorted(name for name, need in waiting.items() if name not in order and need <= {*order})
    inputs = {name: _inputs(components[name]) for name in order}
    read = {key for of_one in inputs.values() for key in of_one.values()}
    found = []
    for name in order:
        component = components[name]
        if type(component).__name__ == "Resolver":
            kind = "looks up earlier runs"
        else:
            kind = "ours" if type(component).__module__.startswith("components.") else "of TFX"
        outputs = tuple(key for key in sorted(component.outputs) if (name, key) in read)
        after = waiting[name] - {producer for producer, _ in inputs[name].values()}
        found.append(Node(name, kind, inputs[name], outputs, tuple(sorted(after))))
    return found


def _inputs(component: Any) -> dict[str, Key]:
    """Returns the outputs that a component reads, by the name of its input."""
    found = {}
    for name, channel in sorted(component.inputs.items()):
        for member in getattr(channel, "channels", [channel]):
            if producer := getattr(member, "producer_component_id", None):
                found[name] = (producer, member.output_key)
    return found


def lanes(spans: dict[Key, tuple[float, float]]) -> dict[Key, int]:
    """Assigns a lane to each line so that lines in a lane do not overlap; short lines lie innermost."""
    taken: list[list[tuple[float, float]]] = []
    chosen = {}
    for key, (top, bottom) in sorted(spans.items(), key=lambda item: (item[1][1] - item[1][0], item)):
        free = (n for n, lane in enumerate(taken) if all(bottom < t - ROW or top > b + ROW for t, b in lane))
        chosen[key] = next(free, len(taken))
        if chosen[key] == len(taken):
            taken.append([])
        taken[chosen[key]].append((top, bottom))
    return chosen


def draw(graph: list[Node]) -> str:
    """Returns the picture as the text of an SVG file."""
    shapes: list[str] = []
    made: dict[Key, float] = {}
    reads: list[tuple[Key, float]] = []
    edge, y = MARGIN + WIDTH, float(MARGIN)
    for node in graph:
        rows = len(node.inputs) + len(node.outputs) + len(node.after)
        height = TITLE + ROW * rows + (4 if rows else 0)
        shapes.append(box(MARGIN, y, WIDTH, height, COLORS[node.kind]))
        shapes.append(text(MARGIN + 11, y + 20, node.name, size=15, more='font-weight="600"'))
        row = y + TITLE + 8.0
        labels = [f"after {name}" for name in node.after]
        labels += [f"reads {name}" for name in node.inputs] + [f"makes {name}" for name in node.outputs]
        for i, label in enumerate(labels):
            words = label.replace("_", " ")
            shapes.append(text(edge - 12, row + ROW * i + 4, words, more='text-anchor="end"'))
        row += ROW * len(node.after)
        for key in node.inputs.values():
            reads.append((key, row))
            row += ROW
        for output in node.outputs:
            made[node.name, output] = row
            row += ROW
        y += height + GAP
    spans = {key: (row, max(at for read, at in reads if read == key)) for key, row in made.items()}
    lane_of = lanes(spans)
    for key, (top, bottom) in spans.items():
        x, color = edge + 18.0 + LANE * lane_of[key], LINES[lane_of[key] % len(LINES)]
        shapes.append(line([(edge, top), (x, top), (x, bottom)], color))
        shapes.append(f'<circle cx="{edge + 1}" cy="{top:g}" r="4" fill="{color}"/>')
        for _, row in (read for read in reads if read[0] == key):
            shapes.append(line([(x, row), (edge + 8, row)], color))
            shapes.append(f'<path d="M{edge + 1} {row:g}l9 -4.5v9z" fill="{color}"/>')
    x = float(MARGIN)
    for kind, color in COLORS.items():
        shapes += [box(x, y + 3, 12, 12, color, radius=3), text(x + 17, y + 14, kind, fill=GRAY)]
        x += 32 + 7.4 * len(kind)
    width: float = max(edge + 22.0 + LANE * (max(lane_of.values(), default=0) + 1), x)
    description = "; ".join(
        f"{node.name} reads {', '.join(f'{o} of {n}' for n, o in node.inputs.values()) or 'the data'}"
        for node in graph
    )
    return picture(width, y + 24, "The graph of the pipeline", description, shapes)


def main() -> None:
    """Writes the picture to its file."""
    from pipeline.config.settings import PipelineConfig
    from pipeline.graph import create_pipeline
    from pipeline.root import Root

    config = PipelineConfig(channels=1)
    FILE.write_text(draw(nodes(create_pipeline(config, Root(Path("/runs"))))), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
