"""Cross-validation: a run for each fold, each with its own gate, and the mean of their models."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from pipeline.commands.average import average
from pipeline.config.settings import PipelineConfig
from pipeline.history import runs, summary
from pipeline.process import signals
from pipeline.process.exit_codes import BAD_INPUT, INTERRUPTED, NOT_BLESSED, OK
from pipeline.root import Root
from pipeline.terminal.command import program
from unet.dataset import plan
from unet.errors import BadInput
from unet.progress import deferred, end_if_requested

_SECONDS = 0.5  # between two looks whether this process was asked to end


def run_folds(config: PipelineConfig, root: Root, arguments: Sequence[str]) -> int:
    """Runs all folds, each in a root of its own under `root`, and pushes the mean of their models.

    What is finished is not done again: a repeated command goes on where it was interrupted.

    Args:
        config: the configuration, without a `fold`.
        root: folder of the roots of the folds, and of the serving folder of the mean.
        arguments: those of `run` that each fold gets, too.

    Returns:
        The exit code; see `pipeline.process.exit_codes`. Where a fold's model is not blessed, the others are
        trained all the same, and nothing is pushed.
    """
    if problem := _problem(config, root):
        print(problem, file=sys.stderr)
        return BAD_INPUT
    try:
        samples, _ = plan.find(config.data, config.reading(root.splits))
    except BadInput as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    declared = {sample.fold for sample in samples if sample.fold is not None}
    numbers = sorted(declared) or range(config.folds)
    places = {fold: Root.at(root.path / "folds" / str(fold)) for fold in numbers}
    blessed = True
    for number, (fold, place) in enumerate(places.items(), 1):
        print(f"Fold {fold}, {number} of {len(places)}: {place.path}", flush=True)
        code = _run([*arguments, "--root", str(place.path), "--set", f"fold={fold}"])
        if code not in (OK, NOT_BLESSED):
            return code
        blessed = blessed and code == OK
    print_scores({fold: _metrics(place) for fold, place in places.items()})
    if not blessed:
        print("Not pushed: the mean is that of all folds, and a model of theirs is not blessed")
        return NOT_BLESSED
    models = [place.serving for place in places.values()]
    return average(models, root.serving, models[0].parent.parent, config.test_time_augmentation)


def _problem(config: PipelineConfig, root: Root) -> str:
    if config.fold is not None:
        return f"--folds all runs each fold, and fold = {config.fold} names one: leave one of them out"
    if root.metadata.exists() or root.has_metadata:
        return f"{root.path}: single runs push here: give another --root for the mean of all folds"
    return ""


def _run(arguments: Sequence[str]) -> int:
    """Runs one fold in a process of its own, which ends before this one if this one is asked to."""
    with deferred():  # an exception while the process is being started would leave it alone at work
        process = subprocess.Popen([sys.executable, *program(), "run", *arguments])
        try:
            while True:
                end_if_requested()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(_SECONDS)
        except KeyboardInterrupt:
            signals.settle()
            process.terminate()  # it writes a checkpoint
            process.wait()
            return INTERRUPTED


def _metrics(place: Root) -> dict[str, float | None]:
    """The metrics of the newest run under a root, on its test images."""
    return summary.summarize(runs.load(place.path, runs.ids(place.path)[-1])).metrics


def print_scores(found: Mapping[int, Mapping[str, float | None]]) -> None:
    """Prints each metric: mean and standard deviation over the folds, and on the test images of each.

    Args:
        found: the metrics of each fold; one that a fold could not measure is left out.
    """
    table = Table("metric", "mean", "deviation", *(f"fold {fold}" for fold in found), box=None)
    for name in next(iter(found.values())):
        values = [metrics.get(name) for metrics in found.values()]
        numbers = [value for value in values if value is not None]
        if name == "example_count" or len(numbers) < len(values):
            continue
        shown = (statistics.mean(numbers), statistics.pstdev(numbers), *numbers)
        table.add_row(name, *(f"{value:.4f}" for value in shown))
    Console().print(table)
