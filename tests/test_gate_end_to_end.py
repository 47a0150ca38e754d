"""The gate as a user meets it: verdicts, slices, promotion, a baseline that is gone; by the command line.

What several tests begin with, such as a run whose model was promoted, is made once; each gets it as it was.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from PIL import Image

from data.synthetic import write_cells
from tests.command_line import call
from unet.evaluation.results import Verdict, metrics_of, read_images, read_pictures, read_verdict
from unet.registry.versions import push

TINY = {
    "classes": "{ surroundings = 0, cell = 255 }", "base_filters": 2, "depth": 2, "patch_size": 60,
    "steps": 20, "validate_every": 20, "tune": "never", "slices": '["site", "group"]', "max_drop": 1,
    "thresholds": '{ pixel_error = 0.9, "pixel_error@site=north" = 0.9 }',
}  # fmt: skip


@dataclass
class Stage:
    """A folder as it was at some time, and what the command line told last."""

    folder: Path
    kept: Path
    told: CompletedProcess[str]

    def again(self) -> Path:
        """The folder as it was, at the same path: the records of a root hold paths."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder, symlinks=True)
        return self.folder

    def then(self, name: str, do: Callable[[Path], CompletedProcess[str]]) -> Stage:
        """What comes of it."""
        told = do(self.again())
        kept = self.kept.with_name(name)
        shutil.copytree(self.folder, kept, symlinks=True)
        return Stage(self.folder, kept, told)


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Stage:
    """A folder with `data`: ten images, a manifest with a column of its own, a test split of three."""
    folder = tmp_path_factory.mktemp("gate") / "place"
    write_cells(folder / "data", 10, (96, 96), seed=1)
    lines = ["image,mask,split,site"]
    for i, path in enumerate(sorted((folder / "data" / "images").iterdir())):
        split = "test" if i < 3 else "eval" if i < 5 else "train"
        lines.append(f"images/{path.name},masks/{path.name},{split},{'north' if i % 2 else 'south'}")
    (folder / "data" / "manifest.csv").write_text("\n".join(lines) + "\n")
    kept = folder.with_name("empty")
    shutil.copytree(folder, kept)
    return Stage(folder, kept, CompletedProcess([], 0))


@pytest.fixture(scope="module")
def refused(empty) -> Stage:
    """A run whose model the gate did not bless."""
    thresholds = '{ pixel_error = 0.9, "boundary_f1@site=north" = 1.0 }'
    return empty.then("refused", lambda place: command(place, "run", thresholds=thresholds))


@pytest.fixture(scope="module")
def promoted(refused) -> Stage:
    """That model, promoted."""
    reason = "shown to the\ncustomer"
    return refused.then(
        "promoted", lambda place: command(place, "promote", last_run(place), "--reason", reason)
    )


@pytest.fixture(scope="module")
def compared(promoted) -> Stage:
    """One more run, whose model was compared with the promoted one."""
    return promoted.then("compared", lambda place: command(place, "run", seed=1))


def command(place: Path, *words: str, **settings: object) -> CompletedProcess[str]:
    values = {**TINY, **settings} if words[0] == "run" else {}
    sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    data = ["--data", place / "data"] if words[0] == "run" else []
    return call(*words, *data, "--root", place / "root", *sets, cwd=place)


def newest(place: Path, what: str) -> Path:
    found = (place / "root" / "artifacts").glob(f"{what}/*")
    return max(found, key=lambda path: int(path.name))


def verdict_of(place: Path) -> Verdict:
    verdict = read_verdict(newest(place, "Evaluator/evaluation"))
    assert verdict is not None
    return verdict


def last_run(place: Path) -> str:
    return max(path.name for path in (place / "root" / "runs").iterdir())


def versions(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "root" / "serving" / "unet").glob("[0-9]*"))


def card(place: Path) -> dict[str, Any]:
    version = place / "root" / "serving" / "unet" / versions(place)[-1]
    content: dict[str, Any] = json.loads((version / "assets.extra" / "model_card.json").read_text())
    return content


def test_an_undeclared_column_stops_before_anything_starts(empty):
    place = empty.again()
    done = command(place, "run", slices='["microscope"]', thresholds="{ pixel_error = 0.9 }")
    assert done.returncode == 2
    assert "'microscope'" in done.stdout
    assert not (place / "root" / "runs").exists()


def test_a_verdict_says_what_was_demanded_and_what_was_found(refused):
    place, done = refused.again(), refused.told
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Gate: not blessed" in done.stdout
    assert "the threshold is 1.0000" in done.stdout
    summary = json.loads((place / "root" / "runs" / last_run(place) / "summary.json").read_text())
    assert summary["status"] == "not_blessed"
    assert versions(place) == []
    assert "3 test images; not compared: no other model was blessed before" in done.stdout
    verdict = verdict_of(place)
    assert [check["passed"] for check in verdict["checks"]] == [True, False]
    assert verdict["reason"].startswith("boundary_f1 of site=north is ")
    counts = {name: part["images"] for name, part in verdict["slices"].items()}
    assert (counts["site=north"], counts["site=south"], counts["size=small"]) == (1, 2, 3)
    assert sum(name.startswith("group=") for name in counts) == 3
    rows = read_images(newest(place, "Evaluator/evaluation"))
    assert len(rows) == verdict["images"] == 3
    pooled = sum(row["confusion"][1][1] for row in rows)
    assert pooled == verdict["confusion"][1][1]


