"""The command line: parses the arguments and calls a command, which is imported only then."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline import stages
from pipeline.history import run_ids
from pipeline.process import log, signals
from pipeline.process.exit_codes import (
    BAD_INPUT,
    EXPLAINED,
    EXPLAINED_EVALUATE,
    EXPLAINED_OTHERS,
    FAILED,
    INTERRUPTED,
    OK,
)
from pipeline.root import Root, refusal


def parser() -> argparse.ArgumentParser:
    """Builds the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="run_pipeline.py",
        description="Trains a U-Net on images and masks, and puts it into service if it is good enough.",
        epilog=f"Without a command: run. More: run --help, run --print-config. {EXPLAINED}.",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser("run", help="train, evaluate and push a model (the default)", epilog=EXPLAINED)
    _add_configuration(run)
    _add_root(run)
    run.add_argument(
        "--print-config", action="store_true", help="print the whole configuration as TOML and stop"
    )
    _add_skip_bad(run)
    run.add_argument(
        "--rebaseline",
        action="store_true",
        help="do not compare with the last blessed model: the thresholds alone decide",
    )
    run.add_argument(
        "--verify",
        action="store_true",
        help="read all that earlier runs made, and make again what is damaged",
    )
    run.add_argument(
        "--force",
        nargs="*",
        metavar="COMPONENT",
        help="run these components anew although their results are cached (without a name: all)",
    )
    run.add_argument(
        "--from", dest="start", metavar="COMPONENT", help="run this component and all after it anew"
    )
    run.add_argument(
        "--explain", action="store_true", help="say why each component would run or is reused, and stop"
    )
    run.add_argument(
        "--only", choices=stages.NAMES, metavar="STAGE",
        help=f"run one part of a run: {', '.join(stages.NAMES)}; further calls with its id run the others",
    )  # fmt: skip
    run.add_argument(
        "--run-id", type=_run_id, metavar="ID",
        help="name of the new run, or of an unfinished one to go on with",
    )  # fmt: skip
    run.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    run.add_argument("--open", action="store_true", help="open the report in the browser at the end")

    check = commands.add_parser(
        "check", help="read every image and mask, report all problems", epilog=EXPLAINED_OTHERS
    )
    _add_configuration(check)
    _add_root(check)
    _add_skip_bad(check)
    check.add_argument("--json", action="store_true", help="print the report as JSON")

    _add_predict(commands.add_parser("predict", help="write the masks of images", epilog=EXPLAINED_OTHERS))

    _add_evaluate(
        commands.add_parser(
            "evaluate", help="score an existing model on labeled images", epilog=EXPLAINED_EVALUATE
        )
    )

    average = commands.add_parser(
        "average", help="export the mean of several models, as of k-fold training", epilog=EXPLAINED_OTHERS
    )
    average.add_argument(
        "--model", action="append", default=[], metavar="DIR|VERSION",
        help="a SavedModel, a folder of versions (its newest), or a version under the root; repeat it",
    )  # fmt: skip
    average.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder of versions to add it to"
    )
    average.add_argument(
        "--test-time-augmentation",
        action="store_true",
        help="average over the eight flips and quarter turns, too",
    )
    _add_root(average, Path("runs"))

    report = commands.add_parser(
        "report", help="write the report of a run again, or compare two runs", epilog=EXPLAINED_OTHERS
    )
    report.add_argument(
        "run",
        nargs="*",
        default=["latest"],
        metavar="RUN",
        help="id of a run, or latest (the default); two to compare",
    )
    _add_root(report)
    report.add_argument("--open", action="store_true", help="open the page in the browser")

    rollback = commands.add_parser(
        "rollback", help="put an older version of the model into service again", epilog=EXPLAINED_OTHERS
    )
    rollback.add_argument(
        "version", nargs="?", type=int, metavar="VERSION", help="default: the one before the newest"
    )
    _add_root(rollback)

    promote = commands.add_parser(
        "promote",
        help="put the model of a run into service that the gate did not bless",
        epilog=EXPLAINED_OTHERS,
    )
    promote.add_argument("run_id", metavar="RUN_ID", help="name of the run's folder, or latest")
    promote.add_argument(
        "--reason", required=True, metavar="TEXT", help="why; it is recorded, and the model's card says it"
    )
    _add_root(promote)
    clean = commands.add_parser(
        "clean", help="show what no later run needs, and delete it", epilog=EXPLAINED_OTHERS
    )
    _add_root(clean)
    clean.add_argument("--yes", action="store_true", help="delete without asking")
    clean.add_argument("--dry-run", action="store_true", help="show what goes and what stays, and stop")
    for name, what in (("runs", "newest runs"), ("versions", "good models in the serving folder")):
        clean.add_argument(
            f"--keep-{name}", type=int, metavar="N", help=f"{what} to keep (default: as in the newest run)"
        )
    _add_runs(commands.add_parser("runs", help="list what was run, or show one run", epilog=EXPLAINED_OTHERS))
    return top


