"""The gRPC server; its calls by standard clients: tests/serving/clients."""

from __future__ import annotations

import pytest

from tests.serving.hostile.frames import unread
from tests.serving.hostile.messages import STATUS, called, field
from tests.serving.running import Server, wait_for

pytestmark = pytest.mark.server


def test_answers_that_nobody_reads_end_with_their_connection(strict: Server):
    asked = called(field(1, field(1, b"x")), STATUS)
    with unread(strict, calls=32):
        assert wait_for(lambda: [reply.status for reply in asked(strict)] == ["RESOURCE_EXHAUSTED"], strict)
        assert wait_for(lambda: [reply.status for reply in asked(strict)] == ["NOT_FOUND"], strict)
    assert "Traceback" not in strict.log()
