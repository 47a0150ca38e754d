"""The settings of a training: loss, optimizer, budget and augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator

from unet.images.settings import Channels
from unet.masks.settings import Values
from unet.preprocessing.settings import PatchSize, Scaling
from unet.settings import Network, Section, Seed

Term = Literal["cross_entropy", "dice", "focal", "tversky"]
TERMS: tuple[Term, ...] = get_args(Term)


def sum_of_terms(value: str) -> str:
    """Checks a loss that is written as a sum of terms, such as "cross_entropy+dice"."""
    terms = value.split("+")
    if strange := [term for term in terms if term not in TERMS]:
        raise ValueError(f"unknown term {strange[0]!r}: a loss is one of {', '.join(TERMS)}, or a sum: a+b")
    if len(set(terms)) < len(terms):
        raise ValueError("a term is there twice")
    return value


def _weights(value: Any) -> Any:
    return dict.fromkeys(sum_of_terms(value).split("+"), 1.0) if isinstance(value, str) else value


Loss = Annotated[dict[Term, float], BeforeValidator(_weights)]

# Below, a step is lost in the rounding of float32 weights; above, each step replaces the weights.
Rate = Annotated[float, Field(ge=1e-9, le=1)]
# Largest weight of a class or a term; the square of a loss of that size is far from the end of float32.
LARGEST_WEIGHT = 1e4
LEAST_WEIGHT = 1e-6  # besides 0, which leaves a class or a term out


def _is_weight(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (value == 0 or LEAST_WEIGHT <= value <= LARGEST_WEIGHT)


class Training(Section):
    """Training: budget, loss and optimizer."""

    steps: int = Field(1500, ge=1, le=10**8, description="Training steps.")
    minutes: float | None = Field(
        None,
        ge=0.01,
        le=525600,
        description="Training time instead of steps; not reproducible to the last digit.",
    )
    batch_size: int = Field(2, ge=1, le=4096, description="Patches in a training step, over all GPUs.")
    validate_every: int = Field(
        250,
        ge=1,
        le=10**8,
        description="Steps between validations on whole images, and between checkpoints.",
    )
    patience: int = Field(
        0,
        ge=0,
        le=10**6,
        description="Validations without a better one after which training stops; 0: never.",
    )
    select_by: str = Field(
        "foreground_iou",
        description="Metric of the eval images by which the best weights, and the values of a search, are "
        "chosen: foreground_iou, mean_iou, foreground_dice, mean_dice, pixel_error, or iou, dice, precision "
        "or recall of a class, such as iou_border.",
    )
    refit: bool = Field(
        False,
        description="Learn from the eval split, too, after the search: all steps are trained, and the last "
        "weights are kept, as no image is left to choose others by.",
    )
    loss: Loss = Field(
        {"cross_entropy": 1.0},
        description="Weight of each term of the loss: cross_entropy, dice, focal, tversky; "
        '"cross_entropy+dice" gives each the weight 1.',
    )
    class_weights: Literal["none", "balanced"] | dict[str, float] = Field(
        "none",
        description="Weight of each class in the loss, w_c of the paper's equation 2; balanced: inversely "
        "proportional to its pixels.",
    )
    border_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Additional weight of the background between two objects, w_0 of the paper's equation 2 "
        "(there 10); 0: none.",
    )
    border_sigma: float = Field(
        5.0,
        ge=0.1,
        le=1000,
        description="How far apart two objects are for it, sigma of equation 2, in pixels.",
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="Adam, AdamW, or the paper's SGD.")
    momentum: float = Field(0.99, ge=0, le=0.999, description="Momentum of SGD (the paper, section 3).")
    weight_decay: float = Field(0.004, ge=0, le=1, description="Weight decay of AdamW.")
    clip: float = Field(0.0, ge=0, le=10**6, description="Largest global norm of the gradients; 0: any.")
    learning_rate: Rate = Field(1e-3, description='Learning rate where tune = "never".')
    schedule: Literal["cosine", "polynomial", "constant"] = Field(
        "cosine", description="Learning-rate schedule; all but constant begin with a warm-up."
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto", description="Of the training; auto: mixed_bfloat16 on processors and GPUs with units for it."
    )
    deterministic: bool = Field(
        False, description="Same weights in every run on GPUs, too, which is slower there."
    )

    @field_validator("class_weights", mode="before")
    @classmethod
    def _weights_are_named(cls, value: Any) -> Any:
        # Pydantic's own message would list the errors of every type of the union.
        if isinstance(value, dict):
            if not all(map(_is_weight, value.values())):
                raise ValueError(
                    f"each weight is a number, none below 0: 0, or from {LEAST_WEIGHT:g} to "
                    f"{LARGEST_WEIGHT:g}"
                )
        elif value not in ("none", "balanced"):
            raise ValueError('must be "none", "balanced", or weights by class, such as { nucleus = 2.0 }')
        return value

    @field_validator("clip")
    @classmethod
    def _clipped_gradients_count(cls, value: float) -> float:
        if 0 < value < 0.001:  # what is left would vanish beside the epsilon of Adam
            raise ValueError("must be 0, which clips nothing, or at least 0.001")
        return value

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence if the terms of the loss add up to nothing or too much, or none can stop it."""
        if self.refit and self.patience:
            yield (
                f"patience = {self.patience} stops a training by images that it does not learn from, and "
                "refit = true learns from all: set only one"
            )
        if min(self.loss.values(), default=0) < 0 or not any(self.loss.values()):
            yield f"loss = {self.loss}: no weight may be below 0, and one must be above"
        elif not all(map(_is_weight, self.loss.values())):
            yield f"loss = {self.loss}: each weight must be 0, or from {LEAST_WEIGHT:g} to {LARGEST_WEIGHT:g}"


