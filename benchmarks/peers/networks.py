"""The peers in PyTorch: networks, losses and optimizers as their own projects recommend them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import monai
import numpy as np
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from torch import nn


@dataclass(frozen=True)
class Peer:
    """One way of training: what is trained, and by what.

    Attributes:
        network: returns logits [B, classes, H, W] of patches [B, channels, H, W]; in training with deep
            supervision [B, heads, classes, H, W].
        loss: loss of logits and class indices [B, 1, H, W].
        optimizer: optimizer of the network, at its highest learning rate.
        schedule: "cosine" or "polynomial", over the minutes of the training.
        batch: number of patches in a step.
        clip: highest norm of the gradients, or None.
    """

    network: nn.Module
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    schedule: str
    batch: int
    clip: float | None = None


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
        return Peer(network, dice_ce, torch.optim.Adam(network.parameters(), 1e-3), "cosine", 4)
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
        return Peer(network, supervised, optimizer, "polynomial", 2, clip=12)  # as nnU-Net
    if name == "smp":
        network = smp.Unet("resnet18", encoder_weights=None, in_channels=channels, classes=classes)
        return Peer(network, dice_ce, torch.optim.Adam(network.parameters(), 1e-3), "cosine", 4)
    raise ValueError(f"unknown peer: {name}")


class TorchPeer:
    """A training of one of these peers, eager and in channels_last.

    Attributes:
        rate: highest learning rate.
        schedule: name of the learning-rate schedule.
        batch: number of patches in a step.
        parameters: number of trainable parameters.
    """

    def __init__(self, name: str, channels: int, classes: int, side: int, bfloat16: bool, seed: int):
        """Makes the network.

        Args:
            name: "monai", "dynunet" or "smp".
            channels: number of channels of the images.
            classes: number of classes.
            side: side of the training patches, in pixels.
            bfloat16: train by autocast.
            seed: seed of the weights.
        """
        torch.manual_seed(seed)
        self._peer, self._side, self._bfloat16 = make(name, channels, classes, side), side, bfloat16
        self._network = self._peer.network.to(memory_format=torch.channels_last).train()
        self._weights = list(self._network.parameters())
        self.rate = self._peer.optimizer.param_groups[0]["lr"]
        self.schedule, self.batch = self._peer.schedule, self._peer.batch
        self.parameters = sum(weights.numel() for weights in self._weights)

    def step(self, x: NDArray[np.float32], y: NDArray[np.int64], rate: float) -> None:
        """Trains with patches [B, channels, H, W] and their class indices [B, H, W]."""
        self._peer.optimizer.param_groups[0]["lr"] = rate
        self._peer.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            logits = self._network(torch.from_numpy(x).contiguous(memory_format=torch.channels_last))
        self._peer.loss(logits.float(), torch.from_numpy(y)[:, None]).backward()
        if self._peer.clip:
            torch.nn.utils.clip_grad_norm_(self._weights, self._peer.clip)
        self._peer.optimizer.step()

    @torch.inference_mode()
    def probabilities(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predicts [H, W, classes] of [channels, H, W]: half-overlapping windows, Gaussian weights."""
        self._network.eval()  # no training follows
        logits = monai.inferers.sliding_window_inference(
            torch.from_numpy(image)[None], self._side, 4, self._network,
            overlap=0.5, mode="gaussian", padding_mode="reflect",
        )  # fmt: skip
        return logits.softmax(1)[0].permute(1, 2, 0).numpy()
