"""The main job: check the data, run the graph, measure seconds and memory, say what came of it."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from pipeline import stages
from pipeline.check.check import check
from pipeline.check.findings import Report, print_report
from pipeline.commands import parts
from pipeline.commands.explain import explain_run
from pipeline.commands.preparation import REFUSALS, choose_plan, earlier, fits, refused, select
from pipeline.commands.report import open_in_browser
from pipeline.config.settings import PipelineConfig
from pipeline.engine.job_service import require_job_service
from pipeline.history import durations, lease, outcome, summary
from pipeline.history.executions import DONE, Node
from pipeline.history.parts import is_done
from pipeline.history.record import FINISHED, WAITING, RunRecord
from pipeline.history.run_ids import next_id
from pipeline.history.runs import Run, ids
from pipeline.history.store import make_usable, require_store
from pipeline.history.summary import RunSummary
from pipeline.history.warm_start import named_start, of_more_steps
from pipeline.metadata import server
from pipeline.process import log, memory, reserve, signals
from pipeline.process.exit_codes import BAD_INPUT, CODE_OF, FAILED, INTERRUPTED, NOT_BLESSED, OK
from pipeline.process.failures import explain
from pipeline.process.lock import exclusive, holder
from pipeline.process.stall import StallWatch
from pipeline.publishing.prometheus import write_last_run
from pipeline.publishing.second_folder import copy_after_run
from pipeline.retention import plan, removal
from pipeline.retention.settings import Retention
from pipeline.reuse import unchanged
from pipeline.root import Root, link
from pipeline.terminal.check_progress import ReadingProgress
from pipeline.terminal.command import command_of, part_command
from pipeline.terminal.console import make_console
from pipeline.terminal.ending import print_end
from pipeline.terminal.run_progress import RunProgress
from unet.dataset.sample import Problem
from unet.training.schedule import can_grow

_SECONDS_TO_END = 60.0  # that the end of a run which stands still may take


def run(
    config: PipelineConfig,
    root_path: Path,
    *,
    debug: bool,
    skip_bad: bool,
    profile: str,
    rebaseline: bool,
    show: bool,
    verify: bool,
    force: Sequence[str] | None,
    start: str | None,
    explain_only: bool,
    stage: str,
    run_id: str,
    arguments: Sequence[str],
) -> int:
    """Runs the whole pipeline, or a part of a run.

    Args:
        config: what to do.
        root_path: folder of everything the pipeline makes; created where missing.
        debug: print the traceback of a failure, not only a sentence.
        skip_bad: leave out what is wrong with single files; the run's folder gets a list of it.
        profile: where the configuration came from.
        rebaseline: do not compare the model with the last blessed one.
        show: open the report in the browser at the end.
        verify: read all outputs of earlier runs, not only those that are used now, and make again what is
            damaged.
        force: names of the components that run although their results are cached; empty: all; None: none.
        start: name of the component that runs with all after it although their results are cached.
        explain_only: say why each component would run or is reused, and run nothing.
        stage: the stage of `pipeline.stages` to run; empty: all that is left.
        run_id: id of the new run, or of an unfinished one to go on with; empty: a new run.
        arguments: words of the command line that all parts of the run share.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    console = make_console(sys.stdout)
    root = Root.at(root_path)
    signals.watch(lambda: print("interrupted", file=sys.stderr))
    options = {"skip-bad": skip_bad, "rebaseline": rebaseline}
    asked, given = config, unchanged.begin(config, root, options)
    with contextlib.ExitStack() as held:
        begun: Run | None = None
        try:
            if stage or run_id:  # nobody else may go on with the run meanwhile
                parts.require_begun(root, stage, arguments)
                held.enter_context(exclusive(root.lock))
                begun = parts.find(root, stage, run_id, arguments)
            elif not explain_only:
                lease.require_free(root)
            require_store(root, config.metadata)
            named_start(config, root)
            if not explain_only and (not stage or stage in stages.WITH_BEAM):
                require_job_service(**config.beam)
            if begun:
                parts.require_same(begun, config.model_dump(mode="json"), options)
        except parts.NothingToDo as error:
            console.print(str(error), soft_wrap=True)
            return CODE_OF[error.status]
        except REFUSALS as error:
            return refused(error, root, console)
        # Where the data are not all read yet, the run begins again: they may have been mended.
        afresh = begun is None or not is_done(stages.FIRST, begun.nodes)
        report: Report | None = None
        if afresh:
            with ReadingProgress():
                report = check(config, root, skip_bad=skip_bad)
            print_report(report, console, [w for w in arguments if w != "--rebaseline"] or None)
            if report.problems:
                if begun:
                    lease.end(root)
                return BAD_INPUT
        changed = config.model_dump(mode="json", exclude_defaults=True)
        if config.channels == "auto":
            channels = begun.config["channels"] if begun and not report else report and report.channels
            config = config.model_copy(update={"channels": channels})
        values = config.model_dump(mode="json")
        try:
            anew = select(config, root, force, start)
            if explain_only and report:
                return explain_run(config, root, report.skip, rebaseline, anew, verify)
            before = earlier(root)
            # A run that works here takes memory, too: it is told of below.
            if holder(root.lock) in (None, os.getpid()) and not fits(config, root, report, before, console):
                return BAD_INPUT
            if not stage and not run_id:
                held.enter_context(exclusive(root.lock))
                lease.require_free(root)
            make_usable(root, config.metadata)
            from pipeline.history.withdrawal import tell_withdrawn

            tell_withdrawn(root)
            removal.finish(root)
            command = command_of(sys.argv)
            if begun:
                record = begun.record
            else:
                run_id = run_id or next_id(ids(root.path))
                record = RunRecord.begin(run_id, command, profile, values, changed)
            if report:
                record.config, record.options = values, {**options, "skip": report.skip}
                record.given = given or {}
            record.stage, record.arguments = stage, list(arguments)
            record.go_on(part_command(stage, run_id, arguments) if stage else command)
            if not begun and (sentence := of_more_steps(before, config)):
                console.print(sentence, soft_wrap=True)
            choose_plan(record, report, before, console)
            reserve.hold(root.reserve)
            unchanged.forget(root)
            code, page = _run_locked(config, root, record, before, debug, report, verify, anew, afresh)
            if record.status in FINISHED:
                unchanged.remember(asked, root, options, record.run_id, record.given)
        except REFUSALS as error:
            return refused(error, root, console)
    if show and page:
        open_in_browser(page)
    return code


