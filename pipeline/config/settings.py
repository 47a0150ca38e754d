"""The configuration of a run: the settings of all sections, and the constraints between them.

A run is described by a TOML *profile* (`pipeline/config/profiles/*.toml`, or a file of the user) that holds
only what differs from the defaults, and by `--set key=value` options, which override it
(`pipeline.config.profile`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.engine.settings import Engine
from pipeline.metadata.settings import Metadata
from pipeline.process.settings import Limits
from pipeline.publishing.settings import Publishing
from pipeline.retention.settings import Retention
from unet.dataset.sample import FRACTION_PREFIX, GROUP, SCALARS
from unet.dataset.settings import Data, Drift, Folder, ReadSettings
from unet.evaluation.settings import Gate
from unet.evaluation.slices import why_unknown
from unet.export.settings import ARGMAX, ExportSettings
from unet.images.channels import fits, is_stacked
from unet.images.settings import Channels
from unet.masks.background import question
from unet.masks.labels import INSTANCES
from unet.masks.settings import Values
from unet.metrics.names import SEGMENT_SCORES, gate_names, metric_names, split_key
from unet.preprocessing.settings import PatchSize, Scaling, Stride
from unet.settings import MOST_FILTERS, Network, Seed
from unet.tiling import Geometry
from unet.training.search_settings import TuneSettings
from unet.training.settings import Augmentation, Training, WarmStart


class PipelineConfig(
    # Pydantic puts the fields of the last base first.
    Engine,
    Limits,
    Publishing,
    Metadata,
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

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence for each contradiction between settings of several sections."""
        if self.background == "auto" and (doubt := question(self.classes)):
            yield "; ".join(doubt)
        if self.background == "none" and self.border_weight:
            yield 'border_weight weighs the background between objects, and background = "none": set only one'
        if self.background == "none" and self.segment_scores:
            yield 'segment_scores are of what a background parts, and background = "none": set only one'
        if ">=" in self.operating_point and (len(self.classes) != 2 or self.background == "none"):
            without = " without a background" if self.background == "none" else ""
            yield (
                f'operating_point = "{self.operating_point}" is a threshold between a background and one '
                f'class; here are {", ".join(self.classes)}{without}: set operating_point = "dice"'
            )
        if self.mask_values == "nearest" and INSTANCES in self.classes.values():
            yield 'mask_values = "nearest" and "instances" in classes contradict each other'
        if self.refit and self.operating_point != ARGMAX:
            yield (
                f'operating_point = "{self.operating_point}" is chosen on the eval images, from which '
                "refit = true learns: set only one"
            )
        known = [*SCALARS, *(FRACTION_PREFIX + name for name in self.classes)]
        for name in self.domains:
            if name not in known:
                yield f"domains: unknown statistic {name!r}, known: {', '.join(known)}"
        yield from self._conflicts_of_channels()
        yield from self._conflicts_of_sizes()
        yield from self._conflicts_of_weights()
        yield from self._conflicts_of_rates()
        yield from self._conflicts_of_thresholds()

    def _conflicts_of_channels(self) -> Iterator[str]:
        if self.channels == "auto":
            return
        chosen = len(self.use_channels) if isinstance(self.use_channels, list) else None
        if is_stacked(self.channels) and self.use_channels is None:
            yield f"channels = {self.channels} needs use_channels: the numbers of them, or all"
        if chosen is not None and not fits(chosen, self.channels):
            yield f"channels = {self.channels}, but use_channels chooses {chosen}"

    def _conflicts_of_sizes(self) -> Iterator[str]:
        geometry, levels = Geometry.of(self), f"depth = {self.depth}"
        if self.stem_stride > 1:
            levels += f" and stem_stride = {self.stem_stride}"
        if not geometry.is_valid_size(self.patch_size):
            near = " or ".join(map(str, sorted(set(geometry.nearest_valid_size(self.patch_size)))))
            yield (
                f"patch_size = {self.patch_size} is not a valid input size of a network with {levels}: try "
                f"{near}"
            )
        if self.tile_stride % geometry.step:
            yield (
                f"tile_stride = {self.tile_stride} is not a multiple of {geometry.step}, which {levels} needs"
            )
        least = self.patch_size - geometry.smallest
        if self.tile_stride < least:
            yield (
                f"tile_stride = {self.tile_stride}: tiles must hold a patch: at least {least} for "
                f"patch_size = {self.patch_size}"
            )
        searched = max(self.tune_over.get("base_filters", [0]))
        if searched > self.base_filters and searched * 2**self.depth > MOST_FILTERS:
            yield (
                f"tune_over: base_filters = {searched} and depth = {self.depth} make "
                f"{searched * 2**self.depth} channels: at most {MOST_FILTERS} are possible"
            )

    def _conflicts_of_weights(self) -> Iterator[str]:
        if not isinstance(self.class_weights, dict):
            return
        for name in self.class_weights:
            if name not in self.classes:
                yield f"class_weights: unknown class {name!r}, known: {', '.join(self.classes)}"
        left = [name for name in self.classes if self.class_weights.get(name, 1)]
        if not left:
            yield f"class_weights = {self.class_weights}: all are 0, so nothing is learned: set two above 0"
        # Dice and Tversky count each class as it is.
        elif len(left) == 1 and not self.border_weight and not {"dice", "tversky"} & self.loss.keys():
            yield (
                f"class_weights = {self.class_weights}: only {left[0]!r} weighs anything, so a network "
                "learns to see it everywhere: set the weight of another class above 0"
            )

    def _conflicts_of_rates(self) -> Iterator[str]:
        if self.optimizer == "sgd":
            return
        # A step of Adam changes each weight by about the rate, whatever the gradient; initial weights of the
        # first convolution are of this size.
        most = 0.1
        why = f'above {most}, with which optimizer = "{self.optimizer}" replaces all weights: set less'
        if self.learning_rate > most:
            yield f"learning_rate = {self.learning_rate} is {why}"
        if self.tune != "never" and self.tune_range[1] > most:
            yield f"tune_range = {list(self.tune_range)} ends {why}"

    def _conflicts_of_thresholds(self) -> Iterator[str]:
        if self.select_by not in (known := metric_names(list(self.classes))):
            yield f"select_by: unknown metric {self.select_by!r}, known: {', '.join(known)}"
        if not self.thresholds:
            yield "thresholds is empty: a gate without a threshold blesses anything"
        names = gate_names(list(self.classes), self.segment_scores, self.first_foreground)
        for key, value in self.thresholds.items():
            metric, of_slice = split_key(key, [*names, *SEGMENT_SCORES])
            if metric in SEGMENT_SCORES and not self.segment_scores:
                yield f"thresholds: {key} is measured only with segment_scores = true"
            elif not metric:
                yield f"thresholds: unknown metric {key!r}, known: {', '.join(names)}"
            elif key != metric and (found := why_unknown(of_slice, self.slices)):
                yield f"thresholds: {key!r}: {found}"
            if not 0 <= value <= 1:
                yield f"thresholds: {key} = {value}: all metrics lie between 0 and 1"
