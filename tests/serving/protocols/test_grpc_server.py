"""The gRPC server; its calls by standard clients: tests/serving/clients."""

from __future__ import annotations

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.hostile.frames import unread
from tests.serving.hostile.messages import INFER, STATUS, called, field, image, infer, tensor
from tests.serving.limits import MEBIBYTE, gauge
from tests.serving.running import Server, wait_for

pytestmark = pytest.mark.server


def test_answers_that_nobody_reads_end_with_their_connection(strict: Server):
    asked = called(field(1, field(1, b"x")), STATUS)
    with unread(strict, calls=32):
        assert wait_for(lambda: [reply.status for reply in asked(strict)] == ["RESOURCE_EXHAUSTED"], strict)
        assert wait_for(lambda: [reply.status for reply in asked(strict)] == ["NOT_FOUND"], strict)
    assert "Traceback" not in strict.log()


def test_answers_that_nobody_reads_count_as_memory_in_use(server: Server):
    name = field(1, b"signature_name") + field(2, field(3, b"probabilities"))
    content = encoded(noise(500, 500), "JPEG", quality=1)
    with unread(server, 2, INFER, infer(tensor(), field(4, name), image(content))):
        wait_for(lambda: gauge(server, "serving_request_body_bytes") > 2 * MEBIBYTE, server)
        assert gauge(server, "serving_predictions_running") == 0
    wait_for(lambda: gauge(server, "serving_request_body_bytes") == 0, server)
