"""A root that a run keeps between its parts is kept from every other run, until the lease expires."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pipeline.history import lease
from pipeline.history.lease import Lease, Leased
from pipeline.history.record import Unreadable
from pipeline.root import Root
from unet.errors import BadInput


def test_no_other_run_begins_while_the_lease_is_valid(tmp_path: Path):
    root = Root(tmp_path)
    lease.require_free(root)
    lease.renew(root, "a", "train", minutes=60)
    lease.require_free(root, "a")
    for other in ("", "b"):
        with pytest.raises(Leased) as found:
            lease.require_free(root, other)
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + 3600))
        assert "run a is made in parts" in str(found.value)
        assert "train" in str(found.value)
        assert until[:13] in str(found.value)
    lease.end(root)
    lease.require_free(root, "b")
    lease.end(root)  # again, as a repeated part does


def test_a_lease_expires(tmp_path: Path):
    root = Root(tmp_path)
    lease.renew(root, "a", "train", minutes=-0.01)
    lease.require_free(root)
    assert lease.read(root)


@pytest.mark.parametrize(("now", "valid"), [(99.9, True), (100.0, False), (0.0, True)])
def test_a_lease_is_valid_until_its_end_also_for_a_clock_that_went_back(now: float, valid: bool):
    assert Lease("a", "train", 100.0, duration=1).is_valid(now) == valid


@pytest.mark.parametrize("ahead", [3601, 10**6, 1e300])
def test_a_lease_of_a_clock_that_was_far_ahead_is_not_believed(
    ahead: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root = Root(tmp_path)
    values = {"run": "a", "stage": "train", "duration": 60}
    root.lease.write_text(json.dumps({**values, "expires": time.time() + 3000}))
    with pytest.raises(Leased):
        lease.require_free(root)
    root.lease.write_text(json.dumps({**values, "expires": time.time() + 3600 + ahead}))
    lease.require_free(root)
    assert "a clock was ahead when this was written" in capsys.readouterr().err


def test_a_lease_without_its_duration_is_believed_as_it_was(tmp_path: Path):
    root = Root(tmp_path)
    root.lease.write_text(json.dumps({"run": "a", "stage": "train", "expires": time.time() + 10**6}))
    with pytest.raises(Leased):
        lease.require_free(root)


@pytest.mark.parametrize(
    "content",
    [
        *("{torn", "[]", "{}"),
        *(json.dumps({"run": "a", "stage": "b", "expires": value}) for value in ("c", float("inf"), 10**400)),
    ],
)
def test_a_damaged_lease_is_not_taken_for_none(content: str, tmp_path: Path):
    root = Root(tmp_path)
    root.lease.write_text(content)
    with pytest.raises(Unreadable):
        lease.read(root)
    with pytest.raises(BadInput, match="delete it if no run is being made in parts"):
        lease.require_free(root)
