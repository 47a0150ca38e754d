"""The main job: check the data, run the graph, say what came of it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from components.errors import BadInput, ExportRejected, TrainingFailed
from components.example_gen.sample import Problem
from pipeline import interruption, log
from pipeline.commands.check import check
from pipeline.config import PipelineConfig
from pipeline.data_report import Report, print_report
from pipeline.exit_codes import BAD_INPUT, FAILED, INTERRUPTED, NOT_BLESSED, OK
from pipeline.layout import Root
from pipeline.lock import Locked, exclusive
from pipeline.progress import Board
from pipeline.summary import Summary, print_metrics

EXIT_CODE_OF = {
    "pushed": OK,
    "unchanged": OK,
    "not_blessed": NOT_BLESSED,
    "failed": FAILED,
    "bad_input": BAD_INPUT,
    "interrupted": INTERRUPTED,
}


def run(config: PipelineConfig, root_path: Path, debug: bool = False, skip_bad: bool = False) -> int:
    """Runs the whole pipeline.

    Args:
        config: what to do.
        root_path: folder of everything the pipeline makes; created where missing.
        debug: print the traceback of a failure, not only a sentence.
        skip_bad: leave out what is wrong with single files; the run's folder gets a list of it.

    Returns:
        The exit code; see `pipeline.exit_codes`.
    """
    console = Console(highlight=False)
    root = Root(root_path.absolute())
    report = check(config, root, skip_bad=skip_bad)
    print_report(report, console)
    if report.problems:
        return BAD_INPUT
    if config.channels == "auto":
        config = config.model_copy(update={"channels": report.channels})
    try:
        with exclusive(root.lock):
            return _run_locked(config, root, debug, report)
    except Locked as error:
        console.print(f"{error}: wait for it, or give another --root", markup=False)
        return INTERRUPTED
    except OSError as error:
        console.print(f"{root.path}: {error.strerror}: give another --root, or make room", markup=False)
        return FAILED


def _run_locked(config: PipelineConfig, root: Root, debug: bool, data: Report) -> int:
    run_id = time.strftime("%Y%m%d-%H%M%S")
    while root.run(run_id).exists():
        run_id += "b"
    folder = root.run(run_id)
    folder.mkdir(parents=True)
    if data.skipped:
        write_skipped(folder / "skipped.tsv", data.skipped)
    summary = Summary.of(run_id, config)
    start = time.monotonic()
    failure = ""
    results: dict[str, Any] = {}
    with log.captured(folder / "log.txt") as terminal:
        console = Console(file=terminal, highlight=False)
        try:
            _run_graph(config, root, data.skip, summary, results, console, terminal)
        except BaseException as error:
            interruption.settle()
            traceback.print_exc()  # into the log
            failure = traceback.format_exc()
            summary.status, summary.reason = _explain(error)
        page = _write_data_page(folder / "data.html", summary, results)
        summary.seconds = round(time.monotonic() - start, 1)
        _print_end(summary, root, folder, console)
        if page:
            console.print(f"  images    {page}", markup=False, soft_wrap=True)
        try:
            summary.write(folder)
        except OSError as error:
            console.print(f"{folder}: the summary could not be written: {error.strerror}", markup=False)
        if debug and failure:
            console.print(failure, markup=False, soft_wrap=True)
        code = EXIT_CODE_OF[summary.status]
        if code == INTERRUPTED:
            # Threads of Beam and TensorFlow may still be at work: nothing of theirs is worth waiting for.
            os._exit(code)
    return code


def write_skipped(path: Path, problems: Sequence[Problem]) -> None:
    """Writes what was skipped, a file and what was found in it a line; a name may hold line breaks."""
    escapes = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
    lines = (f"{p.path.translate(escapes)}\t{p.found.translate(escapes)}\n" for p in problems)
    path.write_text("".join(lines), encoding="utf-8")


def _write_data_page(path: Path, summary: Summary, finished: dict[str, Any]) -> Path | None:
    """The page about the images, or None; a page that cannot be written is no reason to lose a run."""
    if not finished:
        return None
    from pipeline.results import write_data_page

    try:
        return path if write_data_page(path, summary, finished) else None
    except Exception:
        traceback.print_exc()  # into the log
        return None


def _explain(error: BaseException) -> tuple[str, str]:
    """Status and reason of a run that an exception ended."""
    # Beam makes another exception of the KeyboardInterrupt that a signal raised while it worked.
    if isinstance(error, KeyboardInterrupt) or interruption.happened():
        return "interrupted", "stopped by a signal"
    if isinstance(error, BadInput):
        return "bad_input", str(error)
    if isinstance(error, TrainingFailed | ExportRejected):
        return "failed", str(error)
    first_line = next(iter(str(error).strip().splitlines()), "")
    return "failed", f"{type(error).__name__}: {first_line}".removesuffix(": ")


def _run_graph(
    config: PipelineConfig,
    root: Root,
    skip: list[str] | None,
    summary: Summary,
    finished: dict[str, Any],
    console: Console,
    terminal: Any,
) -> None:
    console.print("Loading TensorFlow and TFX", style="dim")
    start = time.monotonic()
    from pipeline import graph, results, runner

    pipeline = graph.create_pipeline(config, root, skip)
    summary.components["(loading)"] = {"seconds": round(time.monotonic() - start, 1), "cached": False}
    with Board(terminal, len(runner.node_names(pipeline))) as board:

        def end(result: runner.NodeResult) -> None:
            finished[result.name] = result
            if result.name == "Trainer":  # what it left is the model now
                shutil.rmtree(root.checkpoints, ignore_errors=True)
            results.add(summary, result)
            board.end(result.name, result.cached, result.seconds, results.note(result))

        runner.run(pipeline, summary.run_id, board.start, end)
    results.decide(summary)


def _print_end(summary: Summary, root: Root, folder: Path, console: Console) -> None:
    if summary.metrics:
        print_metrics(summary, console)
    for warning in summary.warnings:
        console.print(f"Warning: {warning}", markup=False, soft_wrap=True)
    lines = {
        "pushed": f"Pushed {summary.pushed}",
        "unchanged": f"Unchanged: {summary.pushed} is this model already",
        "not_blessed": f"Not blessed, nothing pushed: {summary.reason}",
        "failed": f"Failed: {summary.reason}\nThe whole story: {folder / 'log.txt'}",
        "bad_input": f"Bad input: {summary.reason}",
        "interrupted": "Interrupted. Finished components are kept: run the same command to go on.",
    }
    console.print(f"{lines[summary.status]}   ({summary.seconds:.0f} s)", markup=False, soft_wrap=True)
    python = shlex.quote(os.path.relpath(sys.executable))
    predict = f"  predict   {python} run_pipeline.py predict IMAGES --out MASKS"
    hints = [f"  summary   {folder / 'summary.json'}"]
    if summary.pushed:
        option, serve = "", "make serve"
        if root.path != Path("runs").absolute():
            option = f" --root {shlex.quote(str(root.path))}"
            folder_of_models = shlex.quote(str(root.serving))
            serve = (
                f"make setup-serving && .venv-serving/bin/python -m serving --model-dir {folder_of_models}"
            )
        hints = [f"{predict}{option}", f"  serve     {serve}", *hints]
    elif summary.status == "not_blessed":
        hints = [f"{predict} --model {shlex.quote(str(summary.model))}", *hints]
        hints.append(
            "  go on     train longer (--set steps=...), or lower the gate (--set 'thresholds={...}')"
        )
    if summary.trials_plot:
        hints.append(f"  trials    {summary.trials_plot}")
    for hint in hints:
        console.print(hint, markup=False, soft_wrap=True)
