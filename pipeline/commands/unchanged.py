"""A run for which nothing is to be done: says so, at once, without the libraries that compute."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence

from pipeline.config.settings import PipelineConfig
from pipeline.history import run_ids, summary
from pipeline.history.record import REPORT, RunRecord, read_record
from pipeline.process.exit_codes import CODE_OF, OK
from pipeline.reuse import unchanged
from pipeline.root import Root
from pipeline.terminal.command import command_of


def answer_unchanged(
    config: PipelineConfig,
    root: Root,
    profile: str = "default",
    arguments: Sequence[str] = (),
    stage: str = "",
    run_id: str = "",
    skip_bad: bool = False,
) -> int | None:
    """Gives the answer of the last run once more where a run now would come to the same.

    Args:
        config: the configuration, as it was read.
        root: root folder of the run.
        profile: name or file of the profile.
        arguments: words of the command line that all parts of the run share.
        stage: the first stage, or empty for a whole run.
        run_id: id that a user gave to the new run, whose record later parts will ask for; or empty.
        skip_bad: whether the run is to leave out what is wrong with single files.

    Returns:
        The exit code of that run, see `pipeline.process.exit_codes`; None if a run has to tell.
    """
    if config.push_to or config.prometheus_file:  # every run brings these up to date, and they lie elsewhere
        return None
    if run_id and (run_ids.is_made(run_id) or root.run(run_id).exists()):
        return None  # a run to go on with, or an id that is refused
    found = unchanged.answer(config, root, {"skip-bad": skip_bad, "rebaseline": False})
    if found is None:
        return None
    if run_id:  # its later parts will ask for it: where it cannot be written, a run tells why
        try:
            record = RunRecord.begin(run_id, command_of(sys.argv), profile, {}, {})
            record.stage, record.arguments = stage, list(arguments)
            _record(root, found, record)
        except OSError:
            return None
    else:
        with contextlib.suppress(OSError):  # a note for people: a full disk does not change the answer
            unchanged.count(root, found.run_id)
    for warning in found.warnings:
        print(f"Warning: {warning}")
    status = found.status.replace("_", " ") + (f" ({found.reason})" if found.reason else "")
    print(f"Unchanged since run {found.run_id} of {found.started}, {status}: nothing to do")
    print(f"  model     {found.model}\n  report    {found.report}")
    return CODE_OF[found.status]


def _record(root: Root, found: unchanged.Answer, record: RunRecord) -> None:
    """Writes the record of a run that ran nothing; raises OSError, and leaves nothing then."""
    before, folder = read_record(root.run(found.run_id)), root.run(record.run_id)
    record.config, record.changed, record.options = before.config, before.changed, before.options
    record.nodes, record.same_as = before.nodes, before.same_as or found.run_id
    same = f"nothing is new since run {found.run_id}"
    if CODE_OF[found.status] == OK:
        record.status, record.reason = "unchanged", same
    else:
        record.status, record.reason = found.status, f"{found.reason}; {same}"
    folder.mkdir(parents=True)
    try:
        record.write(folder)
        summary.write(root.path, record.run_id)
        (folder / REPORT).symlink_to(os.path.relpath(found.report, folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
