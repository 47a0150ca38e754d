"""The settings of the server with their defaults; imports nothing slow."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from serving.tls import tls_mistakes

MEBIBYTE = 2**20
# Images in, pictures out. What else an exported model has is for the pipeline, and for callers with arrays.
SIGNATURES = ("serving_default", "colored", "probabilities")


@dataclass(frozen=True)
class Settings:
    """The settings of a server for one model."""

    model_dir: Path = Path("runs/serving/unet")
    model_name: str = ""
    host: str = "127.0.0.1"
    host_names: str = ""
    http_port: int = 8501
    grpc_port: int = 8500
    metrics_port: int = 0
    tls_certificate: str = ""
    tls_key: str = ""
    signatures: tuple[str, ...] = SIGNATURES
    poll_seconds: float = 1.0
    concurrent: int = 4
    queue: int = 64
    max_body_mib: int = 64
    max_megapixels: int = 64
    request_seconds: float = 120.0
    receive_seconds: float = 60.0
    drain_seconds: float = 0.0
    grace_seconds: float = 30.0
    threads: int = 0
    access_log: bool = False

    @property
    def name(self) -> str:
        """The name of the model in URLs."""
        return self.model_name or self.model_dir.resolve().name

    @property
    def known_hosts(self) -> frozenset[str]:
        """The names in the Host header that are answered; empty for all.

        A page of another site can make its own name mean this machine (DNS rebinding), and then read masks
        and metrics from a browser here. A server for other machines cannot know its names.
        """
        local = self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")
        if not local:
            return frozenset()
        own = f"[{self.host}]" if ":" in self.host else self.host
        more = (name.strip().lower() for name in self.host_names.split(","))
        return frozenset({"localhost", "127.0.0.1", "[::1]", own, *filter(None, more)})

    @property
    def max_body(self) -> int:
        """The limit for the body of a request, in bytes."""
        return self.max_body_mib * MEBIBYTE

    @property
    def max_pixels(self) -> int:
        """The limit for the declared pixels of a request."""
        return self.max_megapixels * 10**6

    @property
    def max_bodies(self) -> int:
        """The limit for all bodies of one client, in bytes: eight of the largest."""
        return 8 * self.max_body


HELP = {
    "model_dir": "folder of numbered versions, each a SavedModel; the newest is served",
    "model_name": "name of the model in addresses (default: that of the folder)",
    "host": "address to listen on; 0.0.0.0 answers other machines, too, and asks nobody for a password",
    "host_names": "further names, with commas between, under which clients of a proxy on this machine ask; "
    "other names are refused where the address is of this machine alone",
    "http_port": "REST, the page, health and metrics; 0 takes a free one",
    "grpc_port": "TensorFlow Serving's services and the Open Inference Protocol by gRPC; 0 takes a free one",
    "metrics_port": "health and metrics, without TLS, on a port of their own; the public one then tells no "
    "metrics (0: no such port)",
    "tls_certificate": "PEM file of a certificate, with those between it and its root behind it; HTTP and "
    "gRPC then speak TLS alone",
    "tls_key": "PEM file of its private key, without a password",
    "signatures": "signatures of the model that clients may call, and are told of",
    "poll_seconds": "how often the folder is looked at for a new version",
    "concurrent": "predictions in progress at once, one of them a small one; their tiles take turns",
    "queue": "predictions that may wait; one more is refused with 503",
    "max_body_mib": "largest request in MiB; those of one client may hold eight times as much",
    "max_megapixels": "most pixels that the images of one request may claim to have, in millions",
    "request_seconds": "a prediction that has waited and run for longer is cancelled",
    "receive_seconds": "a client that has not sent its request, or read its answer, by then is cut off",
    "drain_seconds": "how long a server that is stopped says that it is not ready, and answers all the same, "
    "so that a load balancer sends no more",
    "grace_seconds": "what a stop waits for requests that are running",
    "threads": "threads of TensorFlow for one operation (0: as many as there are cores)",
    "access_log": "log every request",
}


# The largest values that make sense, besides which none is infinite or no number.
MOST = {
    "http_port": 65535, "grpc_port": 65535, "metrics_port": 65535, "poll_seconds": 86400,
    "concurrent": 1024, "queue": 10**6, "max_body_mib": 2**20, "max_megapixels": 10**6,
    "request_seconds": 86400, "receive_seconds": 86400,
    "drain_seconds": 86400, "grace_seconds": 86400, "threads": 4096,
}  # fmt: skip
PORTS = ("http_port", "grpc_port", "metrics_port")
MAY_BE_ZERO = {*PORTS, "queue", "drain_seconds", "grace_seconds", "threads"}


def _mistakes(settings: Settings) -> Iterator[str]:
    """A sentence for each setting that makes no sense."""
    for name, most in MOST.items():
        value, flag = getattr(settings, name), _flag(name)
        if not math.isfinite(value):
            yield f"{flag} must be a finite number, not {value}"
        elif value < 0 and name in MAY_BE_ZERO:
            yield f"{flag} must not be negative, as {value} is"
        elif value <= 0 and name not in MAY_BE_ZERO:
            yield f"{flag} must be above 0, not {value}"
        elif value > most:
            yield f"{flag} must be at most {most}, not {value}"
    for one, other in itertools.combinations(PORTS, 2):
        if (port := getattr(settings, one)) and port == getattr(settings, other):
            yield f"{_flag(one)} and {_flag(other)} are both {port}"
    if settings.tls_certificate or settings.tls_key:
        yield from tls_mistakes(settings.tls_certificate, settings.tls_key)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Parses the command line; exits with 2 and a sentence if the settings are invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serves the newest version of a SavedModel by REST and gRPC.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for field in fields(Settings):
        flag, default = _flag(field.name), field.default
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true", help=HELP[field.name])
        elif isinstance(default, tuple):
            shown = f"{HELP[field.name]} (default: {' '.join(default)})"
            parser.add_argument(flag, nargs="+", metavar="NAME", default=argparse.SUPPRESS, help=shown)
        else:
            shown = HELP[field.name] + (" " if default == "" else "")
            parser.add_argument(flag, type=type(default), default=default, help=shown)
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    if "signatures" in given:
        given["signatures"] = tuple(given["signatures"])
    settings = Settings(**given)
    if wrong := list(_mistakes(settings)):
        parser.error("; ".join(wrong))
    if not settings.model_dir.is_dir():
        parser.error(
            f"there is no folder {settings.model_dir}: train a model first (make run), "
            "or name a folder of versions with --model-dir"
        )
    return settings
