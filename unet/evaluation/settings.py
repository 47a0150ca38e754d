"""The settings of the gate."""

from __future__ import annotations

from pydantic import Field, field_validator

from unet.evaluation.slices import BUILT_IN
from unet.metrics.names import MIN_OBJECT_SIZE, gate_names
from unet.settings import Section, Seed


class Gate(Section):
    """Gate: the required metrics of a model, and the way they are measured."""

    thresholds: dict[str, float] = Field(
        {"foreground_iou": 0.5},
        description="Metrics the test split must reach: at least, or for pixel_error and ece at most, this "
        'value; "METRIC@SLICE" is that of some images, such as "iou_foreground@size=small".',
    )
    max_drop: float = Field(
        0.01,
        ge=0,
        le=1,
        description="How much worse than the last blessed model's a metric with a threshold may be, if that "
        "is not chance.",
    )
    slices: list[str] = Field(
        [],
        description='Columns of the manifest, or "group", whose values make slices of the test images, as '
        "size, bit_depth and foreground do.",
    )
    boundary_tolerance: int = Field(
        2, ge=0, le=50, description="Pixels between a true and a predicted outline that boundary_f1 forgives."
    )
    segment_scores: bool = Field(
        False,
        description="Also measure v_rand and v_info, the Rand and information scores of ISBI 2012: what one "
        "merged or split object costs, which pixels hardly show.",
    )

    split_objects: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Split predicted objects where they are narrower than on both sides by this many pixels "
        "of radius, as objects that touch are; 0 takes connected parts as they are.",
    )
    min_object_size: int = Field(
        MIN_OBJECT_SIZE,
        ge=0,
        le=10**6,
        description="Least number of pixels of a predicted object in the scores of objects: smaller ones, "
        "which are mostly specks, are left out of these. Masks keep them.",
    )

    @field_validator("slices")
    @classmethod
    def _columns_are_free(cls, value: list[str]) -> list[str]:
        taken = {*BUILT_IN, "image", "mask", "split", "fold", "page"}
        if strange := [name for name in value if name in taken or not name or "=" in name or "@" in name]:
            raise ValueError(f"{strange[0]!r} is no column of its own: slices are made of further columns")
        return list(dict.fromkeys(value))


class GateSettings(Gate, Seed):
    """All parameters of the gate: settings, the names of the classes, and the first that counts, by index."""

    class_names: list[str]
    first: int = 1

    @property
    def names(self) -> list[str]:
        """Names of all metrics that are measured."""
        return gate_names(self.class_names, self.segment_scores, self.first)
