"""What shapes a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from unet.masks.labels import Value
from unet.network import Decoder
from unet.training.augmentation import Augmentation


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """What shapes a training; see `pipeline.config.settings.PipelineConfig` for the meaning of each."""

    classes: dict[str, Value]
    ignore: Value | None
    value_range: tuple[float, float] | None
    scale: float
    decoder: Decoder
    base_filters: int
    depth: int
    dropout: float
    window: int
    batch_size: int
    steps: int
    minutes: float | None
    validate_every: int
    patience: int
    loss: dict[str, float]
    class_weights: str | dict[str, float]
    border_weight: float
    border_sigma: float
    optimizer: str
    momentum: float
    weight_decay: float
    clip: float
    learning_rate: float
    schedule: str
    precision: str
    flip: bool
    warp: float
    rotation: float
    zoom: float
    elastic: float
    grey: float
    rare: float
    normalise: str
    deterministic: bool
    seed: int

    @property
    def augmentation(self) -> Augmentation:
        """How windows are changed at random."""
        names = (field.name for field in dataclasses.fields(Augmentation))
        return Augmentation(**{name: getattr(self, name) for name in names})


def with_choice(settings: TrainSettings, choice: Mapping[str, Any]) -> TrainSettings:
    """The settings with what a search chose for them; the terms of a loss "a+b" weigh 1 each."""
    changes = dict(choice)
    if "loss" in changes:
        changes["loss"] = dict.fromkeys(changes["loss"].split("+"), 1.0)
    return dataclasses.replace(settings, **changes)


def recipe(settings: TrainSettings, tune_over: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """What a choice was made for: with another recipe, another learning rate is the best one.

    Args:
        settings: the configured ones.
        tune_over: what is searched besides the learning rate; these values stand in place of the configured.
    """
    # What a training costs, and what does not change it.
    budget = ("classes", "value_range", "steps", "minutes", "validate_every", "patience", "learning_rate",
              "deterministic", "seed")  # fmt: skip
    values = {**dataclasses.asdict(settings), **tune_over}
    return {key: value for key, value in values.items() if key not in budget}
