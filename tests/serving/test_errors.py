"""What a refused request is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from serving.errors import MOST_CHARACTERS, MOST_QUOTED, Refused, quoted, require_model, without_paths


def test_another_model_is_not_found():
    require_model("unet", "unet")
    with pytest.raises(Refused, match="there is no model 'x', only 'unet'") as refused:
        require_model("x", "unet")
    assert refused.value.status == 404


def test_what_a_client_sent_makes_no_message_without_end():
    assert Refused(400, "x" * MOST_CHARACTERS).message == "x" * MOST_CHARACTERS
    assert Refused(400, "x" * 10**6).message == "x" * MOST_CHARACTERS + " ..."


def test_a_name_that_a_client_sent_is_cut_before_it_is_quoted():
    assert quoted("it's") == '"it\'s"'
    assert quoted("\0" * MOST_QUOTED) == repr("\0" * MOST_QUOTED)
    assert quoted("\0" * 10**6) == repr("\0" * MOST_QUOTED + " ...")
    begin = time.process_time()
    with pytest.raises(Refused, match="there is no model"):
        require_model("\0" * (60 << 20), "unet")
    assert time.process_time() - begin < 0.2  # Python quotes all of it in a second


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (
            "Cannot parse file b'/models/unet/7/saved_model.pb': bad",
            "Cannot parse file '7/saved_model.pb': bad",
        ),
        ("no files for /models/unet/7/variables/variables", "no files for 7/variables/variables"),
        ("[Errno 13] Permission denied: '/etc/secret/key.pem'", "[Errno 13] Permission denied: 'key.pem'"),
        ("must be 3/4 of it, or and/or", "must be 3/4 of it, or and/or"),
    ],
)
def test_strangers_are_told_no_folders(reason: str, told: str):
    assert without_paths(reason, Path("/models/unet")) == told
