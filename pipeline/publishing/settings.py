"""The settings of what a run hands on to other places."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, field_validator

from pipeline.publishing.places import is_address, refusal
from unet.settings import Section


class Publishing(Section):
    """Publishing: what else learns of a run."""

    prometheus_file: Path | None = Field(
        None,
        description="File that gets the figures of each run at its end, for the textfile collector of "
        "Prometheus's node_exporter; its name ends with `.prom`.",
    )

    push_to: str = Field(
        "",
        description="Second serving folder that gets each version and each rollback: a path, such as of a "
        "mount, or an address of fsspec such as `s3://bucket/unet`; empty: none.",
    )

    @field_validator("push_to")
    @classmethod
    def _can_be_reached(cls, value: str) -> str:
        if is_address(value):
            if why := refusal(value):
                raise ValueError(why)
            return value
        # A rollback may begin in another folder.
        return os.path.abspath(os.path.expanduser(value)) if value else ""

    @field_validator("prometheus_file")
    @classmethod
    def _is_collected(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix != ".prom":
            raise ValueError("node_exporter reads files *.prom alone")
        return Path(os.path.expanduser(value)) if value else None