def _run_locked(
    config: PipelineConfig,
    root: Root,
    record: RunRecord,
    before: list[Run],
    debug: bool,
    data: Report | None,
    verify: bool,
    anew: set[str],
    afresh: bool,
) -> tuple[int, Path | None]:
    """The exit code, and the report."""
    folder = root.run(record.run_id)
    folder.mkdir(parents=True, exist_ok=True)
    if data and data.skipped:
        write_skipped(folder / "skipped.tsv", data.skipped)
    if record.stage:
        lease.renew(root, record.run_id, record.stage, config.lease_minutes)
    else:
        lease.end(root)
    record.write(folder)
    with log.captured(folder / "log.txt") as terminal:
        work = _Work(root, record, terminal)
        signals.watch(work.give_up)
        failure = ""
        try:
            work.run(config, before, verify, anew, afresh)
            following = stages.after(record.stage) if record.stage else ""
            status, reason = outcome.outcome_of_part(work.nodes, following)
            if status != WAITING:
                status, reason = copy_after_run(config.push_to, root, status, reason, work.console)
            signals.settle()  # a signal changes nothing any more
        except BaseException as error:
            signals.settle()
            failure = traceback.format_exc()
            print(failure, file=sys.stderr)  # into the log
            status, reason = explain(error, work.at_work, root.path)
        work.end(status, reason)
        if CODE_OF[status] in (OK, NOT_BLESSED) and status != WAITING:
            work.clean(Retention.of(config))
        if debug and failure:
            work.console.print(failure, soft_wrap=True)
        if status == "interrupted":
            # Threads of Beam and TensorFlow may still be at work: nothing of theirs is worth waiting for.
            os._exit(INTERRUPTED)
    return CODE_OF[status], work.report