def test_pictures_show_the_worst_the_median_and_the_best(refused):
    folder = newest(refused.again(), "Evaluator/evaluation")
    pictures = read_pictures(folder)
    assert 1 <= len(pictures) <= 3
    assert pictures[0]["role"] == "worst"
    for picture in pictures:
        with Image.open(folder / "pictures" / picture["image"]) as image:
            assert image.size == (96, 96)


def test_a_person_promotes_a_model_that_was_not_blessed(promoted):
    place, done = promoted.again(), promoted.told
    run_id = last_run(place)
    assert done.returncode == 0, done.stdout + done.stderr
    [version] = versions(place)
    assert version in done.stdout
    told = card(place)["promoted"]
    assert (told["run"], told["reason"]) == (run_id, "shown to the customer")
    metrics = metrics_of(verdict_of(place))
    assert card(place)["metrics_on_test_split"]["pixel_error"] == metrics["pixel_error"]
    record, second = place / "root" / "runs" / run_id / "run.json", place / "second"
    content = json.loads(record.read_text())
    content["config"]["push_to"] = str(second)
    second.mkdir()
    record.write_text(json.dumps(content))
    again = command(place, "promote", run_id, "--reason", "again")
    assert again.returncode == 0
    assert "is this model already" in again.stdout
    assert versions(place) == [version]
    assert (second / version / "saved_model.pb").is_file()  # as after a copy that failed


def test_the_next_model_is_compared_with_the_promoted_one_on_the_same_images(promoted, compared):
    before = metrics_of(verdict_of(promoted.again()))
    place, done = compared.again(), compared.told
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = verdict_of(place)
    assert verdict["baseline"]["state"] == "compared"
    measured_again = {
        name: math.nan if metric["baseline"] is None else metric["baseline"]
        for name, metric in verdict["metrics"].items()
    }
    assert measured_again == pytest.approx(before, nan_ok=True)
    assert [check["kind"] for check in verdict["checks"]] == ["threshold", "drop"] * 2
    assert len(versions(place)) == 2


def test_the_same_model_again_gets_the_same_verdict_even_without_the_records_of_its_run(compared):
    place = compared.again()
    shutil.rmtree(place / "root" / "runs" / last_run(place))  # a deleted run takes nothing with it
    done = command(place, "run", seed=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unchanged" in done.stdout


def test_a_model_is_compared_anew_where_a_promotion_came_before_its_push(refused):
    place, run = refused.again(), last_run(refused.folder)
    for stage in ("ingest", "transform", "train", "evaluate"):
        done = command(place, "run", "--only", stage, "--run-id", "night", seed=1)
        assert done.returncode == 0, done.stdout + done.stderr
    assert verdict_of(place)["baseline"]["state"] == "none"
    assert command(place, "promote", run, "--reason", "it is good enough").returncode == 0
    done = command(place, "run", "--only", "push", "--run-id", "night", seed=1)
    assert "another one than when this run was evaluated" in done.stdout
    assert verdict_of(place)["baseline"]["state"] == "compared"


def test_a_promotion_that_was_killed_before_it_was_recorded_is_repaired(compared):
    place = compared.again()
    first = min(path.name for path in (place / "root" / "runs").iterdir())
    models = (place / "root" / "artifacts" / "Trainer" / "model").iterdir()
    model = min(models, key=lambda path: int(path.name)) / "Format-Serving"
    push(model, place / "root" / "serving" / "unet", even_withdrawn=True)  # all that it came to
    done = command(place, "promote", first, "--reason", "once more")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "once more" in done.stdout
    assert len(versions(place)) == 3
    shown = command(place, "runs", "show", "--version", versions(place)[-1])
    assert first in shown.stdout
    assert "once more" in shown.stdout


def test_a_baseline_that_is_gone_is_told_and_a_person_goes_on_without(compared):
    place = compared.again()
    for model in (place / "root" / "artifacts" / "Trainer" / "model").iterdir():
        shutil.rmtree(model / "Format-Serving")
    done = command(place, "run", seed=2)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "cannot be compared with: the files of model" in " ".join(done.stdout.split())
    assert len(versions(place)) == 2
    done = command(place, "run", "--rebaseline", seed=2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--rebaseline leaves out the last blessed model" in " ".join(done.stdout.split())
    assert len(versions(place)) == 3
    done = command(place, "run", seed=2)  # and stays accepted
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unchanged" in done.stdout
