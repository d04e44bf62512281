"""HierAttn: a small hybrid network with stage and branch attention for skin lesions.

Dai et al., "Deeply Supervised Skin Lesions Diagnosis With Stage and Branch Attention",
IEEE JBHI 28(2):719-729, 2024, arXiv:2205.04326. Written from a description of the network; it
computes what the authors' released code computes (`tests/golden/hierattn_*.json`, 1e-9 in float64).

Input is RGB in [0, 1] (the authors only divide by 255), any side that is a multiple of 32.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .layers import StochasticDepth, initialise


@dataclass(frozen=True)
class Config:
    expansion: int  # hidden / input channels of an MBConv
    channels: tuple[int, int, int, int, int]  # output channels of layers 1 to 5
    widths: tuple[int, int, int]  # token width of the stage blocks in layers 3 to 5
    dropout: float  # after the second linear of every MLP
    depths: tuple[int, int, int] = (2, 4, 3)  # transformer blocks of layers 3 to 5


VARIANTS = {
    "hierattn_xs": Config(2, (16, 24, 48, 64, 80), (64, 80, 96), dropout=0.05),
    "hierattn_s": Config(4, (32, 48, 64, 80, 96), (96, 120, 144), dropout=0.1),
    "hierattn_m": Config(4, (32, 64, 96, 128, 160), (144, 192, 240), dropout=0.1),
}

MEAN, STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # the authors only divide by 255
SIDE = 256  # pixels of the published weights
STEM_CHANNELS = 16
HEADS = 4
PATCH = 2  # a 2x2 patch; each of its four positions is a token sequence of its own
POOL_SIDES = (1, 1, 3, 5)  # 1 + 1 + 9 + 25 = 36 positions, seen as a 6x6 map
HIER_SIDE = 6
STOCHASTIC_DEPTH = 0.2  # of the deepest of the three residual MBConvs; the others scale linearly
HEAD_DROPOUT = 0.1


class Unit(nn.Sequential):
    """Convolution without bias, batch norm, and SiLU unless `activate` is off."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, activate: bool = True
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
        ]
        if activate:
            layers.append(nn.SiLU())
        super().__init__(*layers)


class SameChannelAttention(nn.Module):
    """x * sigmoid(global mean of x): squeeze-and-excitation without its two linears."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.device.type == "cpu":
            return Gated.apply(x)
        return x * torch.sigmoid(x.mean(dim=(2, 3), keepdim=True))


class Gated(torch.autograd.Function):
    """x * sigmoid(global mean of x) for maps (N, C, H, W), in fewer passes over them than PyTorch takes.

    Has no second derivative.
    Its mean of bfloat16 copies the map to float32, which its sum does not. Its backward pass spreads the mean's
    gradient over a map with channels first, and adds that to one with channels last.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gate = torch.sigmoid(x.sum(dim=(2, 3), keepdim=True) / x.shape[2:].numel())
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, gate = ctx.saved_tensors
        of_mean = (gradient * x).sum(dim=(2, 3), keepdim=True) * gate * (1 - gate)
        return torch.addcmul(of_mean / x.shape[2:].numel(), gradient, gate)


class MBConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int, drop: float = 0.0) -> None:
        super().__init__()
        hidden = expansion * inputs
        self.expand = Unit(inputs, hidden, 1)
        self.depthwise = Unit(hidden, hidden, 3, stride=stride, groups=hidden)
        self.attention = SameChannelAttention()
        self.project = Unit(hidden, outputs, 1, activate=False)
        self.residual = stride == 1 and inputs == outputs
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.attention(self.depthwise(self.expand(x))))
        return x + self.drop(y) if self.residual else y


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.scale = (width // HEADS) ** -0.5

    def forward(self, x: Tensor) -> Tensor:
        sequences, tokens, width = x.shape
        q, k, v = (
            part.reshape(sequences, tokens, HEADS, width // HEADS).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )  # each (sequences, heads, tokens, width / heads)
        if self.training and x.device.type == "cpu":
            y = quick_attention(q, k, v, self.scale)
        else:
            y = torch.softmax(q @ k.transpose(-2, -1) * self.scale, dim=-1) @ v
        return self.out(y.transpose(1, 2).reshape(sequences, tokens, width))


def quick_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(scale q k^T) v for (sequences, heads, tokens, channels), the way that trains fastest on a CPU.

    PyTorch's fused product takes about half the time in float32. In bfloat16 its backward pass takes twice as long as
    one that is written out, for 256 tokens, and more for fewer. There, scaling the queries saves going over the scores.
    """
    if q.dtype == torch.bfloat16:
        return torch.softmax((q * scale) @ k.transpose(-2, -1), dim=-1) @ v
    return F.scaled_dot_product_attention(q, k, v, scale=scale)


class TransformerBlock(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class StageBlock(nn.Module):
    """Convolution for the neighbourhood, attention over the whole map, fused with the block's input."""

    def __init__(self, channels: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.local = Unit(channels, channels, 3)
        self.widen = nn.Conv2d(channels, width, 1, bias=False)
        self.blocks = nn.Sequential(*(TransformerBlock(width, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.narrow = Unit(width, channels, 1)
        self.fuse = Unit(2 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.widen(self.local(x))
        size = y.shape[-2:]
        even = [side + side % PATCH for side in size]
        if even != list(size):
            y = F.interpolate(y, size=even, mode="bilinear", align_corners=False)
        y = fold(self.norm(self.blocks(unfold(y))), even)
        if even != list(size):
            y = F.interpolate(y, size=size, mode="bilinear", align_corners=False)
        return self.fuse(torch.cat((x, self.narrow(y)), dim=1))


def unfold(x: Tensor) -> Tensor:
    """(B, d, H, W) -> (4 B, H/2 * W/2, d): the pixels at one place of every 2x2 patch are one sequence."""
    batch, width, height, breadth = x.shape
    x = x.reshape(batch, width, height // PATCH, PATCH, breadth // PATCH, PATCH)
    x = x.permute(0, 3, 5, 2, 4, 1)  # batch, row and column in the patch, row and column of the patch, channel
    return x.reshape(batch * PATCH * PATCH, -1, width)


def fold(x: Tensor, size: list[int]) -> Tensor:
    """The inverse of `unfold` for a map of `size` = [H, W]."""
    height, breadth = size
    width = x.shape[-1]
    x = x.reshape(-1, PATCH, PATCH, height // PATCH, breadth // PATCH, width)
    return x.permute(0, 5, 3, 1, 4, 2).reshape(-1, width, height, breadth)


class HierAttn(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = config.channels
        e = config.expansion
        drops = [STOCHASTIC_DEPTH * k / 3 for k in (1, 2, 3)]
        self.stem = Unit(3, STEM_CHANNELS, 3, stride=2)
        self.layer1 = MBConv(STEM_CHANNELS, c1, stride=1, expansion=e, drop=drops[0])
        self.layer2 = nn.Sequential(
            MBConv(c1, c2, stride=2, expansion=e),
            MBConv(c2, c2, stride=1, expansion=e, drop=drops[1]),
            MBConv(c2, c2, stride=1, expansion=e, drop=drops[2]),
        )
        self.layer3, self.layer4, self.layer5 = (
            nn.Sequential(MBConv(before, after, stride=2, expansion=e), StageBlock(after, width, depth, config.dropout))
            for before, after, width, depth in zip(
                (c2, c3, c4), (c3, c4, c5), config.widths, config.depths, strict=True
            )
        )
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(side) for side in POOL_SIDES)
        total = c3 + c4 + c5
        self.hier = Unit(total, 4 * total, 1)
        self.dropout = nn.Dropout(HEAD_DROPOUT)
        self.classifier = nn.Linear(4 * total, num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """RGB (N, 3, H, W) in [0, 1], H and W multiples of 32 -> logits (N, num_classes)."""
        x = self.layer2(self.layer1(self.stem(x)))  # (N, c2, H/4, W/4)
        stages = []
        for layer in (self.layer3, self.layer4, self.layer5):
            x = layer(x)
            stages.append(x)  # (N, c, H/8, W/8), then /16, then /32
        branches = [torch.cat([pool(stage) for stage in stages], dim=1).flatten(2) for pool in self.pools]
        y = torch.cat(branches, dim=2)  # (N, c3 + c4 + c5, 36)
        if self.training:
            y = y[..., torch.randperm(y.shape[2], device=y.device)]  # the authors' branch shuffle
        y = self.hier(y.reshape(y.shape[0], -1, HIER_SIDE, HIER_SIDE))
        return self.classifier(self.dropout(y.abs().mean(dim=(2, 3))))


def build(name: str, *, num_classes: int) -> HierAttn:
    return HierAttn(VARIANTS[name], num_classes)


# The authors' names, one rule a line, applied in this order; `\1` keeps what the group matched.
RENAMES = (
    (r"^Conv1\.", "stem."),
    (r"^Layer1\.0\.", "layer1."),
    (r"^Layer(\d)\.", r"layer\1."),
    (r"\.Block\.0\.", ".expand."),
    (r"\.Block\.1\.", ".depthwise."),
    (r"\.Block\.3\.", ".project."),
    (r"\.LocalRep\.conv_3x3\.", ".local."),
    (r"\.LocalRep\.conv_1x1\.Conv\.", ".widen."),
    (r"\.GlobalRep\.0\.Layers\.(\d+)\.0\.0\.LayerNorm\.", r".blocks.\1.norm1."),
    (r"\.GlobalRep\.0\.Layers\.(\d+)\.0\.1\.toQKV\.", r".blocks.\1.attention.qkv."),
    (r"\.GlobalRep\.0\.Layers\.(\d+)\.0\.1\.toOut\.0\.", r".blocks.\1.attention.out."),
    (r"\.GlobalRep\.0\.Layers\.(\d+)\.1\.0\.LayerNorm\.", r".blocks.\1.norm2."),
    (r"\.GlobalRep\.0\.Layers\.(\d+)\.1\.1\.MLP\.0\.", r".blocks.\1.mlp.0."),
    (r"\.GlobalRep\.0\.Layers\.(\d+)\.1\.1\.MLP\.3\.", r".blocks.\1.mlp.2."),
    (r"\.GlobalRep\.1\.LayerNorm\.", ".norm."),
    (r"\.ConvProj\.", ".narrow."),
    (r"\.Fusion\.", ".fuse."),
    (r"^Conv1x1Hier\.", "hier."),
    (r"^Classifier\.fc\.", "classifier."),
    (r"\.Conv\.", ".0."),
    (r"\.Bn\.", ".1."),
)


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the authors' state dict to ours; values are untouched."""
    renamed = {}
    for theirs, value in state.items():
        ours = theirs
        for pattern, replacement in RENAMES:
            ours = re.sub(pattern, replacement, ours)
        renamed[ours] = value
    return renamed
