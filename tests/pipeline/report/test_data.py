"""The images of the run, and those of the last blessed model."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from pipeline.history.executions import Node
from tests.pipeline.report.conftest import Made
from tests.pipeline.report.pages import page


def test_drift_is_shown_beside_the_images_of_the_last_blessed_model(make: Callable[..., Made]):
    made, before = make(), make("20261124-020000")
    statistics = before.run.artifact("StatisticsGen", "statistics")
    assert statistics
    made.run.nodes.append(Node("BlessedStatistics", "done", outputs={"baseline": [statistics]}))
    validator = made.run.artifact("DistributionValidator", "report")
    assert validator
    validator.properties["warnings"] = "mean drifted: 7 before, 21 now"
    text = page(made).text["data"]
    assert "train, last blessed" in text
    assert "mean drifted: 7 before, 21 now" in text
    shutil.rmtree(before.folder("StatisticsGen", "statistics"))
    assert "images of the last blessed model cannot be shown" in page(made).text["data"]
