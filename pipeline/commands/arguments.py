"""The arguments of all commands, with their help."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from pipeline import stages
from pipeline.history import run_ids
from pipeline.process.exit_codes import (
    EXPLAINED,
    EXPLAINED_EVALUATE,
    EXPLAINED_OTHERS,
)
from pipeline.root import refusal
from pipeline.terminal.command import program_name
from unet.metrics.names import MIN_OBJECT_SIZE


def parser() -> argparse.ArgumentParser:
    """Builds the parser of all commands."""
    top = argparse.ArgumentParser(
        prog=program_name(),
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
    run.add_argument(
        "--folds", choices=["all"],
        help="cross-validate: a run for each fold under ROOT/folds, and the mean of their models in ROOT",
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
        "--model", action="append", default=[], metavar="DIR|VERSION|RUN",
        help="a SavedModel, a folder of versions (its newest), a version under the root, or the id of a run; "
        "repeat it",
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
    targets = commands.add_parser(
        "compile", help="write the stages of a run for another orchestrator", epilog=EXPLAINED_OTHERS
    ).add_subparsers(dest="target", metavar="TARGET", required=True)
    _add_kubeflow(
        targets.add_parser(
            "kubeflow", help="write a Kubeflow pipeline of the stages", epilog=EXPLAINED_OTHERS
        )
    )
    formats = commands.add_parser(
        "export", help="write a model in another format", epilog=EXPLAINED_OTHERS
    ).add_subparsers(dest="format", metavar="FORMAT", required=True)
    _add_onnx(
        formats.add_parser("onnx", help="write the network for other runtimes", epilog=EXPLAINED_OTHERS)
    )
    return top


def _add_onnx(onnx: argparse.ArgumentParser) -> None:
    onnx.add_argument("--out", required=True, type=Path, metavar="FILE", help="what to write, a .onnx file")
    _add_model(onnx)
    _add_root(onnx, Path("runs"))


def _add_kubeflow(kubeflow: argparse.ArgumentParser) -> None:
    _add_configuration(kubeflow, data="as the containers see it (default: the one in the image)")
    _add_skip_bad(kubeflow)
    kubeflow.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="what to write, a .yaml file"
    )
    kubeflow.add_argument("--image", required=True, metavar="NAME", help="the project's image, with its tag")
    kubeflow.add_argument(
        "--claim", default="unet", metavar="NAME",
        help="PersistentVolumeClaim of the volume that all stages share (default: unet)",
    )  # fmt: skip
    kubeflow.add_argument(
        "--mount", default="/work", metavar="DIR", help="where the containers see it (default: /work)"
    )
    kubeflow.add_argument(
        "--root",
        type=functools.partial(_root, here=False),
        metavar="DIR",
        help="root below the volume's folder (default: MOUNT/runs)",
    )
    for name, default, what in (
        ("cpu", "2", "cores of each stage"),
        ("memory", "4Gi", "memory of each stage"),
        ("gpu-type", "nvidia.com/gpu", "resource that a GPU is to the cluster"),
    ):
        kubeflow.add_argument(f"--{name}", default=default, metavar="X", help=f"{what} (default: {default})")
    for name, number, what in (
        ("gpus", 0, "GPUs of the stage train"),
        ("user", 10001, "numeric user of the containers, as of the image"),
        ("retries", 3, "how often a stage that failed is repeated, whatever its exit code"),
        ("retry-seconds", 60, "time before that"),
    ):
        kubeflow.add_argument(
            f"--{name}", type=int, default=number, metavar="N", help=f"{what} (default: {number})"
        )


def _add_runs(runs: argparse.ArgumentParser) -> None:
    _add_root(runs)
    runs.add_argument("--all", action="store_true", help="all runs, not only the newest 20")
    runs.add_argument("--json", action="store_true", help="print JSON")
    actions = runs.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser(
        "show", help="all about one run: verdict, components, artifacts, lineage", epilog=EXPLAINED_OTHERS
    )
    show.add_argument("id", nargs="?", default="latest", metavar="ID", help="of the run (default: latest)")
    show.add_argument("--version", type=int, metavar="VERSION", help="the run that this version comes from")
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    export = actions.add_parser("export", help="hand a run on to an MLflow server", epilog=EXPLAINED_OTHERS)
    export.add_argument("id", nargs="?", default="latest", metavar="RUN", help="its id (default: latest)")
    export.add_argument(
        "--mlflow", required=True, metavar="URL",
        help="address of the server; the environment holds MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN",
    )  # fmt: skip
    export.add_argument("--experiment", default="unet", metavar="NAME", help="there, created if missing")
    for action in (show, export):  # options before it apply to it, too
        action.add_argument("--root", type=_root, default=argparse.SUPPRESS, metavar="DIR", help="as of runs")


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
        "--model", action="append", default=[], metavar="DIR|VERSION|RUN",
        help="a SavedModel, a version under the root, or the id of a run (default: the last one pushed); "
        "given again: their mean probabilities",
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
    predict.add_argument(
        "--objects",
        action="store_true",
        help="also write NAME.objects.tif and objects.csv: each object",
    )
    predict.add_argument(
        "--split-objects", type=_pixels, metavar="PIXELS",
        help="as --objects, which are split where they are narrow: by this much of their radius",
    )  # fmt: skip
    predict.add_argument(
        "--min-object-size", type=_pixel_count, metavar="PIXELS",
        help=f"as --objects, without those of fewer pixels (default: {MIN_OBJECT_SIZE}; 0: all)",
    )  # fmt: skip
    predict.add_argument("--overwrite", action="store_true", help="do again what is finished already")


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="folder with images and masks, as of run"
    )
    _add_model(evaluate)
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


def _add_configuration(command: argparse.ArgumentParser, data: str = "") -> None:
    command.add_argument("--profile", default="default", metavar="NAME|FILE", help="settings to start from")
    command.add_argument(
        "--data", type=Path, metavar="DIR", help=f"folder with images/ and masks/{data and f', {data}'}"
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; may be repeated"
    )


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", metavar="DIR|VERSION|RUN",
        help="a SavedModel, a version under the root, or the id of a run (default: the last one pushed)",
    )  # fmt: skip


def _root(text: str, here: bool = True) -> Path:
    if why := refusal(text, here):
        raise argparse.ArgumentTypeError(why)
    return Path(text)


def _pixels(text: str) -> float:
    """The value of --split-objects, within the bounds of the setting of that name."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of pixels from 0 to 100, such as 0.75")
    return value


def _pixel_count(text: str) -> int:
    """The value of --min-object-size, within the bounds of the setting of that name."""
    if not text.isascii() or not text.isdecimal() or len(text) > 7 or int(text) > 10**6:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of pixels from 0 to 1000000, such as 15")
    return int(text)


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
