"""The command line: parses the arguments and calls a command, which is imported only then."""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline import stages
from pipeline.commands.arguments import parser
from pipeline.process import environment, log, machine, signals
from pipeline.process.exit_codes import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    OK,
)
from pipeline.root import Root
from unet.masks.object_rule import ObjectRule
from unet.metrics.names import MIN_OBJECT_SIZE

# Commands that load exported models and make no network.
_WITHOUT_KERAS = ("predict", "evaluate")
# Options with which a run to which nothing is new answers at once; all of them but `debug` are compared.
_ASK_NO_MORE = {"command", "data", "debug", "only", "profile", "root", "run_id", "set", "skip_bad"}


def _objects(options: argparse.Namespace) -> ObjectRule | None:
    """What `predict` counts as an object; None if no option asks for objects."""
    split, least = options.split_objects, options.min_object_size
    if not options.objects and split is None and least is None:
        return None
    return ObjectRule(split or 0.0, MIN_OBJECT_SIZE if least is None else least)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words.insert(0, "run")
    options = parser().parse_args(words)
    signals.install()
    log.forgive_encodings()
    try:
        if options.command == "predict":
            from pipeline.commands.predict import Request, predict

            return predict(
                Request(
                    inputs=options.input,
                    out=options.out,
                    root=options.root,
                    models=options.model,
                    probabilities=options.probabilities,
                    overlay=options.overlay,
                    polygons=options.polygons,
                    objects=_objects(options),
                    overwrite=options.overwrite,
                )
            )
        if options.command == "evaluate":
            from pipeline.commands.evaluate import EvaluateRequest, evaluate

            return evaluate(
                EvaluateRequest(
                    folder=options.data,
                    root=options.root,
                    model=options.model,
                    out=options.out,
                    demands=options.threshold,
                    settings=options.set,
                )
            )
        if options.command == "average":
            from pipeline.commands.average import average

            return average(options.model, options.out, options.root, options.test_time_augmentation)
        if options.command == "report":
            from pipeline.commands.report import report

            return report(options.root, options.run, options.open)
        if options.command == "rollback":
            from pipeline.commands.rollback import rollback

            return rollback(options.root, options.version)
        if options.command == "promote":
            from pipeline.commands.promote import promote

            return promote(options.root, options.run_id, options.reason)
        if options.command == "clean":
            from pipeline.commands.clean import clean

            asked = {"keep_runs": options.keep_runs, "keep_versions": options.keep_versions}
            overrides = {name: number for name, number in asked.items() if number is not None}
            return clean(options.root, overrides, options.yes, options.dry_run)
        if options.command == "runs":
            from pipeline.commands.runs import list_runs, show_run

            if options.action == "export":
                from pipeline.commands.export import export_run

                return export_run(options.root, options.id, options.mlflow, options.experiment)
            if options.action == "show":
                return show_run(options.root, options.id, options.version, as_json=options.json)
            return list_runs(options.root, everything=options.all, as_json=options.json)
        if options.command == "compile":
            from pipeline.publishing.kubeflow import compile_kubeflow

            return compile_kubeflow(options)
        if options.command == "export":
            from pipeline.publishing.onnx import export_onnx

            return export_onnx(options.model, options.out, options.root)
        return _run_or_check(options)
    except KeyboardInterrupt:
        signals.settle()
        with contextlib.suppress(OSError):  # a terminal that was closed
            print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # for example `runs | head`: the reader closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        told = machine.advice(error, str(error), Root.at(options.root or Path()).path)
        named = f"{error.filename}: {error.strerror}" if error.filename else error
        print(told or named, file=sys.stderr)
        return BAD_INPUT if error.errno == errno.ENAMETOOLONG else FAILED  # as only an argument can be
    except Exception as error:
        if not type(error).__module__.startswith("ml_metadata"):
            raise
        from pipeline.process.failures import explain

        print(explain(error, "ML Metadata", options.root)[1], file=sys.stderr)
        return FAILED


def command() -> int:
    """Runs the command of a whole process, such as `unet-pipeline`, and returns its exit code."""
    log.open_closed()
    environment.prepare()
    if sys.argv[1:2] and sys.argv[1] in _WITHOUT_KERAS:
        environment.leave_out_keras()
    try:
        return main()
    finally:
        gc.freeze()  # else Python would look through all of TensorFlow and TFX for garbage, for 2 s


def _shared(options: argparse.Namespace) -> list[str]:
    """Returns the arguments of `check` that `run` accepts, too."""
    words = [] if options.profile == "default" else ["--profile", options.profile]
    words += ["--data", str(options.data)] if options.data else []
    words += [] if options.root == Path("runs") else ["--root", str(options.root)]
    words += [word for setting in options.set for word in ("--set", setting)]
    return words + (["--skip-bad"] if options.skip_bad else [])


def further_options(options: argparse.Namespace) -> list[str]:
    """The options of `run` that are given, and that only a run can answer: all not known to ask no more."""
    plain = vars(parser().parse_args(["run"])).items()
    return [name for name, value in plain if name not in _ASK_NO_MORE and getattr(options, name) != value]


def _run_or_check(options: argparse.Namespace) -> int:
    from pipeline.config import profile

    doubt = None
    try:
        overrides = profile.parse_overrides(options.set)
        if options.data:
            overrides["data"] = options.data
        if options.command == "check":
            config, doubt = profile.load_with_doubt(options.profile, overrides)
        else:
            config = profile.load(options.profile, overrides)
    except profile.ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    if options.command == "check":
        from pipeline.commands.check import check_command

        return check_command(
            config,
            Root.at(options.root),
            as_json=options.json,
            skip_bad=options.skip_bad,
            arguments=_shared(options),
            doubt=doubt,
        )
    if options.print_config:
        print(profile.to_toml(config))
        return OK
    environment.prepare_training()
    if options.explain and (options.only or options.run_id):
        print("--explain tells of a whole run: leave out --only and --run-id", file=sys.stderr)
        return BAD_INPUT
    if options.folds:
        from pipeline.commands.folds import run_folds

        others = [name for name in further_options(options) if name != "folds"]
        others += [name for name in ("only", "run_id") if getattr(options, name)]
        if others := [f"--{name.replace('_', '-')}" for name in others]:
            print(f"--folds all is of whole runs: leave out {', '.join(others)}", file=sys.stderr)
            return BAD_INPUT
        return run_folds(
            config, Root.at(options.root), _shared(options) + (["--debug"] if options.debug else [])
        )
    arguments = _shared(options) + (["--rebaseline"] if options.rebaseline else [])
    if not further_options(options) and options.only in (None, stages.FIRST):
        from pipeline.commands.unchanged import answer_unchanged

        given = (options.profile, arguments, options.only or "", options.run_id or "", options.skip_bad)
        if (code := answer_unchanged(config, Root.at(options.root), *given)) is not None:
            return code
    from pipeline.commands.run import run

    return run(
        config,
        options.root,
        debug=options.debug,
        skip_bad=options.skip_bad,
        profile=options.profile,
        rebaseline=options.rebaseline,
        show=options.open,
        verify=options.verify,
        force=options.force,
        start=options.start,
        explain_only=options.explain,
        stage=options.only or "",
        run_id=options.run_id or "",
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(command())
