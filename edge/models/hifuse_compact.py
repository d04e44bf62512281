"""HiFuse for phones: the three branches of `hifuse.py` and their fusion, small enough for a phone.

What is kept of Huo et al. (arXiv:2209.10218), stage by stage on maps of side S/4, S/8, S/16 and S/32: a local branch of
depthwise convolutions, a global branch of attention in windows, every second block's windows shifted, and the adaptive
fusion of both with what the stage before fused: attention to places for the local maps, to channels for the global
ones, then an inverted MLP.

What is ours, for phones; `docs/hifuse.md` has the measurements:
- one stem of a 3x3 convolution with stride 2 for both branches, and 2x2 convolutions with stride 2 between the stages
  (which is what merging patches is);
- batch norm instead of layer norm, so that nothing of it is left in an exported graph. Between it and a 1x1 convolution
  another linear layer adds nothing: the fusion reads its inputs without projecting each first;
- the map of the stage before is halved before its projection and not after: a quarter of the products;
- Hardswish instead of GELU;
- windows divide every map: their sides are the divisors of its sides that are nearest to 7, on 7 x 7 places and fewer
  the whole map. At 224 pixels these are the published windows. Nothing is filled up, and shifts, masks and position
  biases are constants of the exported graph.

Input is RGB in [0, 1], any side that is a multiple of 32; the weights do not depend on the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.hifuse import MASKED, offsets, rolled
from edge.models.layers import StochasticDepth, initialise

MEAN = (0.0, 0.0, 0.0)  # RGB, of values in [0, 1]
STD = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int, int]  # channels of the four stages
    depths: tuple[int, int, int, int]  # blocks per stage, in the local and in the global branch alike
    head: int  # channels of an attention head
    wider: int  # hidden channels of the inverted MLP / channels of the stage
    window: int = 7  # places; the windows of a map have the nearest side that divides it
    stem: int = 16  # channels
    drop: float = 0.05  # stochastic depth of the last block of a branch, the others scale linearly, and of the fusions
    dropout: float = 0.1  # before the last linear layer
    layer_norm: bool = False  # before attention, as published, instead of batch norm
    activation: type[nn.Module] = nn.Hardswish


VARIANTS = {"hifuse_tiny_compact": Config((24, 48, 96, 192), (2, 2, 2, 2), head=24, wider=4)}

REACH = 7  # places; further apart, a position bias no longer changes
SQUEEZE = 4  # channels / hidden channels of channel attention


class Unit(nn.Sequential):
    """Convolution without bias, batch norm, and what `activation` makes of them."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, activation: type[nn.Module] | None,
        *, stride: int = 1, groups: int = 1,
    ) -> None:  # fmt: skip
        padding = (kernel - 1) // 2
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        if activation:
            layers.append(activation())
        super().__init__(*layers)


class LocalBlock(nn.Module):
    def __init__(self, width: int, drop: float, activation: type[nn.Module]) -> None:
        super().__init__()
        self.depthwise = Unit(width, width, 3, None, groups=width)
        self.pointwise = Unit(width, width, 1, activation)
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.pointwise(self.depthwise(x)))


def window_side(side: int, wanted: int) -> int:
    """The divisor of `side` whose ratio to `wanted` is nearest to 1; the smaller of two that are as near."""
    return min((d for d in range(1, side + 1) if side % d == 0), key=lambda d: (abs(log(d / wanted)), d))


def shift_of(side: int, window: int) -> int:
    """By how many places shifted windows of a map are moved along one axis."""
    return window // 2 if window < side else 0


@lru_cache(maxsize=64)
def masks(height: int, breadth: int, tall: int, broad: int) -> tuple[np.ndarray, np.ndarray]:
    """What is added to scores in windows of tall x broad places, so that none attends across an edge of the rolled map.

    float32 (H / tall, 1, L, L) for places above and below an edge, by the row of windows, and (W / broad, 1, L, L) for
    left and right, by the column.
    """
    rows, columns = (separated(side, window) for side, window in ((height, tall), (breadth, broad)))
    down = np.kron(rows, np.ones((1, broad, broad)))
    across = np.tile(columns, (1, tall, tall))
    return down[:, None].astype(np.float32), across[:, None].astype(np.float32)


def separated(side: int, window: int) -> np.ndarray:
    """(windows, window, window) along one axis: MASKED for two places that only the roll put into one window."""
    wrapped = np.roll(np.arange(side) < shift_of(side, window), -shift_of(side, window)).reshape(-1, window)
    return np.where(wrapped[:, :, None] != wrapped[:, None, :], MASKED, 0.0)


