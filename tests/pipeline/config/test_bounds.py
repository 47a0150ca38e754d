"""Every number of every setting has finite bounds: what lies beyond is refused, with the name of the setting.

A new setting of numbers fails here until it has bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.config import profile
from pipeline.config.settings import PipelineConfig

# Values of the settings whose default holds no number.
SAMPLES: dict[str, Any] = {
    "minutes": 5.0,
    "fold": 0,
    "channels": 3,
    "use_channels": [1],
    "ignore": 7,
    "value_range": [0.0, 1.0],
    "domains": {"mean": [0.0, 1.0]},
    "class_weights": {"foreground": 1.0},
    "metadata": {"backend": "mysql", "host": "db", "port": 3307, "database": "mlmd", "user": "ada"},
    "tune_over": {"base_filters": [8, 16], "dropout": [0.0, 0.5]},
}
ABSURD = (math.nan, math.inf, -math.inf, 1e300, -1e300, 10**400, -(10**400), True)


SCHEMA = PipelineConfig.model_json_schema()


def holds_numbers(node: Any) -> bool:
    """Whether a part of a JSON schema describes a number, at any depth."""
    if isinstance(node, list):
        return any(map(holds_numbers, node))
    if not isinstance(node, dict):
        return False
    if "$ref" in node:
        return holds_numbers(SCHEMA["$defs"][node["$ref"].rpartition("/")[2]])
    return node.get("type") in ("integer", "number") or any(map(holds_numbers, node.values()))


NUMERIC = [name for name, node in SCHEMA["properties"].items() if holds_numbers(node)]


def with_one_changed(value: Any, other: Any) -> Iterator[Any]:
    """Yields the value once for each of its numbers, with another one in its place."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from ({**value, key: changed} for changed in with_one_changed(part, other))
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from ([*value[:i], changed, *value[i + 1 :]] for changed in with_one_changed(part, other))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield other


def test_the_settings_that_hold_numbers_are_found():
    assert len(NUMERIC) > 50
    assert {"steps", "seed", "shares", "thresholds", "tune_range", *SAMPLES} <= set(NUMERIC)
    assert not {"quarter_turns", "optimizer", "data", "slices", "pairs"} & set(NUMERIC)


@pytest.mark.parametrize("name", NUMERIC)
def test_no_number_is_without_bounds(name: str):
    value = SAMPLES.get(name, PipelineConfig.model_fields[name].get_default(call_default_factory=True))
    profile.load("default", {name: value})
    for absurd in ABSURD:
        changed = list(with_one_changed(value, absurd))
        assert changed, f"give a value of {name} in SAMPLES"
        for one in changed:
            with pytest.raises(profile.ConfigError) as error:
                profile.load("default", {name: one})
            lines = str(error.value).splitlines()[1:]
            assert len(lines) == 1, lines
            assert any(line.startswith(f"  {name}") for line in lines), lines


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=4294967296"], "seed: must be at most 2147483647; received 4294967296"),
        (["learning_rate=0"], "learning_rate: must be at least 1e-09; received 0"),
        (["learning_rate=0.5"], 'learning_rate = 0.5 is above 0.1, with which optimizer = "adam"'),
        (["tune_range=[0.01, 0.5]"], "tune_range = [0.01, 0.5] ends above 0.1"),
        (["tune=never", "tune_range=[0.01, 0.5]"], ""),
        (["learning_rate=0.5", "optimizer=sgd"], ""),
        (["clip=1e-9"], "clip: must be 0, which clips nothing, or at least 0.001; received 1e-09"),
        (["stall_minutes=0.01"], "stall_minutes: must be 0, which never stops a run, or at least 0.1"),
        (["class_weights={background=0, foreground=0}"], "all are 0, so nothing is learned"),
        (["class_weights={background=0}"], "only 'foreground' weighs anything"),
        (["class_weights={background=0}", "border_weight=10"], ""),
        (["class_weights={background=0}", "loss=cross_entropy+dice"], ""),
        (["class_weights={foreground=1e-30}"], "0, or from 1e-06 to 10000"),
        (["loss={dice=1e30}"], "loss = {'dice': 1e+30}: each weight must be 0, or from 1e-06 to 10000"),
        (["shares={train=1, eval=1, test=1e-9}"], "shares: test gets 5e-10 of the images, which is none"),
        (["base_filters=1024", "depth=4"], "base_filters = 1024 and depth = 4 make 16384 channels"),
        (["tune_over={base_filters=[8, 1024]}"], "tune_over: base_filters = 1024 and depth = 4"),
        (["patch_size=0"], "patch_size: must be at least 16; received 0"),
        (["steps=true"], "steps: must be a number, not true or false; received True"),
        (["steps=" + "9" * 5000], "steps: "),
    ],
)
def test_what_is_legal_and_absurd_is_refused(words: list[str], said: str):
    if not said:
        profile.load("default", profile.parse_overrides(words))
        return
    with pytest.raises(profile.ConfigError) as error:
        profile.load("default", profile.parse_overrides(words))
    [_, line] = str(error.value).splitlines()
    assert said in line
    assert len(line) < 300


def test_all_mistakes_are_told_at_once_and_no_consequence_of_one(capsys: pytest.CaptureFixture[str]):
    words = ["depth=99", "patch_size=572", "seed=-1", "thresholds={}", "loss={dice=0}", "flip=horizontal"]
    code = main(["run", *(word for setting in words for word in ("--set", setting))])
    lines = capsys.readouterr().err.splitlines()[1:]
    assert code == 2
    starts = sorted(line.split()[0] for line in lines)
    # 572 is no size for the default depth, of which nobody spoke.
    assert starts == ["depth:", "flip", "loss", "seed:", "thresholds"]
