"""The peers: networks, losses and optimizers as their own projects recommend them, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import monai
import segmentation_models_pytorch as smp
import torch
from torch import nn

Schedule = Callable[[float], float]


@dataclass(frozen=True)
class Peer:
    """One way of training: what is trained, and by what.

    Attributes:
        network: returns logits [B, classes, H, W] of patches [B, channels, H, W]; in training with deep
            supervision [B, heads, classes, H, W].
        loss: loss of logits and class indices [B, 1, H, W].
        optimizer: optimizer of the network, at its highest learning rate.
        schedule: factor of the learning rate, by the share of the minutes that is over.
        batch: patches in a step.
    """

    network: nn.Module
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    batch: int


def cosine(t: float) -> float:
    """Half a period of the cosine, from 1 to 0."""
    return (1 + torch.cos(torch.tensor(torch.pi * t)).item()) / 2


def polynomial(t: float) -> float:
    """The schedule of nnU-Net."""
    return float((1 - t) ** 0.9)


def make(name: str, channels: int, classes: int, side: int) -> Peer:
    """Makes a peer.

    Args:
        name: "monai", "dynunet" or "smp".
        channels: number of channels of the images.
        classes: number of classes.
        side: side of the training patches, in pixels.
    """
    dice_ce = monai.losses.DiceCELoss(to_onehot_y=True, softmax=True)
    if name == "monai":
        network: nn.Module = monai.networks.nets.UNet(
            2, channels, classes, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2), num_res_units=2
        )
        return Peer(network, dice_ce, torch.optim.Adam(network.parameters(), 1e-3), cosine, 4)
    if name == "dynunet":
        levels = min(8, side.bit_length() - 2)  # until 4 x 4 pixels are left, as nnU-Net plans it
        strides = [1] + [2] * (levels - 1)
        network = monai.networks.nets.DynUNet(
            2, channels, classes, kernel_size=[3] * levels, strides=strides, upsample_kernel_size=strides[1:],
            filters=[min(32 * 2**level, 512) for level in range(levels)],
            deep_supervision=True, deep_supr_num=min(4, levels - 2),
        )  # fmt: skip

        def supervised(outputs: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
            if outputs.ndim == 4:
                return dice_ce(outputs, truth)
            heads = outputs.unbind(1)  # all at the size of the output
            weights = [0.5**level for level in range(len(heads))]
            losses = [weight * dice_ce(head, truth) for weight, head in zip(weights, heads, strict=True)]
            return torch.stack(losses).sum() / sum(weights)

        optimizer = torch.optim.SGD(
            network.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5
        )
        return Peer(network, supervised, optimizer, polynomial, 2)
    if name == "smp":
        network = smp.Unet("resnet18", encoder_weights=None, in_channels=channels, classes=classes)
        return Peer(network, dice_ce, torch.optim.Adam(network.parameters(), 1e-3), cosine, 4)
    raise ValueError(f"unknown peer: {name}")
