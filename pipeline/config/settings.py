"""The configuration of a run: every setting, its type, its default and what it means, in one place.

A run is described by a TOML *profile* (`pipeline/config/profiles/*.toml`, or a file of the user's) that
states only what differs from the defaults below, and by `--set key=value` on top of it
(`pipeline.config.profile`).
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.config.search_space import Loss, SearchSpace, TuneOver
from unet.dataset.sample import FRACTION_PREFIX, SCALARS, SPLITS
from unet.evaluation.slices import BUILT_IN, why_unknown
from unet.masks.labels import INSTANCES, Value, is_colour
from unet.metrics.names import SEGMENT_SCORES, gate_names, split_key
from unet.tiling import Geometry

S = TypeVar("S")
CHECKOUT = Path(__file__).resolve().parents[2]


class PipelineConfig(BaseModel):
    """Every setting of a run. Sides, strides and offsets are in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # ---- Data -------------------------------------------------------------------------------------
    data: Path = Field(
        CHECKOUT / "data" / "nuclei",
        description="Folder with images/ and masks/; docs/how-to/your-own-data.md shows the other layouts.",
    )
    classes: dict[str, int | str] = Field(
        {"background": 0, "foreground": 255},
        description='Name of each class and its value in the masks: a number, a colour "#rrggbb", or '
        '"instances" (any value that is not declared, each an object); the first one is the background.',
    )
    ignore: int | str | None = Field(
        None, description="Value or colour in the masks of pixels that count in no loss, metric or statistic."
    )
    mask_values: Literal["exact", "nearest"] = Field(
        "exact", description="nearest: each pixel is of the class of the nearest value, for blurred masks."
    )
    mask_suffix: str = Field(
        "_mask", description="What a mask's name has after its image's, where the two are not the same."
    )
    value_range: tuple[float, float] | None = Field(
        None, description="Black and white of images of floating-point, signed or 32-bit values."
    )
    channels: Literal["auto", 1, 3] = Field(
        "auto", description="Channels the network sees; auto: 3 if any image is in colour, else 1."
    )
    block: int = Field(0, ge=0, description="Consecutive slices that form one group; 0: each image is one.")
    group_pattern: str | None = Field(
        None, description="Regular expression; images for whose names its match is the same are a group."
    )
    span_window: int = Field(
        0, ge=0, description="Newest spans to train on, where data holds {SPAN}; 0: all of them."
    )
    shares: dict[str, float] = Field(
        {"train": 0.6, "eval": 0.2, "test": 0.2}, description="Share of the images in each split."
    )
    fold: int | None = Field(
        None, ge=0, description="Cross-validation: the fold that becomes the test split."
    )
    folds: int = Field(
        5, ge=3, description="Folds of cross-validation, where no manifest says which image is in which."
    )
    scale: float = Field(
        1.0, ge=0.05, le=4, description="Size of the images that the network sees, as a part of their own."
    )
    normalise: Literal["dataset", "image"] = Field(
        "image", description="Mean 0 and deviation 1 over each image by itself, or over all training images."
    )
    max_pixels: int = Field(10**9, gt=0, description="Largest image that is read.")
    domains: dict[str, tuple[float, float]] = Field(
        {}, description="Lowest and highest value allowed of a statistic of each image, such as its mean."
    )
    max_drift: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Largest Jensen-Shannon divergence of a statistic from that of the last blessed model's "
        "data, and from that of serving_data; small sets are allowed more.",
    )
    on_drift: Literal["stop", "warn"] = Field("stop", description="What larger drift or skew does.")
    serving_data: Path | None = Field(
        None, description="Folder of images as the model gets them in service, to be compared with data."
    )
    seed: int = Field(0, ge=0, description="Seed of splits, weights, sampling, augmentation and search.")

    # ---- Network ----------------------------------------------------------------------------------
    decoder: Literal["paper", "published"] = Field(
        "paper",
        description="Transposed convolutions that halve the channels, or the published constant width.",
    )
    base_filters: int = Field(8, ge=1, description="Filters of the first convolution; doubled at each level.")
    depth: int = Field(4, ge=1, le=6, description="Number of 2x2 poolings.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout at the end of the contracting path.")

    # ---- Tiling -----------------------------------------------------------------------------------
    window: int = Field(444, description="Side of the network's input while training.")
    tile_stride: int = Field(512, ge=16, description="Largest stride of the stored training tiles.")

    # ---- Training -----------------------------------------------------------------------------------
    steps: int = Field(2000, ge=1, description="Training steps.")
    minutes: float | None = Field(
        None, gt=0, description="Training time instead of steps; not reproducible to the last digit."
    )
    batch_size: int = Field(2, ge=1, description="Windows in a training step, over all GPUs.")
    validate_every: int = Field(
        250, ge=1, description="Steps between validations on whole images, and between checkpoints."
    )
    patience: int = Field(
        0, ge=0, description="Validations without a better one after which training stops; 0: never."
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
        description="Additional weight of the background between two objects, w_0 of the paper's equation 2 "
        "(there 10); 0: none.",
    )
    border_sigma: float = Field(
        5.0, gt=0, description="How far apart two objects are for it, sigma of equation 2, in pixels."
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="Adam, AdamW, or the paper's SGD.")
    momentum: float = Field(0.99, ge=0, lt=1, description="Momentum of SGD (the paper, section 3).")
    weight_decay: float = Field(0.004, ge=0, description="Weight decay of AdamW.")
    clip: float = Field(0.0, ge=0, description="Largest global norm of the gradients; 0: any.")
    learning_rate: float = Field(1e-3, gt=0, description='Learning rate where tune = "never".')
    schedule: Literal["cosine", "polynomial", "constant"] = Field(
        "cosine", description="Course of the learning rate; all but constant begin with a warm-up."
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto", description="Of the training; auto: mixed_bfloat16 on processors and GPUs with units for it."
    )
    deterministic: bool = Field(
        False, description="Same weights in every run on GPUs, too, which is slower there."
    )

    warm_start: bool = Field(
        False, description="Start from the weights of the last blessed model, where they fit the network."
    )

    # ---- Augmentation -------------------------------------------------------------------------------
    flip: bool = Field(True, description="Random flips and quarter turns.")
    warp: float = Field(
        0.0, ge=0, le=1, description="Share of the windows that are rotated, zoomed and deformed."
    )
    rotation: float = Field(180.0, ge=0, le=180, description="Largest angle of rotation, in degrees.")
    zoom: float = Field(0.0, ge=0, le=1, description="Largest zoom: 0.25 is from 1 / 1.25 to 1.25.")
    elastic: float = Field(
        10.0,
        ge=0,
        description="Standard deviation, in pixels, of the displacement at 3 x 3 points of a window "
        "(the paper, section 3.1).",
    )
    grey: float = Field(0.1, ge=0, lt=1, description="Strength of random changes of grey values.")
    rare: float = Field(
        0.0, ge=0, le=1, description="Share of the windows laid around a class drawn at random."
    )

    # ---- Export -------------------------------------------------------------------------------------
    symmetries: bool = Field(
        False,
        description="The exported model answers with the mean over the eight flips and quarter turns: eight "
        "times the work.",
    )

    serving_memory: float = Field(
        1.5,
        gt=0,
        description="Gigabytes the exported model may take for the tile at work; larger tiles are faster.",
    )
    serving_max_pixels: int = Field(
        10**8, gt=0, description="Largest image that the exported model decodes: others are refused."
    )

    # ---- Tuning -----------------------------------------------------------------------------------
    tune: Literal["always", "first", "never"] = Field(
        "first",
        description="Search a learning rate and what tune_over says; first: only until a model was pushed.",
    )
    tune_search: Literal["random", "bayesian", "hyperband"] = Field(
        "random",
        description="How: at random; where a Gaussian process expects most; or many short trials, of which "
        "the best are repeated with more steps.",
    )
    tune_over: SearchSpace = Field(
        TuneOver(),
        description="What else is searched: values for base_filters, dropout or loss, such as "
        '{ base_filters = [8, 16], loss = ["cross_entropy", "cross_entropy+dice"] }.',
    )
    tune_trials: int = Field(
        4, ge=1, description="Trials; with hyperband what its trials may cost together: 4, 10 or 17 are used."
    )
    tune_steps: int = Field(60, ge=1, description="Training steps of a trial, with hyperband of the longest.")
    tune_minutes: float = Field(
        10.0, gt=0, description="Longest training of a trial; what it has learned by then is scored."
    )
    tune_range: tuple[float, float] = Field((5e-4, 5e-3), description="Lowest and highest learning rate.")

    # ---- Gate -------------------------------------------------------------------------------------
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

    @field_validator("data", "serving_data", mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        return Path(value).expanduser() if isinstance(value, str) else value

    @field_validator("classes")
    @classmethod
    def _classes_are_distinct(cls, value: dict[str, Value]) -> dict[str, Value]:
        if len(value) < 2:
            raise ValueError("at least two classes are needed")
        value = {name: _canonical(v) for name, v in value.items()}
        if len(set(value.values())) < len(value):
            raise ValueError("two classes have the same value")
        if len(value) > 255:
            raise ValueError("at most 255 classes are possible: masks are stored with 8 bits")
        if len({is_colour(v) for v in value.values()}) > 1:
            raise ValueError('values must be numbers (and "instances"), or all be colours')
        if not all(name and "/" not in name and not name.startswith(".") for name in value):
            raise ValueError("names become parts of file names: they must not hold '/' or start with '.'")
        return value

    @field_validator("ignore")
    @classmethod
    def _ignore_is_a_value(cls, value: Value | None) -> Value | None:
        if value == INSTANCES:
            raise ValueError('must be a number or a colour "#rrggbb"')
        return None if value is None else _canonical(value)

    @field_validator("class_weights", mode="before")
    @classmethod
    def _weights_are_named(cls, value: Any) -> Any:
        # Pydantic would say what each kind of the union lacks.
        if isinstance(value, dict):
            numbers = [w for w in value.values() if isinstance(w, int | float) and not isinstance(w, bool)]
            if len(numbers) < len(value) or min(numbers, default=0) < 0:
                raise ValueError("each weight is a number, none below 0")
        elif value not in ("none", "balanced"):
            raise ValueError('must be "none", "balanced", or weights by class, such as { nucleus = 2.0 }')
        return value

    @field_validator("group_pattern")
    @classmethod
    def _pattern_compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        return value

    @field_validator("slices")
    @classmethod
    def _columns_are_free(cls, value: list[str]) -> list[str]:
        taken = {*BUILT_IN, "image", "mask", "split", "fold", "page"}
        if strange := [name for name in value if name in taken or not name or "=" in name or "@" in name]:
            raise ValueError(f"{strange[0]!r} is no column of its own: slices are made of further columns")
        return list(dict.fromkeys(value))

    @field_validator("shares")
    @classmethod
    def _shares_add_up(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) != set(SPLITS) or not all(v > 0 for v in value.values()):
            raise ValueError("a share above 0 is needed for each of train, eval and test")
        total = sum(value.values())
        return {split: value[split] / total for split in SPLITS}

    @model_validator(mode="after")
    def _fits_together(self) -> PipelineConfig:
        if self.ignore is not None:
            if self.ignore in self.classes.values():
                raise ValueError(f"ignore = {self.ignore!r} is the value of a class")
            if is_colour(self.ignore) != all(is_colour(v) for v in self.classes.values()):
                raise ValueError("ignore and the values of classes must all be numbers, or all be colours")
        if self.mask_values == "nearest" and INSTANCES in self.classes.values():
            raise ValueError('mask_values = "nearest" and "instances" contradict each other')
        if self.value_range and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"value_range = {list(self.value_range)} must be a lower and a higher value")
        if wrong := [name for name, (low, high) in self.domains.items() if not low <= high]:
            raise ValueError(f"domains: {wrong[0]} must have a lower and a higher bound")
        known = [*SCALARS, *(FRACTION_PREFIX + name for name in self.classes)]
        if strange := [name for name in self.domains if name not in known]:
            raise ValueError(f"domains: unknown statistic {strange[0]!r}, known: {', '.join(known)}")
        geometry = Geometry(self.depth)
        if not geometry.is_legal(self.window):
            below, above = geometry.nearest_legal(self.window)
            raise ValueError(
                f"window = {self.window} is not a legal side of the network: try {below} or {above}"
            )
        if self.tile_stride % geometry.step:
            raise ValueError(f"tile_stride = {self.tile_stride} is not a multiple of {geometry.step}")
        least = self.window - geometry.smallest
        if self.tile_stride < least:
            raise ValueError(f"tile_stride = {self.tile_stride}: tiles must hold a window: at least {least}")
        if not 0 < self.tune_range[0] < self.tune_range[1]:
            raise ValueError(
                f"tune_range = {list(self.tune_range)} must be a lower and a higher learning rate"
            )
        if self.tune_over and self.tune == "never":
            raise ValueError(f'tune = "never" searches nothing: leave out tune_over = {self.tune_over}')
        if self.tune_search == "hyperband" and self.tune_trials < 4:
            raise ValueError(
                f"tune_trials = {self.tune_trials}: the least that hyperband can do costs 4 trials"
            )
        if min(self.loss.values(), default=0) < 0 or not any(self.loss.values()):
            raise ValueError(f"loss = {self.loss}: no weight may be below 0, and one must be above")
        if isinstance(self.class_weights, dict) and (
            strange := [name for name in self.class_weights if name not in self.classes]
        ):
            raise ValueError(f"class_weights: unknown class {strange[0]!r}, known: {', '.join(self.classes)}")
        if not self.thresholds:
            raise ValueError("thresholds is empty: a gate without a threshold blesses anything")
        names = gate_names(list(self.classes), self.segment_scores)
        for key in self.thresholds:
            metric, of_slice = split_key(key, [*names, *SEGMENT_SCORES])
            if metric in SEGMENT_SCORES and not self.segment_scores:
                raise ValueError(f"thresholds: {key} is measured only with segment_scores = true")
            if not metric:
                raise ValueError(f"thresholds: unknown metric {key!r}, known: {', '.join(names)}")
            if key != metric and (found := why_unknown(of_slice, self.slices)):
                raise ValueError(f"thresholds: {key!r}: {found}")
            if not 0 <= self.thresholds[key] <= 1:
                raise ValueError(
                    f"thresholds: {key} = {self.thresholds[key]}: all metrics lie between 0 and 1"
                )
        return self


def _canonical(value: Value) -> Value:
    """A value of a mask as a number, or a colour in small letters."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, int):
        if not 0 <= value <= 65535:
            raise ValueError("values must lie between 0 and 65535")
        return value
    if value != INSTANCES and not is_colour(value):
        raise ValueError(f'{value!r} is neither a number, nor a colour "#rrggbb", nor "instances"')
    return value.lower()


def settings_of(kind: type[S], config: PipelineConfig, **extra: Any) -> S:
    """What one component needs of the configuration; fields that it does not have come as `extra`."""
    names = [field.name for field in dataclasses.fields(kind) if field.name not in extra]  # type: ignore[arg-type]
    return kind(**{name: getattr(config, name) for name in names}, **extra)
