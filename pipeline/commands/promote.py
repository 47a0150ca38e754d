"""`run_pipeline.py promote`: deploys the model of a run at a person's request, without the gate."""

from __future__ import annotations

import dataclasses
import getpass
import sys
import time
from pathlib import Path

from pipeline.history.executions import Artifact, require_readable
from pipeline.history.manifest import MANIFEST, damage
from pipeline.history.outcome import counts, model_path, verdict
from pipeline.history.runs import HistoryError, Run, load, newest_config
from pipeline.history.store import Misplaced, settle_place
from pipeline.metadata.place import StoreError
from pipeline.process.exit_codes import BAD_INPUT, INTERRUPTED
from pipeline.process.lock import Locked, exclusive
from pipeline.publishing.second_folder import copy_now
from pipeline.root import Root
from unet.evaluation.results import metrics_of
from unet.registry.model_card import write_card
from unet.registry.records import digest
from unet.registry.versions import newest_version, push


class PromotionRefused(ValueError):
    """The model cannot be promoted; the message says why and what to do."""


def promote(root_path: Path, run_id: str, reason: str) -> int:
    """Deploys the model of a run that the gate did not bless, or an older one, and records who and why.

    It becomes the last blessed model, with which the gate compares the next candidate.

    Args:
        root_path: root folder of the pipeline.
        run_id: id of the run, or "latest".
        reason: reason for the records; must not be empty.

    Returns:
        The exit code; see `pipeline.process.exit_codes`.
    """
    root = Root.at(root_path)
    if not reason.strip():
        print("--reason is empty: say why this model is to be in service all the same", file=sys.stderr)
        return BAD_INPUT
    if root.why_absent:
        print(root.why_absent, file=sys.stderr)
        return BAD_INPUT
    try:
        with exclusive(root.lock):
            return _promote_locked(root, run_id, " ".join(reason.split()))
    except Locked as error:
        print(f"{error}: wait for it", file=sys.stderr)
        return INTERRUPTED
    except (HistoryError, Misplaced, PromotionRefused) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except StoreError as error:
        print(error, file=sys.stderr)
        return error.code


def _promote_locked(root: Root, run_id: str, reason: str) -> int:
    require_readable(root)
    settle_place(root)
    from pipeline.history.promotion import Promotion, Record, last_blessed
    from pipeline.history.withdrawal import tell_withdrawn, try_to_tell

    tell_withdrawn(root)
    run = load(root.path, run_id)
    inputs = _inputs(run)
    model = model_path(inputs["model"])
    newest = newest_version(root.serving)
    is_live = newest is not None and digest(root.serving / str(newest)) == digest(model)
    # Deployed but not recorded: by a rollback, or by a promotion that was killed before its record.
    if is_live and last_blessed(root) == inputs["model"].id:
        print(f"Unchanged: {root.serving / str(newest)} is this model already")
        return copy_now(newest_config(root.path).get("push_to", ""), root)  # after a copy that failed
    promotion = Promotion(run.id, reason, _user(), time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    record = Record(root, promotion, inputs)
    known = {
        "data_sha256": inputs["examples"].text("fingerprint"),
        "images": counts(inputs["examples"]),
        **record.facts(),
        "run": run.id,
        "promoted": dataclasses.asdict(promotion),
    }
    metrics = _metrics(run)

    def describe(copy: Path, version: int) -> None:
        write_card(copy, version, known, metrics)

    try:
        target, _ = push(model, root.serving, describe, even_withdrawn=True)
    except BaseException:
        record.failed()
        raise
    record.done(target)
    try_to_tell(root)  # a model that a person wants in service is no longer withdrawn
    print(f"In service: {target}")
    print(f"Recorded: {promotion.who}, {promotion.when}: {reason}")
    print("The next model is compared with this one.")
    return copy_now(newest_config(root.path).get("push_to", ""), root)


def _inputs(run: Run) -> dict[str, Artifact]:
    """Returns the model of a run and the artifacts that it was evaluated with, by key.

    Raises:
        PromotionRefused: the model must not be deployed.
    """
    model = run.artifact("Trainer", "model")
    if model is None:
        raise PromotionRefused(f"run {run.id} has no model: it ended before one was trained ({run.status})")
    if not (model_path(model) / "saved_model.pb").is_file():
        raise PromotionRefused(f"the files of the model of run {run.id} are gone from {model_path(model)}")
    _require_whole(model)
    infra = run.artifact("InfraValidator", "blessing")
    if infra is None or infra.properties.get("blessed") != 1:
        raise PromotionRefused(
            f"the model of run {run.id} did not pass the InfraValidator: a server could not answer with it; "
            "run again"
        )
    evaluation = run.artifact("Evaluator", "evaluation")
    examples = run.artifact("ImageMaskExampleGen", "examples")
    if evaluation is None or examples is None:
        raise PromotionRefused(f"the model of run {run.id} was not evaluated: run again")
    _require_whole(evaluation)
    return {"model": model, "evaluation": evaluation, "examples": examples}


def _require_whole(artifact: Artifact) -> None:
    if found := damage(artifact.path, artifact.text(MANIFEST), contents=True):
        raise PromotionRefused(f"{found}: run again, then it is made anew")


def _metrics(run: Run) -> dict[str, float]:
    problems: list[str] = []
    metrics = metrics_of(verdict(run.nodes, problems))
    for problem in problems:
        print(f"{problem}: the model's card is without metrics", file=sys.stderr)
    return metrics


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container whose user has no name
        return "unknown"
