"""Every client with its calls."""

from __future__ import annotations

from tests.serving.clients import kserve_calls, tf_serving_calls, triton_calls
from tests.serving.clients.call import Client

CLIENTS: list[Client] = [
    tf_serving_calls.GRPC,
    tf_serving_calls.CURL,
    triton_calls.HTTP,
    triton_calls.GRPC,
    kserve_calls.REST,
    kserve_calls.GRPC,
    tf_serving_calls.OWN,
]
