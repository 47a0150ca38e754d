"""The network of the paper in eager PyTorch, to compare the speed of frameworks on the same work."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Twin(nn.Module):
    """The U-Net of figure 1 with two classes, in the memory format that oneDNN is fast in.

    Args:
        filters: filters of the first level.
        channels: channels of the images.
        padded: whether convolutions keep the size, as in the usual U-Nets of PyTorch, or are valid ones.
    """

    def __init__(self, filters: int, channels: int = 1, padded: bool = False) -> None:
        super().__init__()

        def pair(inner: int, outer: int) -> nn.Sequential:
            first, second = (nn.Conv2d(n, outer, 3, padding=int(padded)) for n in (inner, outer))
            return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))

        widths = [filters * 2**level for level in range(5)]
        narrower = widths[-2::-1]
        self.downs = nn.ModuleList(pair(a, b) for a, b in zip([channels, *widths], widths, strict=False))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in narrower)
        self.joins = nn.ModuleList(pair(2 * width, width) for width in narrower)
        self.last = nn.Conv2d(filters, 2, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns logits [B, 2, h, w] of images [B, channels, H, W]; [h, w] is [H, W] if it is padded."""
        skips = []
        for level, down in enumerate(self.downs):
            x = down(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, join, skip in zip(self.ups, self.joins, skips[-2::-1], strict=True):
            x = up(x)
            cut = (skip.shape[-1] - x.shape[-1]) // 2
            x = join(torch.cat([skip[..., cut : cut + x.shape[-2], cut : cut + x.shape[-1]], x], 1))
        return self.last(x)
