"""`run --explain`: prints why each component would run or is reused."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.config.settings import PipelineConfig
from pipeline.history.executions import require_readable
from pipeline.metadata.place import place_of
from pipeline.process import log, memory
from pipeline.process.exit_codes import OK
from pipeline.root import Root
from pipeline.terminal.console import make_console, make_table
from unet.errors import BadInput


def explain_run(
    config: PipelineConfig, root: Root, skip: list[str] | None, rebaseline: bool, anew: set[str], verify: bool
) -> int:
    """Prints a line for each component and returns the exit code; writes nothing into the root.

    Args:
        config: configuration of the run, with `channels` resolved to a number.
        root: root folder of the run; it may be missing.
        skip: names of samples to leave out.
        rebaseline: whether to skip the comparison with the last blessed model.
        anew: names of the components that run although their results are cached.
        verify: whether to read what would be reused; otherwise the sizes of its files are compared.

    Raises:
        StoreError: ML Metadata cannot be read.
        BadInput: it is in a database, of which no copy is made.
    """
    if place := place_of(root):
        raise BadInput(
            f"--explain tries what TFX would do on a copy of ML Metadata, and {place.where.name} has none"
        )
    if root.has_metadata:
        require_readable(root)
    with log.captured(Path(os.devnull)) as terminal:
        console = make_console(terminal)
        console.print("Loading TensorFlow and TFX", style="dim")
        with memory.uncollected():
            from pipeline import graph
            from pipeline.reuse import reasons

        pipeline = graph.create_pipeline(config, root, skip, rebaseline)
        table = make_table()
        for title in ("component", "", "why"):
            table.add_column(title)
        for found in reasons.forecast(pipeline, root, anew, verify):
            table.add_row(found.name, found.does, "\n".join(found.why))
        console.print(table)
    return OK