class WindowAttention(nn.Module):
    """Multi-head attention inside the windows of a map, with a bias for the distance of two places.

    With `shifted`, the map is rolled by half a window first and back afterwards, and places that this brought together
    over an edge do not see each other. A map that is one window is never shifted.
    """

    def __init__(self, width: int, config: Config, *, shifted: bool) -> None:
        super().__init__()
        self.heads, self.head, self.window, self.shifted = width // config.head, config.head, config.window, shifted
        self.norm = nn.LayerNorm(width) if config.layer_norm else nn.BatchNorm2d(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.table = nn.Parameter(nn.init.trunc_normal_(torch.empty((2 * REACH + 1) ** 2, self.heads), std=0.02))
        self.out = Unit(width, width, 1, config.activation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> likewise."""
        batch, width, height, breadth = x.shape
        tall, broad = (window_side(side, self.window) for side in (height, breadth))
        down, across = height // tall, breadth // broad  # windows in a column and in a row
        shifts = (shift_of(height, tall), shift_of(breadth, broad)) if self.shifted else (0, 0)
        x = rolled(x, (2, 3), (-shifts[0], -shifts[1]))
        tokens = self.qkv(self.normed(x)).permute(0, 2, 3, 1)  # (N, H, W, 3 C)
        tokens = tokens.reshape(batch * down, tall, across, broad * 3 * width).transpose(1, 2)
        q, k, v = (
            part.reshape(-1, tall * broad, self.heads, self.head).transpose(1, 2)
            for part in tokens.reshape(-1, tall * broad, 3 * width).chunk(3, dim=-1)
        )  # each (windows, heads, L, C / heads), L places in a window
        scores = q @ k.transpose(-2, -1) * self.head**-0.5
        index = torch.from_numpy(offsets(tall, broad, REACH)).to(x.device)
        bias = self.table[index].permute(2, 0, 1)  # (heads, L, L)
        if any(shifts):  # two masks, each as small as the axis of windows that it differs along
            down_mask, across_mask = (torch.from_numpy(mask).to(bias) for mask in masks(height, breadth, tall, broad))
            bias = (bias + across_mask).reshape(1, across * self.heads, *bias.shape[1:])
            scores = scores.reshape(batch * down, *bias.shape[1:]) + down_mask.repeat(batch, 1, 1, 1)
        y = torch.softmax(scores + bias, dim=-1).reshape(-1, self.heads, *bias.shape[-2:]) @ v
        y = y.transpose(1, 2).reshape(batch * down, across, tall, broad * width).transpose(1, 2)
        return rolled(self.out(y.reshape(batch, height, breadth, width).permute(0, 3, 1, 2)), (2, 3), shifts)

    def normed(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, nn.LayerNorm):
            return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.norm(x)


class GlobalBlock(nn.Module):
    def __init__(self, width: int, config: Config, drop: float, *, shifted: bool) -> None:
        super().__init__()
        self.attention = WindowAttention(width, config, shifted=shifted)
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.attention(x))


class Fusion(nn.Module):
    """Local and global maps of a stage, and what the stage before fused, into one map."""

    def __init__(self, width: int, before: int, config: Config) -> None:
        super().__init__()
        act = config.activation
        self.before = Unit(before, width, 1, nn.ReLU) if before else nn.Identity()
        self.mix = Unit((3 if before else 2) * width, width, 1, act)
        self.places = Unit(2, 1, 7, None)
        self.squeeze = nn.Sequential(
            nn.Conv2d(width, width // SQUEEZE, 1), nn.ReLU(), nn.Conv2d(width // SQUEEZE, width, 1)
        )
        self.spatial = Unit(3 * width, 3 * width, 3, act, groups=3 * width)
        self.widen = Unit(3 * width, config.wider * width, 1, act)
        self.narrow = Unit(config.wider * width, width, 1, None)
        self.drop = StochasticDepth(config.drop)

    def forward(self, local: Tensor, context: Tensor, before: Tensor | None) -> Tensor:
        """`local` and `context`: (N, C, H, W); `before`: (N, C of the stage before, 2 H, 2 W) -> (N, C, H, W)."""
        shortcut = None if before is None else self.before(F.avg_pool2d(before, 2))
        mixed = self.mix(torch.cat([local, context] if shortcut is None else [local, context, shortcut], 1))
        seen = torch.cat([local.amax(1, keepdim=True), local.mean(1, keepdim=True)], 1)
        local = local * torch.sigmoid(self.places(seen))
        largest, mean = (self.squeeze(pool(context, dim=(2, 3), keepdim=True)) for pool in (torch.amax, torch.mean))
        context = context * torch.sigmoid(largest + mean)
        y = torch.cat([context, local, mixed], 1)
        y = self.drop(self.narrow(self.widen(self.spatial(y) + y)))
        return y if shortcut is None else shortcut + y


class HiFuseCompact(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        act, depths = config.activation, config.depths
        rates = np.linspace(0, config.drop, sum(depths)).tolist()
        self.stem = Unit(3, config.stem, 3, act, stride=2)
        self.local, self.context, self.fusions = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before, fused, done = config.stem, 0, 0
        for width, depth in zip(config.widths, depths, strict=True):
            drops = rates[done : done + depth]
            self.local.append(
                nn.Sequential(Unit(before, width, 2, None, stride=2), *(LocalBlock(width, d, act) for d in drops))
            )
            self.context.append(
                nn.Sequential(
                    Unit(before, width, 2, None, stride=2),
                    *(GlobalBlock(width, config, d, shifted=k % 2 == 1) for k, d in enumerate(drops)),
                )
            )
            self.fusions.append(Fusion(width, fused, config))
            before, fused, done = width, width, done + depth
        self.last = Unit(before, 2 * before, 1, act)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(2 * before, num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """RGB (N, 3, H, W) in [0, 1], H and W multiples of 32 -> logits (N, num_classes)."""
        local = context = self.stem(x)
        fused = None
        for local_stage, context_stage, fusion in zip(self.local, self.context, self.fusions, strict=True):
            local, context = local_stage(local), context_stage(context)  # (N, C, H/4, W/4), then /8, /16, /32
            fused = fusion(local, context, fused)
        return self.classifier(self.dropout(self.last(fused).mean(dim=(2, 3))))


def build(name: str, *, num_classes: int) -> HiFuseCompact:
    return HiFuseCompact(VARIANTS[name], num_classes)
