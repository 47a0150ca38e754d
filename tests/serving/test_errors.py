"""What a refused request is told."""

from __future__ import annotations

import pytest

from serving.errors import MOST_CHARACTERS, Refused, require_model


def test_another_model_is_not_found():
    require_model("unet", "unet")
    with pytest.raises(Refused, match="there is no model 'x', only 'unet'") as refused:
        require_model("x", "unet")
    assert refused.value.status == 404


def test_what_a_client_sent_makes_no_message_without_end():
    assert Refused(400, "x" * MOST_CHARACTERS).message == "x" * MOST_CHARACTERS
    assert Refused(400, "x" * 10**6).message == "x" * MOST_CHARACTERS + " ..."
