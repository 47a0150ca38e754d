"""`run_pipeline.py check`: lists all problems of a data folder before any training."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from pipeline.check.check import check
from pipeline.check.findings import print_report
from pipeline.config.settings import PipelineConfig
from pipeline.process.exit_codes import BAD_INPUT, OK
from pipeline.root import Root
from pipeline.terminal.check_progress import ReadingProgress
from pipeline.terminal.console import make_console
from unet.dataset.sample import Problem
from unet.errors import BadInput


def check_command(
    config: PipelineConfig,
    root: Root,
    *,
    as_json: bool,
    skip_bad: bool,
    arguments: Sequence[str],
    doubt: tuple[str, str] | None = None,
) -> int:
    """Prints the report, as JSON on request, and returns the exit code.

    Args:
        config: what a run would do.
        root: where a run would put what it makes, and where earlier ones keep their splits.
        as_json: print JSON instead of tables.
        skip_bad: leave out what is wrong with single files.
        arguments: words of the command line that `run` accepts, too.
        doubt: what is unclear about the background, and what to do; see `unet.masks.background.question`.
    """
    if config.starts_from_a_named_model:
        from pipeline.history.warm_start import named_start  # takes a tenth of a second, as ML Metadata does

        try:
            named_start(config, root)
        except BadInput as error:
            print(error, file=sys.stderr)
            return BAD_INPUT
    with ReadingProgress():
        report = check(config, root, skip_bad=skip_bad, proposals=True)
    if doubt:
        problem = Problem(str(config.data), *doubt, of_the_set=True)
        report = dataclasses.replace(report, problems=[problem, *report.problems])
    if as_json:
        print(report.to_json())
    else:
        print_report(report, make_console(sys.stdout), arguments)
    return OK if report.ok else BAD_INPUT
