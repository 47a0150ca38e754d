"""The page of the metrics names those that there are."""

import re

from tests.docs.blocks import DOCS
from unet.evaluation.slices import BUILT_IN
from unet.metrics.names import LOWER_IS_BETTER, gate_names

PAGE = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`[^|]+`) \|", PAGE, re.M)
NAMES = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row)}


def test_each_metric_is_on_the_page():
    every = {name for name in gate_names(["first", "NAME"], True) if not name.endswith("_first")}
    assert {name for name in NAMES if "=" not in name} == every


def test_those_of_which_less_is_better_say_so():
    low = re.findall(r"^\| `(\w+)` \|.*\| \*\*low\*\* \|", PAGE, re.M)
    assert {*low} == LOWER_IS_BETTER


def test_each_slice_is_on_the_page():
    every = {f"{kind}={value}" for kind, values in BUILT_IN.items() for value in values}
    assert {name for name in NAMES if "=" in name} == every | {"COLUMN=VALUE"}
