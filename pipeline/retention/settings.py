"""The settings of retention."""

from __future__ import annotations

from pydantic import Field

from unet.settings import Section


class Retention(Section):
    """Retention: how much of earlier runs stays under the root; what later runs need stays in any case."""

    keep_runs: int = Field(
        30,
        ge=1,
        le=10**6,
        description="Newest runs that stay with all their outputs; those of kept versions stay, too.",
    )
    keep_versions: int = Field(
        5,
        ge=2,
        le=10**6,
        description="Good models that stay in the serving folder, and as baselines of the gate; the one in "
        "service and the one that a rollback returns to are among them.",
    )
