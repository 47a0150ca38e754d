"""When the answer of the last run stands; whatever differs leads to a run. On files of recorded runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.commands.rollback import rollback
from pipeline.commands.unchanged import answer_unchanged
from pipeline.config.settings import PipelineConfig
from pipeline.history import lease
from pipeline.history.manifest import MANIFEST, write_manifest
from pipeline.process.lock import exclusive
from pipeline.reuse import unchanged
from tests.pipeline.answered_runs import OPTIONS, Place, other_bytes
from tests.pipeline.retention.nights import version_of
from unet.fingerprint import CHECKOUT, PACKAGES


def swap(first: Path, second: Path) -> None:
    """Gives two files each other's names."""
    first.rename(first.with_suffix(".tmp"))
    second.rename(first)
    first.with_suffix(".tmp").rename(second)


@pytest.mark.parametrize("status", ["failed", "bad_input", "interrupted", "running", "waiting"])
def test_a_run_without_an_answer_leaves_none(place, status):
    place.complete(3, status=status)
    assert place.answer() is None
    assert not place.root.unchanged.exists()


CHANGES: dict[str, Callable[[Place], object]] = {
    "a mask, with its size and time": lambda p: other_bytes(p.mask()),
    "two masks are swapped": lambda p: swap(*sorted((p.data / "masks").iterdir())[:2]),
    "a mask is gone": lambda p: p.mask().unlink(),
    "an image is new": lambda p: shutil.copy(min((p.data / "images").iterdir()), p.data / "images" / "z.png"),
    "a manifest is new": lambda p: (p.data / "manifest.csv").write_text("image,mask\n"),
    "the data are gone": lambda p: p.data.rename(p.data.with_name("elsewhere")),
    "an image in service": lambda p: other_bytes(p.data.parent / "service" / "new.png"),
    "the images in service are gone": lambda p: shutil.rmtree(p.data.parent / "service"),
    "an output lost bytes": lambda p: os.truncate(p.output("examples"), 3),
    "an output, with its size and time": lambda p: other_bytes(p.output("model")),
    "an output is gone": lambda p: shutil.rmtree(p.output("model_run").parent),
    "an output grew": lambda p: (p.output("model_run").parent / "more").touch(),
    "the version in service is gone": lambda p: shutil.rmtree(p.version(2)),
    "the version in service is damaged": lambda p: other_bytes(p.version(2) / "saved_model.pb"),
    "a rollback": lambda p: rollback(p.root.path, version_of(1)),
    "a version of another root": lambda p: shutil.copytree(p.version(2), p.version(800)),
    "all that was served is gone": lambda p: shutil.rmtree(p.root.serving),
    "a run since then": lambda p: p.recorded.add("20261201-000000Z", status="failed"),
    "the splits": lambda p: p.root.splits.write_text('{"a": "eval"}'),
    "another run keeps the root": lambda p: lease.renew(p.root, "another", "train", 5),
    "the store is gone": lambda p: p.root.metadata.unlink(),
    "the report is gone": lambda p: max(p.root.run("").glob("*/report.html")).unlink(),
    "the record is damaged": lambda p: max(p.root.run("").glob("*/run.json")).write_text("{"),
    "the summary is damaged": lambda p: max(p.root.run("").glob("*/summary.json")).write_text("[]"),
    "the run is gone": lambda p: shutil.rmtree(max(p.root.run("").iterdir())),
    "the answer is damaged": lambda p: os.truncate(p.root.unchanged, 100),
    "the answer is of no run": lambda p: p.root.unchanged.write_text(json.dumps({"run": "x"})),
    "the answer is no text": lambda p: p.root.unchanged.write_bytes(b"\xff\x00"),
    "another run begins": lambda p: unchanged.forget(p.root),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_leads_to_a_run(place, change):
    assert place.answer()
    CHANGES[change](place)
    assert place.answer() is None
    assert answer_unchanged(place.config, place.root) is None


@pytest.mark.parametrize(
    "change", ["a mask, with its size and time", "two masks are swapped", "a mask is gone"]
)
def test_a_file_that_a_manifest_names_leads_to_a_run(place, change):
    rows = [f"images/{path.name},masks/{path.name}" for path in sorted((place.data / "images").iterdir())]
    (place.data / "chosen.csv").write_text("\n".join(["image,mask", *rows]))
    place.config = place.config.model_copy(update={"data": place.data / "chosen.csv"})
    place.complete(3)
    assert place.answer()
    CHANGES[change](place)
    assert place.answer() is None


@pytest.mark.parametrize(
    "settings",
    [{"steps": 31}, {"max_drop": 0.5}, {"keep_runs": 7}, {"serving_data": None},
     {"classes": {"cell": 255, "background": 0}, "background": "none"}],
)  # fmt: skip
def test_another_setting_leads_to_a_run(place, settings):
    assert place.answer(steps=30)
    assert place.answer(**settings) is None


def test_the_order_of_the_classes_counts(place):
    classes = {"background": 0, "cell": 255}
    place.config = PipelineConfig(data=place.data, classes=classes, background="none")
    place.complete(3)
    assert place.answer()
    assert place.answer(classes=dict(reversed(classes.items()))) is None


def test_other_options_lead_to_a_run(place):
    assert answer_unchanged(place.config, place.root, skip_bad=True) is None
    assert unchanged.answer(place.config, place.root, {**OPTIONS, "rebaseline": True}) is None


@pytest.mark.parametrize(
    "name", ["TF_ENABLE_ONEDNN_OPTS", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PYTHONPATH"]
)
def test_a_variable_by_which_libraries_compute_otherwise_leads_to_a_run(place, monkeypatch, name):
    monkeypatch.setenv("LINES", "77")
    assert place.answer()
    monkeypatch.setenv(name, "7")
    assert place.answer() is None


def test_another_library_leads_to_a_run(place, monkeypatch, tmp_path):
    installed = tmp_path / "site" / "some-1.0.dist-info"
    installed.mkdir(parents=True)
    monkeypatch.syspath_prepend(installed.parent)
    place.complete(3)
    assert place.answer()
    updated = installed.rename(installed.with_name("some-1.1.dist-info"))
    assert place.answer() is None
    place.complete(4)
    (updated / "RECORD").write_text("the same version, installed again")
    assert place.answer() is None


def test_what_a_library_brings_along_is_part_of_that_library(place, monkeypatch, tmp_path):
    brought = tmp_path / "site-packages" / "some" / "_vendor" / "other-1.0.dist-info"
    brought.mkdir(parents=True)
    monkeypatch.syspath_prepend(brought.parent)  # as setuptools does when it is imported
    assert place.answer()


def test_another_run_at_work_is_told_of_by_a_run(place):
    with exclusive(place.root.lock):
        assert place.answer() is None
    assert place.answer()


def test_other_code_leads_to_a_run(place, tmp_path):
    copy = tmp_path / "checkout"
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    told = (
        "from pipeline.reuse.unchanged import given; from pipeline.config.settings import PipelineConfig; "
        "from pipeline.root import Root; from pathlib import Path; "
        f"print(given(PipelineConfig(data=Path({str(place.data)!r})), Root(Path('/r')), {{}}))"
    )

    def parts() -> str:
        return subprocess.run(
            [sys.executable, "-B", "-c", told], cwd=copy, check=True, capture_output=True, text=True
        ).stdout

    before = parts()
    assert parts() == before
    other_bytes(copy / "unet" / "training" / "losses.py")
    assert parts() != before


def test_nothing_is_remembered_where_something_changes_while_the_run_is_at_work(place):
    place.complete(3, while_it_runs=lambda: other_bytes(place.mask()))
    assert not place.root.unchanged.exists()
    place.complete(4)
    assert place.answer()


def test_nothing_is_remembered_of_a_damaged_output(place):
    def damage() -> None:
        path = place.output("model_run")
        [artifact] = [a for a in place.recorded.store.get_artifacts() if a.uri == str(path.parent)]
        artifact.custom_properties[MANIFEST].string_value = write_manifest(path.parent)
        place.recorded.store.put_artifacts([artifact])
        path.write_text("less")

    place.complete(3, while_it_runs=damage)
    assert not place.root.unchanged.exists()


def test_a_new_span_leads_to_a_run(place, tmp_path):
    for span in (1, 2):
        shutil.copytree(place.data, tmp_path / "spans" / f"span-{span}")
    place.config = PipelineConfig(data=tmp_path / "spans" / "span-{SPAN}", span_window=2)
    place.complete(3)
    assert place.answer()
    (tmp_path / "spans" / "notes.txt").write_text("what else lies beside the spans is no part of them")
    assert place.answer()
    other_bytes(next((tmp_path / "spans" / "span-1" / "images").iterdir()))
    assert place.answer() is None
    place.complete(4)
    assert place.answer()
    shutil.copytree(place.data, tmp_path / "spans" / "span-3")
    assert place.answer() is None


def test_links_in_circles_end_and_a_root_within_the_data_is_a_change_of_the_data(place, tmp_path):
    (place.data / "images" / "circle").symlink_to(place.data)
    place.complete(3)
    assert place.answer()
    place.config = PipelineConfig(data=tmp_path)
    place.complete(4)
    assert place.answer() is None
