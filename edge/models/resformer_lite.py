"""ResFormer for phones: class and mask with the ideas of `resformer.py`, small enough for a phone.

What is kept of Bui et al. (arXiv:2412.00351): convolutions and attention side by side and added, skips enhanced by
dilated convolutions, one decoder for the mask, and a class head that reads both deep scales.

What is ours, for phones: inverted residuals, attention beside them at strides 16 and 32 alone, depthwise-separable
enhancement with rates that grow with the map, and bilinear upsampling. The graph is static and of rank 4 at most.

Input is RGB in [0, 1], any side that is a multiple of 32; the weights do not depend on the side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.resformer import DILATIONS, SpatialAttention, normed

MEAN, STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # of values in [0, 1]
MASKS = True  # returns (logits, mask logits)


@dataclass(frozen=True)
class Config:
    channels: tuple[int, int, int, int, int] = (24, 32, 64, 112, 192)  # at strides 2 to 32
    blocks: tuple[int, int, int, int, int] = (1, 2, 3, 4, 3)  # inverted residuals at these strides
    expansion: int = 4
    attention: tuple[int, int] = (2, 2)  # transformer blocks at strides 16 and 32
    heads: int = 4
    features: int = 256  # of each scale in the class head


VARIANTS = {"resformer_lite": Config()}
REFERENCE = 56  # pixels: a map of this side is enhanced with DILATIONS, smaller ones with smaller rates
DROPOUT = 0.1


class InvertedResidual(nn.Module):
    """Expand, depthwise 3x3, project; Sandler et al., arXiv:1801.04381."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = normed(nn.Conv2d(inputs, hidden, 1, bias=False), hidden)
        self.depthwise = normed(nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), hidden)
        self.project = normed(nn.Conv2d(hidden, outputs, 1, bias=False), outputs, activate=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class Attention(nn.Module):
    """x + attention over the whole map, x + MLP, on tokens (N, T, C)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = (
            part.reshape(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        y = torch.softmax(q @ k.transpose(-2, -1) * self.scale, dim=-1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.norm2(x))


class Beside(nn.Module):
    """A stage of inverted residuals and, beside it and added, attention over the merged map."""

    def __init__(self, inputs: int, outputs: int, count: int, blocks: int, config: Config) -> None:
        super().__init__()
        self.conv = stage(inputs, outputs, count, config.expansion)
        self.merge = separable(inputs, outputs, stride=2, activate=False)
        self.blocks = nn.Sequential(*(Attention(outputs, config.heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        local, merged = self.conv(x), self.merge(x)
        tokens = self.norm(self.blocks(merged.flatten(2).transpose(1, 2)))
        return local + tokens.transpose(1, 2).reshape(local.shape)


def stage(inputs: int, outputs: int, count: int, expansion: int) -> nn.Sequential:
    first = InvertedResidual(inputs, outputs, stride=2, expansion=expansion)
    rest = (InvertedResidual(outputs, outputs, stride=1, expansion=expansion) for _ in range(count - 1))
    return nn.Sequential(first, *rest)


def separable(inputs: int, outputs: int, *, stride: int = 1, activate: bool = True) -> nn.Sequential:
    """Depthwise 3x3 and 1x1, each with batch norm."""
    return nn.Sequential(
        normed(nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), inputs, activate=False),
        normed(nn.Conv2d(inputs, outputs, 1, bias=False), outputs, activate=activate),
    )


class Dilated(nn.Conv2d):
    """A depthwise 3x3 convolution whose dilation grows with the map, so that it sees the same share of any.

    In float32 also where mixed precision is on: the gradient of such a kernel in bfloat16 reads memory that is not its
    own (PyTorch 2.13.0 on an x86-64 CPU, maps of 32 x 32 in channels-last order: up to 1e33 times too large, or NaN).
    """

    def __init__(self, channels: int, number: int) -> None:
        super().__init__(channels, channels, 3, groups=channels, bias=False)
        self.number = number  # of the branch, from 1

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self.dilated(x.float())
        return self.dilated(x)

    def dilated(self, x: Tensor) -> Tensor:
        rate = self.rate(int(x.shape[-1]))
        return F.conv2d(x, self.weight, None, 1, rate, rate, self.groups)

    def rate(self, side: int) -> int:
        """DILATIONS on a map of REFERENCE pixels, in proportion on others, at least the branch's number."""
        wanted = (2 * DILATIONS[self.number - 1] * side + REFERENCE) // (2 * REFERENCE)  # half up
        return max(self.number, wanted)


class Enhancement(nn.Module):
    """`resformer.FourBranches` with depthwise-separable branches of a quarter of the channels and 1x1 fusion."""

    def __init__(self, c: int) -> None:
        super().__init__()
        narrow = c // 4
        dilated = (
            nn.Sequential(
                normed(Dilated(c, number), c, activate=False), normed(nn.Conv2d(c, narrow, 1, bias=False), narrow)
            )
            for number in range(1, len(DILATIONS) + 1)
        )
        self.branches = nn.ModuleList([normed(nn.Conv2d(c, narrow, 1, bias=False), narrow), *dilated])
        self.fuse = normed(nn.Conv2d(4 * narrow, c, 1, bias=False), c, activate=False)
        self.shortcut = normed(nn.Conv2d(c, c, 1, bias=False), c, activate=False)
        self.attention = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        y = self.fuse(torch.cat([branch(x) for branch in self.branches], dim=1))
        return self.attention(F.relu(y + self.shortcut(x)))


class ResFormerLite(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        c, counts = config.channels, config.blocks
        self.stem = normed(nn.Conv2d(3, c[0], 3, 2, 1, bias=False), c[0])
        self.shallow = nn.Sequential(*(separable(c[0], c[0]) for _ in range(counts[0])))
        self.stages = nn.ModuleList(
            [
                stage(c[0], c[1], counts[1], config.expansion),
                stage(c[1], c[2], counts[2], config.expansion),
                Beside(c[2], c[3], counts[3], config.attention[0], config),
                Beside(c[3], c[4], counts[4], config.attention[1], config),
            ]
        )
        self.enhance = nn.ModuleList(Enhancement(width) for width in c[1:])
        self.join = nn.ModuleList(separable(c[k + 1] + c[k], c[k]) for k in (3, 2, 1))
        self.mask = nn.Conv2d(c[1], 1, 1)
        self.scales = nn.ModuleList(
            normed(nn.Conv2d(width, config.features, 1, bias=False), config.features) for width in c[-2:]
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(2 * config.features, num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """RGB (N, 3, S, S) in [0, 1], S a multiple of 32 -> logits (N, K) and mask logits (N, 1, S, S)."""
        size = x.shape[2:]
        x = self.shallow(self.stem(x))
        maps = []
        for part in self.stages:
            x = part(x)
            maps.append(x)  # strides 4, 8, 16, 32
        pooled = [head(y).mean(dim=(2, 3)) for head, y in zip(self.scales, maps[-2:], strict=True)]
        logits = self.classifier(self.dropout(torch.cat(pooled, dim=1)))
        *skips, y = (enhance(y) for enhance, y in zip(self.enhance, maps, strict=True))
        for join, skip in zip(self.join, reversed(skips), strict=True):
            y = F.interpolate(y, size=skip.shape[2:], mode="bilinear", align_corners=False)
            y = join(torch.cat((skip, y), dim=1))
        return logits, F.interpolate(self.mask(y), size=size, mode="bilinear", align_corners=False)


def initialise(module: nn.Module) -> None:
    """Kaiming normal (fan-out, of a channel's own group) convolutions, Xavier uniform linears, zero biases.

    PyTorch counts all output channels even of a depthwise convolution, whose results then are tiny until batch norm has
    seen them; a network without training could not be judged by its answers.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(
            module.weight, std=(2 * module.groups / (module.weight[0, 0].numel() * len(module.weight))) ** 0.5
        )
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def build(name: str, *, num_classes: int) -> ResFormerLite:
    return ResFormerLite(VARIANTS[name], num_classes)