def _add_runs(runs: argparse.ArgumentParser) -> None:
    _add_root(runs)
    runs.add_argument("--all", action="store_true", help="all runs, not only the newest 20")
    runs.add_argument("--json", action="store_true", help="print JSON")
    show = runs.add_subparsers(dest="show", metavar="show").add_parser(
        "show", help="all about one run: verdict, components, artifacts, lineage", epilog=EXPLAINED_OTHERS
    )
    show.add_argument("id", nargs="?", default="latest", metavar="ID", help="of the run (default: latest)")
    show.add_argument("--version", type=int, metavar="VERSION", help="the run that this version comes from")
    # Options before `show` apply to it, too.
    show.add_argument("--root", type=_root, default=argparse.SUPPRESS, metavar="DIR", help="as of runs")
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.add_argument(
        "input",
        nargs="+",
        metavar="INPUT",
        help="image, folder of images, or glob in quotes: 'new/**/*.tif'",
    )
    predict.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the masks")
    _add_root(predict, Path("runs"))
    predict.add_argument(
        "--model", action="append", default=[], metavar="DIR|VERSION",
        help="a SavedModel, or a version under the root (default: the last one pushed); given again: their "
        "mean probabilities",
    )  # fmt: skip
    predict.add_argument(
        "--probabilities", action="store_true", help="also write NAME.CLASS.png, 16-bit grey"
    )
    predict.add_argument(
        "--overlay", action="store_true", help="also write NAME.overlay.png, to be looked at"
    )
    predict.add_argument(
        "--polygons", choices=("geojson", "coco"), help="also write NAME.geojson, or one coco.json"
    )
    predict.add_argument("--overwrite", action="store_true", help="do again what is finished already")


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="folder with images and masks, as of run"
    )
    evaluate.add_argument(
        "--model", metavar="DIR|VERSION|RUN",
        help="a SavedModel, a version under the root, or the id of a run (default: the last one pushed)",
    )  # fmt: skip
    _add_root(evaluate, Path("runs"))
    evaluate.add_argument(
        "--out", type=Path, metavar="DIR", help="also write evaluation.json, images.csv and report.html here"
    )
    evaluate.add_argument(
        "--threshold", action="append", default=[], metavar="METRIC=VALUE",
        help="what the images must reach, in the words of the setting thresholds; may be repeated",
    )  # fmt: skip
    evaluate.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="read or measure the data otherwise than the model's record says; may be repeated",
    )  # fmt: skip


def _add_configuration(command: argparse.ArgumentParser) -> None:
    command.add_argument("--profile", default="default", metavar="NAME|FILE", help="settings to start from")
    command.add_argument("--data", type=Path, metavar="DIR", help="folder with images/ and masks/")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; may be repeated"
    )


def _root(text: str) -> Path:
    if why := refusal(text):
        raise argparse.ArgumentTypeError(why)
    return Path(text)


def _run_id(text: str) -> str:
    if why := run_ids.refusal(text):
        raise argparse.ArgumentTypeError(why)
    return text


def _add_root(command: argparse.ArgumentParser, default: str | Path = "runs") -> None:
    # A default that is a text is checked, with the folder that it is in. Who gives --model needs no root.
    command.add_argument(
        "--root",
        type=_root,
        default=default,
        metavar="DIR",
        help="everything the pipeline makes (default: runs)",
    )


def _add_skip_bad(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--skip-bad", action="store_true", help="leave out what is wrong with single files, and list it"
    )


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

            if options.show:
                return show_run(options.root, options.id, options.version, as_json=options.json)
            return list_runs(options.root, everything=options.all, as_json=options.json)
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
        print(f"{error.filename}: {error.strerror}" if error.filename else error, file=sys.stderr)
        return FAILED


def _shared(options: argparse.Namespace) -> list[str]:
    """Returns the arguments of `check` that `run` accepts, too."""
    words = [] if options.profile == "default" else ["--profile", options.profile]
    words += ["--data", str(options.data)] if options.data else []
    words += [] if options.root == Path("runs") else ["--root", str(options.root)]
    words += [word for setting in options.set for word in ("--set", setting)]
    return words + (["--skip-bad"] if options.skip_bad else [])


def _run_or_check(options: argparse.Namespace) -> int:
    from pipeline.config import profile

    try:
        overrides = profile.parse_overrides(options.set)
        if options.data:
            overrides["data"] = options.data
        config = profile.load(options.profile, overrides)
    except profile.ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    if options.command == "check":
        from pipeline.commands.check import check_command
        from pipeline.terminal.command import command

        return check_command(
            config,
            Root.at(options.root),
            as_json=options.json,
            skip_bad=options.skip_bad,
            run=command("run", *_shared(options)),
        )
    if options.print_config:
        print(profile.to_toml(config))
        return OK
    if options.explain and (options.only or options.run_id):
        print("--explain tells of a whole run: leave out --only and --run-id", file=sys.stderr)
        return BAD_INPUT
    from pipeline.commands.run import run

    return run(
        config,
        options.root,
        options.debug,
        options.skip_bad,
        options.profile,
        options.rebaseline,
        show=options.open,
        verify=options.verify,
        force=options.force,
        start=options.start,
        explain_only=options.explain,
        stage=options.only or "",
        run_id=options.run_id or "",
        arguments=_shared(options) + (["--rebaseline"] if options.rebaseline else []),
    )
