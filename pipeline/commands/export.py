"""`run_pipeline.py runs export`: hands a run on to other programs. Imports no TensorFlow."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.history.runs import HistoryError, load
from pipeline.history.summary import summarize
from pipeline.process.exit_codes import BAD_INPUT, OK
from pipeline.publishing.mlflow import export
from pipeline.publishing.mlflow_server import MlflowServer, ServerError
from pipeline.root import Root


def export_run(root_path: Path, run_id: str, url: str, experiment: str) -> int:
    """Hands a run on to an MLflow server; repeated, it completes what is there.

    Args:
        root_path: root folder of the pipeline.
        run_id: id of the run, or "latest".
        url: address of the server.
        experiment: name of the experiment on the server.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    try:
        run = load(root_path, run_id)
        done = export(MlflowServer(url), experiment, Root.at(root_path), run, summarize(run))
    except (HistoryError, ServerError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    print(f"{'Exported' if done.is_new else 'Brought up to date'}: {done.page}")
    for note in [*done.notes, *run.problems]:
        print(f"Note: {note}")
    return OK
