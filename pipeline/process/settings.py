"""The settings of the process that a run is."""

from __future__ import annotations

from pydantic import Field, field_validator

from unet.settings import Section


class Limits(Section):
    """Process: what is asked of the machine, and how long nothing may happen."""

    check_resources: bool = Field(
        True,
        description="Stop before the start if memory or disk seem too small; false: only say so.",
    )
    lease_minutes: float = Field(
        360.0,
        ge=0.01,
        le=525600,
        description="Minutes for which a run that is made in parts keeps the root after each of them: no "
        "other run begins until its next part comes.",
    )
    stall_minutes: float = Field(
        60.0,
        ge=0,
        le=525600,
        description="Minutes without a step, a line in the log or a growing file after which a run is "
        "stopped; 0: never.",
    )

    @field_validator("stall_minutes")
    @classmethod
    def _a_step_has_its_time(cls, value: float) -> float:
        if 0 < value < 0.1:  # any run would be stopped while it loads its libraries
            raise ValueError("must be 0, which never stops a run, or at least 0.1")
        return value
