"""The gate as a user meets it: verdicts, slices, promotion, a baseline that is gone; by the command line.

One root is used by all tests of this file, in order.
"""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data.synthetic import write_cells
from unet.evaluation.results import Verdict, metrics_of, read_images, read_pictures, read_verdict
from unet.registry.versions import push

CHECKOUT = Path(__file__).parent.parent
TINY = {
    "classes": "{ surroundings = 0, cell = 255 }", "base_filters": 2, "window": 204, "steps": 20,
    "validate_every": 20, "tune": "never", "slices": '["site", "group"]', "max_drop": 1,
    "thresholds": '{ pixel_error = 0.9, "pixel_error@site=north" = 0.9 }',
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `data`: ten images, a manifest with a column of its own, a test split of three."""
    folder = tmp_path_factory.mktemp("gate")
    write_cells(folder / "data", 10, (96, 96), seed=1)
    lines = ["image,mask,split,site"]
    for i, path in enumerate(sorted((folder / "data" / "images").iterdir())):
        split = "test" if i < 3 else "eval" if i < 5 else "train"
        lines.append(f"images/{path.name},masks/{path.name},{split},{'north' if i % 2 else 'south'}")
    (folder / "data" / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(place: Path, *words: str, **settings: object) -> subprocess.CompletedProcess:
    values = {**TINY, **settings} if words[0] == "run" else {}
    sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    data = ["--data", place / "data"] if words[0] == "run" else []
    arguments = [
        sys.executable, CHECKOUT / "run_pipeline.py", *words, *data, "--root", place / "root", *sets
    ]  # fmt: skip
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, cwd=place, check=False)


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


def test_an_undeclared_column_stops_before_anything_starts(place):
    done = command(place, "run", slices='["microscope"]', thresholds="{ pixel_error = 0.9 }")
    assert done.returncode == 2
    assert "'microscope'" in done.stdout
    assert not (place / "root" / "runs").exists()


def test_a_verdict_says_what_was_demanded_and_what_was_found(place):
    done = command(place, "run", thresholds='{ pixel_error = 0.9, "boundary_f1@site=north" = 1.0 }')
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Gate: not blessed" in done.stdout
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


def test_pictures_show_the_worst_the_median_and_the_best(place):
    folder = newest(place, "Evaluator/evaluation")
    pictures = read_pictures(folder)
    assert 1 <= len(pictures) <= 3
    assert pictures[0]["role"] == "worst"
    for picture in pictures:
        with Image.open(folder / "pictures" / picture["image"]) as image:
            assert image.size == (96, 96)


def test_a_person_promotes_a_model_that_was_not_blessed(place):
    run_id = last_run(place)
    done = command(place, "promote", run_id, "--reason", "shown to the\ncustomer")
    assert done.returncode == 0, done.stdout + done.stderr
    [version] = versions(place)
    assert version in done.stdout
    told = card(place)["promoted"]
    assert (told["run"], told["reason"]) == (run_id, "shown to the customer")
    metrics = metrics_of(verdict_of(place))
    assert card(place)["metrics_on_test_split"]["pixel_error"] == metrics["pixel_error"]
    again = command(place, "promote", run_id, "--reason", "again")
    assert again.returncode == 0
    assert "is this model already" in again.stdout
    assert versions(place) == [version]


def test_the_next_model_is_compared_with_the_promoted_one_on_the_same_images(place):
    before = metrics_of(verdict_of(place))
    done = command(place, "run", seed=1)
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


def test_the_same_model_again_gets_the_same_verdict_even_without_the_records_of_its_run(place):
    shutil.rmtree(place / "root" / "runs" / last_run(place))  # a deleted run takes nothing with it
    done = command(place, "run", seed=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unchanged" in done.stdout


def test_a_promotion_that_was_killed_before_it_was_recorded_is_repaired(place):
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


def test_a_baseline_that_is_gone_is_told_and_a_person_goes_on_without(place):
    for model in (place / "root" / "artifacts" / "Trainer" / "model").iterdir():
        shutil.rmtree(model / "Format-Serving")
    done = command(place, "run", seed=2)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "cannot be compared with: the files of model" in " ".join(done.stdout.split())
    assert len(versions(place)) == 3
    done = command(place, "run", "--rebaseline", seed=2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--rebaseline leaves out the last blessed model" in " ".join(done.stdout.split())
    assert len(versions(place)) == 4
    done = command(place, "run", seed=2)  # and stays accepted
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unchanged" in done.stdout
