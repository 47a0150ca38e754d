"""The settings of the server with their defaults; imports nothing slow."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

MEBIBYTE = 2**20
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Settings:
    """The settings of a server for one model."""

    model_dir: Path = Path("runs/serving/unet")
    model_name: str = ""
    host: str = "127.0.0.1"
    http_port: int = 8501
    grpc_port: int = 8081
    poll_seconds: float = 1.0
    concurrent: int = max(2, min(4, CORES))
    queue: int = 64
    max_body_mib: int = 64
    max_megapixels: int = 64
    request_seconds: float = 120.0
    receive_seconds: float = 60.0
    grace_seconds: float = 30.0
    threads: int = 0
    access_log: bool = False

    @property
    def name(self) -> str:
        """The name of the model in URLs."""
        return self.model_name or self.model_dir.resolve().name

    @property
    def max_body(self) -> int:
        """The limit for the body of a request, in bytes."""
        return self.max_body_mib * MEBIBYTE

    @property
    def max_bodies(self) -> int:
        """The limit for all bodies together, in bytes: eight of the largest, so eight clients always fit."""
        return 8 * self.max_body


HELP = {
    "model_dir": "folder of numbered versions, each a SavedModel; the newest is served",
    "model_name": "name of the model in addresses (default: that of the folder)",
    "host": "address to listen on; 0.0.0.0 answers other machines, too, and asks nobody for a password",
    "http_port": "REST, the page, health and metrics; 0 takes a free one",
    "grpc_port": "Open Inference Protocol by gRPC; 0 takes a free one",
    "poll_seconds": "how often the folder is looked at for a new version",
    "concurrent": "predictions that run at once; each holds the memory of one",
    "queue": "predictions that may wait; one more is refused with 503",
    "max_body_mib": "largest request in MiB; all together may hold eight times as much",
    "max_megapixels": "most pixels that the images of one request may claim to have, in millions",
    "request_seconds": "a prediction that has waited and run for longer is cancelled",
    "receive_seconds": "a client that has not sent its request, or read its answer, by then is cut off",
    "grace_seconds": "what a stop waits for requests that are running",
    "threads": "threads of TensorFlow for one operation (0: as many as there are cores)",
    "access_log": "log every request",
}


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Parses the command line; exits with 2 and a sentence if the settings are invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serves the newest version of a SavedModel by REST and gRPC.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for field in fields(Settings):
        flag, default = f"--{field.name.replace('_', '-')}", field.default
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true", help=HELP[field.name])
        else:
            shown = HELP[field.name] + (" " if default == "" else "")
            parser.add_argument(flag, type=type(default), default=default, help=shown)
    settings = Settings(**vars(parser.parse_args(arguments)))
    for name in ("poll_seconds", "concurrent", "max_body_mib", "max_megapixels", "request_seconds",
                 "receive_seconds"):  # fmt: skip
        if getattr(settings, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    for name in ("queue", "grace_seconds", "threads"):
        if getattr(settings, name) < 0:
            parser.error(f"--{name} must not be negative")
    if not settings.model_dir.is_dir():
        parser.error(
            f"there is no folder {settings.model_dir}: train a model first (make run), "
            "or name a folder of versions with --model-dir"
        )
    return settings
