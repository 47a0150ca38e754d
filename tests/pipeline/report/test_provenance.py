"""Where the time went, what was configured, and what came from what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.history.executions import Push
from pipeline.report.artifacts import RunArtifacts
from pipeline.report.provenance import configuration
from tests.pipeline.report.conftest import Made
from tests.pipeline.report.pages import page


def test_a_run_of_which_only_the_folder_is_left(make: Callable[..., Made]):
    made = make()
    made.run.nodes, made.run.record.config = [], {}
    made.run.problems.append("metadata.sqlite: no database")
    text = page(made).text
    assert "No component was started." in text["components"]
    assert "not known" in text["configuration"]


def test_a_component_that_was_stopped_has_not_failed(make: Callable[..., Made]):
    made = make(status="interrupted", reason="stopped by a signal in Trainer")
    made.run.nodes[-1].state = "stopped"
    text = page(made).text
    assert "stopped before its end" in text["components"]
    assert "failed" not in text["components"]
    assert "Interrupted" in text[""]


@pytest.mark.parametrize(
    ("changed", "listed"),
    [({"steps": 60}, ["steps"]), ({}, [])],
)
def test_settings_that_were_changed_are_those_a_person_set(make: Callable[..., Made], changed, listed):
    made = make()
    made.run.record.changed = changed
    shown = configuration(RunArtifacts(made.root, made.run))["changed"]
    assert {row["name"] for row in shown} == {*listed}
    assert ("Every setting has its default." in page(made).text["configuration"]) == (not listed)


def test_a_promotion_is_told(make: Callable[..., Made]):
    made = make(status="not_blessed", reason="foreground_iou is 0.4, the threshold is 0.5")
    made.run.pushes.append(
        Push("/models/unet/1795557999", made.run.id, reason="a <demo>", who="ann", when="today")
    )
    text = page(made).text
    assert "Not blessed" in text[""]
    assert "Version 1795557999 was promoted by ann, today: a <demo>." in text[""]
    assert "1795557999" in text["lineage"]