# Values of `warm_start` that name no run or version.
AFRESH, LAST_BLESSED = "none", "latest"


class WarmStart(Section):
    """Training: the initial weights."""

    warm_start: str = Field(
        AFRESH,
        description="Initial weights: none, random ones; latest, those of the last blessed model, where they "
        "fit; run:ID or version:N, those of that run or version, which must fit.",
    )

    @property
    def starts_from_a_named_model(self) -> bool:
        """Whether `warm_start` names a run or a version."""
        return self.warm_start not in (AFRESH, LAST_BLESSED)

    @field_validator("warm_start", mode="before")
    @classmethod
    def _start_has_a_name(cls, value: Any) -> Any:
        kind, _, name = str(value).partition(":")
        # "latest" would be the run at work itself.
        named = (kind == "run" and name not in ("", LAST_BLESSED)) or (kind == "version" and name.isdecimal())
        if value not in (AFRESH, LAST_BLESSED) and not named:
            raise ValueError(
                f"must be {AFRESH}, {LAST_BLESSED}, run:ID or version:N, with an id or number that "
                "`run_pipeline.py runs` shows"
            )
        return value


class Augmentation(Section):
    """Augmentation: random changes of training patches; 0 turns a change off."""

    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        "both",
        description="Random flips; horizontal swaps left and right, which suits photographs, together with "
        "quarter_turns = false.",
    )
    quarter_turns: bool = Field(
        True, description="Random turns by 0, 90, 180 or 270 degrees, for images without an up and a down."
    )
    spatial_augment_prob: float = Field(
        0.0, ge=0, le=1, description="Share of the patches that are rotated, zoomed and deformed."
    )
    rotation: float = Field(180.0, ge=0, le=180, description="Largest angle of rotation, in degrees.")
    zoom: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Scale jitter, of the patches that spatial_augment_prob deforms: "
        "0.25 zooms by 1 / 1.25 to 1.25 (nnU-Net: by 0.7 to 1.4).",
    )
    elastic_sigma: float = Field(
        10.0,
        ge=0,
        le=1000,
        description="Standard deviation, in pixels, of the displacement at 3 x 3 points of a patch "
        "(the paper, section 3.1).",
    )
    brightness_contrast: float = Field(
        0.1, ge=0, lt=1, description="Strength of random changes of grey values."
    )
    gamma: float = Field(
        0.0,
        ge=0,
        le=4,
        description="Gamma: 0.5 scales a patch to 0 to 1 and raises its values to a power of 1 / 1.5 to 1.5 "
        "(nnU-Net: 0.7 to 1.5).",
    )
    color_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Color jitter of RGB images: 0.2 changes the saturation by up to 20 %, and the hue by up "
        "to 0.05 of the color circle; usual are 0.1 to 0.4.",
    )
    blur: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Largest standard deviation of a Gaussian blur, in pixels (nnU-Net: 1).",
    )
    noise: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Largest standard deviation of additive Gaussian noise, in standard deviations of the "
        "images (nnU-Net: 0.3).",
    )
    oversample_rare: float = Field(
        0.0, ge=0, le=1, description="Share of the patches laid around a class drawn at random."
    )

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence if turns would undo that up stays up."""
        if self.quarter_turns and self.flip in ("horizontal", "vertical"):
            yield (
                f'flip = "{self.flip}" with quarter turns flips both ways: set quarter_turns = false, or '
                'flip = "both"'
            )


# No augmentation: each patch is shown as it is stored.
STILL: Mapping[str, Any] = {
    "flip": "none", "quarter_turns": False, "spatial_augment_prob": 0.0, "brightness_contrast": 0.0,
    "gamma": 0.0, "color_jitter": 0.0, "blur": 0.0, "noise": 0.0,
}  # fmt: skip


class TrainSettings(Values, Channels, Scaling, Network, PatchSize, Training, Augmentation, Seed):
    """All settings on which the result of a training depends."""


def with_choice(settings: TrainSettings, choice: Mapping[str, Any]) -> TrainSettings:
    """The settings with the values that a search chose; the terms of a loss "a+b" weigh 1 each."""
    changes = dict(choice)
    if "loss" in changes:
        changes["loss"] = dict.fromkeys(changes["loss"].split("+"), 1.0)
    return settings.model_copy(update=changes)


def recipe(settings: TrainSettings, tune_over: Mapping[str, object]) -> dict[str, Any]:
    """The settings for which a search chose its values; with another recipe another learning rate is best.

    Args:
        settings: configured settings of the training.
        tune_over: searched values by setting, besides the learning rate; they replace the configured values.
    """
    # Settings of the budget, and settings that do not affect the best learning rate.
    budget = {"classes", "value_range", "steps", "minutes", "validate_every", "patience", "refit",
              "learning_rate", "deterministic", "seed"}  # fmt: skip
    values = {**settings.model_dump(mode="json"), **tune_over}
    return {key: value for key, value in values.items() if key not in budget}