def write_skipped(path: Path, problems: Sequence[Problem]) -> None:
    """Writes what was skipped, a file and what was found in it a line; a name may hold line breaks."""
    escapes = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
    lines = (f"{p.path.translate(escapes)}\t{p.found.translate(escapes)}\n" for p in problems)
    path.write_text("".join(lines), encoding="utf-8")


class _Work:
    """One run at work: its graph, its record, its board."""

    def __init__(self, root: Root, record: RunRecord, terminal: TextIO):
        self.nodes: list[Node] = []
        self.at_work = ""
        self.report: Path | None = None
        self.console = make_console(terminal)
        self._root, self._record, self._terminal = root, record, terminal
        self._folder = root.run(record.run_id)
        self._start = self._node_start = time.monotonic()
        self._began, self._seconds = time.time(), record.seconds  # the latter: of earlier parts
        self._progress: RunProgress | None = None
        self._stall_minutes, self._grows = 0.0, False
        self._ending = threading.Lock()  # of two threads that tell of the end, the first one counts

    def run(
        self, config: PipelineConfig, before: list[Run], verify: bool, anew: set[str], afresh: bool
    ) -> None:
        """Loads what takes long to load, and runs the graph; `before` are earlier runs, oldest first."""
        with contextlib.suppress(OSError):
            self.console.print("Loading TensorFlow and TFX", style="dim")
        with memory.uncollected():
            from pipeline import graph
            from pipeline.engine import runner
        record, options = self._record, self._record.options
        pipeline = graph.create_pipeline(
            config, self._root, options.get("skip"), options.get("rebaseline", False)
        )
        record.nodes = runner.node_names(pipeline)
        names = [name for name in record.nodes if not record.stage or name in stages.STAGES[record.stage]]
        self._measure("(loading)", self._start)
        settings = record.config
        self._progress = RunProgress(
            self._terminal,
            names,
            durations.expected(before, settings),
            not anew and durations.is_repetition(before, settings),
        )
        self._stall_minutes, self._grows = config.stall_minutes, can_grow(config)
        watch = StallWatch(60 * config.stall_minutes, [self._root.path, self._root.serving], self._stop_stall)
        with self._progress, watch:
            told = (self._on_start, self._on_end, self._on_plan)
            alone = functools.partial(server.alone, self._root)
            runner.run(pipeline, record.run_id, *told, verify, anew, names, afresh, config.beam, alone)

    def end(self, status: str, reason: str) -> None:
        """Writes and tells what came of the run; the report comes last, for it takes longest."""
        self._ending.acquire()  # never released: there is one end
        signals.settle(CODE_OF[status])
        reserve.release(self._root.reserve)
        record = self._record
        if self.at_work:
            self._measure(self.at_work, self._node_start)
        record.status, record.reason = status, reason
        record.seconds = round(self._seconds + time.monotonic() - self._start, 1)
        peaks = [told.get("peak_memory_mb", 0) for told in record.components.values()]
        record.peak_memory_mb = int(max(peaks, default=0))
        told = RunSummary(record.run_id, record.config, record.started, status, reason, record.seconds)
        problems: list[str] = []
        try:
            if record.stage and status in (WAITING, "interrupted"):
                following = stages.after(record.stage) if status == WAITING else record.stage
                lease.renew(self._root, record.run_id, following, record.config["lease_minutes"])
            else:
                lease.end(self._root)
            record.write(self._folder)
            told = summary.write(self._root.path, record.run_id)
        except OSError as error:
            problems.append(f"{self._folder}: the summary could not be written: {error.strerror}")
        except Exception as error:  # what broke the run may well break this, too
            traceback.print_exc()
            problems.append(f"{self._folder}: the summary could not be written: {error}")
        problems += write_last_run(record.config, self._root, told, CODE_OF[status])
        verdict = outcome.verdict(self.nodes, problems)
        with contextlib.suppress(OSError):  # a terminal that was closed
            print_end(told, record, len(self.nodes), self._root, self._folder, self.console, verdict)
        if status != WAITING or verdict:  # else there is little to see yet
            self.report = self._write_report(problems)
        with contextlib.suppress(OSError):
            if self.report:
                self.console.print(f"  report    {self.report}", soft_wrap=True)
            for problem in problems:
                self.console.print(problem, soft_wrap=True)

    def clean(self, settings: Retention) -> None:
        """Deletes what no later run needs; a deletion that fails is no reason to lose a run."""
        try:
            found = plan.make_plan(self._root, settings)
            removal.delete(self._root, found)
            print("\n".join(f"deleted {item.path} ({item.why})" for item in found.items))  # into the log
            told = (
                f"  deleted   {plan.format_bytes(found.size)} that no later run needs" if found.size else ""
            )
        except Exception as error:
            traceback.print_exc()
            told = f"{self._root.path}: what no later run needs could not be deleted: {error}"
        with contextlib.suppress(OSError):
            if told:
                self.console.print(told, soft_wrap=True)

    def give_up(self) -> None:
        """Tells of the end while the main thread is somewhere where no signal reaches it."""
        if self._progress:
            self._progress.let_go()
        self.end(*explain(KeyboardInterrupt(), self.at_work, self._root.path))

    def _stop_stall(self) -> None:
        """Ends the process, as a component makes no progress: native code cannot be stopped alone."""
        faulthandler.dump_traceback(2)  # where each thread is, into the log
        if self._progress:
            self._progress.let_go()
        where = f"{self.at_work}: " if self.at_work else ""
        reason = (
            f"{where}no progress for {self._stall_minutes:g} minutes, so it was stopped: no step, no line "
            "in the log, no file that grew; stall_minutes sets the time"
        )
        signals.end_process(lambda: self.end("failed", reason), FAILED, _SECONDS_TO_END)

    def _on_start(self, name: str) -> None:
        self.at_work, self._node_start = name, time.monotonic()
        memory.reset_peak()
        if self._progress:
            self._progress.start(name)

    def _on_end(self, node: Node) -> None:
        self._measure(node.name, self._node_start)
        self.at_work = ""
        self.nodes.append(node)
        if node.name == "Trainer" and node.state == DONE:
            # What it left is the model now, unless one of more steps may go on.
            removal.drop_checkpoints(self._root, self._began, keep=self._grows)
            if curves := node.first("model_run"):
                link(self._root, self._record.run_id, curves.path)
        if self._progress:
            self._progress.end(node, outcome.note(node))

    def _on_plan(self, names: list[str], kept: list[Node], sentences: list[str]) -> None:
        self.at_work = ""
        self.nodes[:] = kept
        print("\n".join(sentences), end="\n" if sentences else "")  # into the log
        if self._progress:
            self._progress.restart(sentences, names)

    def _measure(self, name: str, start: float) -> None:
        """Notes what a part took; a disk that is full must not end a run that needs no more room."""
        told: dict[str, float] = {"seconds": round(time.monotonic() - start, 1)}
        earlier_part = self._record.components.get(name, {}) if name == "(loading)" else {}
        told["seconds"] = round(told["seconds"] + earlier_part.get("seconds", 0), 1)
        if peak := memory.peak_mb():
            told["peak_memory_mb"] = max(peak, earlier_part.get("peak_memory_mb", 0))
        self._record.components[name] = told
        with contextlib.suppress(OSError):
            self._record.write(self._folder)

    def _write_report(self, problems: list[str]) -> Path | None:
        """The report, or None and a problem more: a report that fails is no reason to lose a run."""
        try:
            from pipeline.report.page import write_report

            return write_report(self._root, self._record.run_id)
        except Exception as error:
            traceback.print_exc()  # into the log
            why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            problems.append(f"{self._folder}: the report could not be written: {why}")
            return None
