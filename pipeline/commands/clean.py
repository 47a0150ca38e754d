"""`run_pipeline.py clean`: shows what no later run needs, and deletes it. Imports no TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.history.runs import HistoryError, newest_config
from pipeline.history.store import Misplaced
from pipeline.metadata.place import StoreError
from pipeline.process.exit_codes import BAD_INPUT, INTERRUPTED, OK
from pipeline.process.lock import Locked, exclusive
from pipeline.retention.plan import Plan, format_bytes, make_plan
from pipeline.retention.removal import delete
from pipeline.retention.settings import Retention
from pipeline.root import Root


def clean(root_path: Path, overrides: Mapping[str, int], yes: bool = False, dry_run: bool = False) -> int:
    """Shows what goes and what stays, and deletes what goes after a person agreed.

    Args:
        root_path: root folder of the pipeline.
        overrides: settings of retention that replace those of the newest run.
        yes: whether to delete without asking.
        dry_run: whether to show the plan only.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    root = Root.at(root_path)
    if root.why_absent:
        print(root.why_absent, file=sys.stderr)
        return BAD_INPUT
    try:
        settings = Retention(**{**_recorded(root), **overrides})
    except ValidationError as error:
        for problem in error.errors():
            print(f"{problem['loc'][0]} = {problem['input']}: {problem['msg']}", file=sys.stderr)
        return BAD_INPUT
    try:
        return _clean(root, settings, yes, dry_run)
    except Locked as error:
        print(f"{error}: wait for it", file=sys.stderr)
        return INTERRUPTED
    except (HistoryError, Misplaced) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except StoreError as error:
        print(error, file=sys.stderr)
        return error.code


def _clean(root: Root, settings: Retention, yes: bool, dry_run: bool) -> int:
    with exclusive(root.lock):
        plan = make_plan(root, settings)
        _print_plan(plan)
        if not plan.items or dry_run:
            return OK
        if yes:
            return _delete(root, plan)
    # No run waits for the answer of a person.
    if not sys.stdin.isatty():
        print("Nothing was deleted: --yes deletes without asking.")
        return OK
    try:
        answer = input("Delete this? [y/N] ")
    except EOFError:  # Ctrl-D, which ends no line
        answer = ""
        print()
    if answer.strip().lower() not in ("y", "yes"):
        print("Nothing was deleted.")
        return OK
    with exclusive(root.lock):
        now = make_plan(root, settings)
        if {item.path for item in now.items} != {item.path for item in plan.items}:
            print("Nothing was deleted: the root changed meanwhile; ask again", file=sys.stderr)
            return INTERRUPTED
        return _delete(root, now)


def _delete(root: Root, plan: Plan) -> int:
    delete(root, plan)
    print(f"Deleted: {format_bytes(plan.size)}")
    return OK


def _recorded(root: Root) -> dict[str, Any]:
    """The settings of retention of the newest run; empty if they cannot be read."""
    config = newest_config(root.path)
    return {name: config[name] for name in Retention.model_fields if name in config}


def _print_plan(plan: Plan) -> None:
    print(f"Goes: {format_bytes(plan.size)}" if plan.items else "Nothing goes.")
    for item in plan.items:
        print(f"  {format_bytes(item.size):>9}  {item.path}  ({item.why})")
    if plan.kept:
        print("Stays:")
    for sentence in plan.kept:
        print(f"  {sentence}")
    for note in plan.notes:
        print(f"Note: {note}")
