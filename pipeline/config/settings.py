"""The configuration of a run: the settings of all sections, and the constraints between them.

A run is described by a TOML *profile* (`pipeline/config/profiles/*.toml`, or a file of the user) that holds
only what differs from the defaults, and by `--set key=value` options, which override it
(`pipeline.config.profile`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from pipeline.process.settings import Limits
from pipeline.retention.settings import Retention
from unet.dataset.sample import FRACTION_PREFIX, GROUP, SCALARS
from unet.dataset.settings import Data, Drift, Folder, ReadSettings
from unet.evaluation.settings import Gate
from unet.evaluation.slices import why_unknown
from unet.export.settings import ExportSettings
from unet.images.channels import fits, is_stacked
from unet.images.settings import Channels
from unet.masks.background import question
from unet.masks.labels import INSTANCES
from unet.masks.settings import Values
from unet.metrics.names import SEGMENT_SCORES, gate_names, split_key
from unet.preprocessing.settings import PatchSize, Scaling, Stride
from unet.settings import Network, Seed
from unet.tiling import Geometry
from unet.training.search_settings import TuneSettings
from unet.training.settings import Augmentation, Training, WarmStart


class PipelineConfig(
    # Pydantic puts the fields of the last base first.
    Limits,
    Retention,
    Gate,
    TuneSettings,
    ExportSettings,
    Augmentation,
    WarmStart,
    Training,
    Stride,
    PatchSize,
    Network,
    Seed,
    Drift,
    Scaling,
    Data,
    Channels,
    Values,
    Folder,
):
    """All settings of a run. Sizes, strides and offsets are in pixels."""

    def reading(self, splits_file: Path, skip: list[str] | None = None) -> ReadSettings:
        """Returns how the data are read; see `ReadSettings` for `splits_file` and `skip`."""
        return ReadSettings.of(
            self,
            # Images are scaled before the network; the border term is computed before the scaling.
            sigma=self.border_sigma / self.scale if self.border_weight else 0.0,
            columns=[name for name in self.slices if name != GROUP],
            serving_data=self.serving_data.absolute() if self.serving_data else None,
            splits_file=str(splits_file),
            skip=skip,
        )

    @model_validator(mode="after")
    def _sections_fit_together(self) -> PipelineConfig:
        if self.background == "auto" and (doubt := question(self.classes)):
            raise ValueError(doubt)
        if self.background == "none" and self.border_weight:
            raise ValueError(
                'border_weight weighs the background between objects, and background = "none": set only one'
            )
        if self.background == "none" and self.segment_scores:
            raise ValueError(
                'segment_scores are of what a background parts, and background = "none": set only one'
            )
        if self.mask_values == "nearest" and INSTANCES in self.classes.values():
            raise ValueError('mask_values = "nearest" and "instances" contradict each other')
        if self.channels != "auto":
            chosen = len(self.use_channels) if isinstance(self.use_channels, list) else None
            if is_stacked(self.channels) and self.use_channels is None:
                raise ValueError(
                    f"channels = {self.channels} needs use_channels: the numbers of them, or all"
                )
            if chosen is not None and not fits(chosen, self.channels):
                raise ValueError(f"channels = {self.channels}, but use_channels chooses {chosen}")
        known = [*SCALARS, *(FRACTION_PREFIX + name for name in self.classes)]
        if strange := [name for name in self.domains if name not in known]:
            raise ValueError(f"domains: unknown statistic {strange[0]!r}, known: {', '.join(known)}")
        geometry = Geometry(self.depth)
        if not geometry.is_valid_size(self.patch_size):
            near = " or ".join(map(str, sorted(set(geometry.nearest_valid_size(self.patch_size)))))
            raise ValueError(
                f"patch_size = {self.patch_size} is not a valid input size of the network: try {near}"
            )
        if self.tile_stride % geometry.step:
            raise ValueError(f"tile_stride = {self.tile_stride} is not a multiple of {geometry.step}")
        least = self.patch_size - geometry.smallest
        if self.tile_stride < least:
            raise ValueError(f"tile_stride = {self.tile_stride}: tiles must hold a patch: at least {least}")
        if isinstance(self.class_weights, dict) and (
            strange := [name for name in self.class_weights if name not in self.classes]
        ):
            raise ValueError(f"class_weights: unknown class {strange[0]!r}, known: {', '.join(self.classes)}")
        if not self.thresholds:
            raise ValueError("thresholds is empty: a gate without a threshold blesses anything")
        names = gate_names(list(self.classes), self.segment_scores, self.first_foreground)
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
