"""From a configuration to what ImageMaskExampleGen and `check` read: the same for both."""

from __future__ import annotations

from pipeline.config.settings import PipelineConfig, settings_of
from pipeline.root import Root
from unet.dataset.settings import Settings


def data_settings(config: PipelineConfig, root: Root, skip: list[str] | None = None) -> Settings:
    """How the data of a configuration are read; `skip` as in `Settings`."""
    serving = str(config.serving_data.absolute()) if config.serving_data else None
    # The network sees the image after `scale`; the border term is computed before.
    sigma = config.border_sigma / config.scale if config.border_weight else 0.0
    return settings_of(
        Settings, config, border_sigma=sigma, serving_data=serving, splits_file=str(root.splits), skip=skip
    )
