from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unet.bounds import assert_bound
from unet.settings import Network, Section, Seed


class Both(Network, Seed):
    name: str


@pytest.mark.parametrize(
    ("section", "setting", "allowed", "refused"),
    [
        (Seed, "seed", 0, -1),
        (Seed, "seed", 2**31 - 1, 2**31),
        (Network, "base_filters", 1, 0),
        (Network, "depth", 1, 0),
        (Network, "depth", 6, 7),
        (Network, "dropout", 0.0, -0.01),
        (Network, "dropout", 0.99, 1.0),
        (Network, "dropout", 0.5, float("nan")),
        (Network, "decoder", "published", "other"),
        (Network, "stem_stride", 2, 3),
        (Network, "normalization_layer", "batch", "layer"),
    ],
)
def test_bounds(section: type[Section], setting: str, allowed: Any, refused: Any) -> None:
    assert_bound(section, setting, allowed, refused)


def test_a_section_is_a_part_of_others() -> None:
    both = Both(seed=3, depth=2, name="x")
    assert Network.of(both) == Network(depth=2)
    assert Seed.of(both, seed=4) == Seed(seed=4)  # stands in place of what is there
    assert Both.of(Seed(seed=5), name="y", depth=1) == Both(seed=5, name="y", depth=1)


def test_settings_do_not_change_and_have_no_others() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Seed().seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Seed(speed=1)  # type: ignore[call-arg]
