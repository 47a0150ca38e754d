"""Bounds of settings, for the tests of every section."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from unet.settings import Section


def assert_bound(section: type[Section], setting: str, allowed: Any, refused: Any) -> None:
    """A value at the bound is taken as it is; one just beyond is refused, by the name of the setting."""
    assert getattr(section(**{setting: allowed}), setting) == allowed
    with pytest.raises(ValidationError) as caught:
        section(**{setting: refused})
    assert [error["loc"][0] for error in caught.value.errors()] == [setting]
