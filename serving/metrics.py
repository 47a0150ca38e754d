"""The metrics of /metrics, in addition to memory and time of the process."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("serving_requests", "Requests answered, by protocol and status", ["protocol", "status"])
LATENCY = Histogram(
    "serving_request_seconds",
    "Seconds from the whole request to its answer, of predictions that succeeded",
    ["protocol"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
RUNNING = Gauge("serving_predictions_running", "Predictions that are being computed")
WAITING = Gauge("serving_predictions_waiting", "Predictions that wait for their turn")
BODIES = Gauge("serving_request_body_bytes", "Bytes of all request bodies that are held")
MODEL_VERSION = Gauge("serving_model_version", "Version of the model that is served")
LOADS = Counter("serving_version_loads", "Versions that were loaded, or could not be", ["result"])
