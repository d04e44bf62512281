"""Layers that several families share."""

from __future__ import annotations

from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Drop a residual branch for whole samples in training; arXiv:1603.09382."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0.0:
            return x
        keep = 1.0 - self.probability
        mask = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep)
        return x * mask / keep


class MapNorm(nn.LayerNorm):
    """Layer norm over the channels of every place of a map (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def initialise(module: nn.Module) -> None:
    """Kaiming normal (fan-out) convolutions, Xavier uniform linears, zero biases.

    With PyTorch's defaults the network does not begin to learn within 20 epochs of a small set.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
