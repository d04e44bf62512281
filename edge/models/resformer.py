"""ResFormer: the class and the mask of a lesion from one network with convolutions and attention.

Bui, Le, Bum, Choo, "Multi-scale Feature Enhancement in Multi-task Learning for Medical Image Analysis", 2024,
arXiv:2412.00351. Written from a description of the network. The paper and the released code leave it open which
wiring is meant, so both are here:

* `resformer`: residual stages and Swin stages one after the other, dilated enhancement of all four encoder outputs
* `resformer_three_branch`: the same with the enhancement as the abstract has it, three dilated branches and no more
* `resformer_parallel`: residual and Swin stages side by side and added, no enhancement

What differs from the released code on purpose: channel attention after an MLP is taken over the channels of the map
(the code reads the tokens as a map without transposing them, which mixes pixels and channels).

`resformer_lite.py` is the one for phones. Input is RGB in [0, 1], of a side that is a multiple of 224 (windows of 14
tokens on maps of S/2 to S/16).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import InputError

from .layers import MapNorm, StochasticDepth

MEAN, STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # of values in [0, 1]
MASKS = True  # every network here returns (logits, mask logits)


@dataclass(frozen=True)
class Config:
    parallel: bool = False  # residual and Swin stages side by side, else one after the other
    enhancement: str | None = "four branches"  # of the encoder's outputs: four branches, three branches or None
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)  # residual blocks per stage, those of ResNet-34
    heads: tuple[int, int, int, int] = (2, 4, 8, 16)
    window: int = 14  # tokens


VARIANTS = {
    "resformer": Config(),
    "resformer_three_branch": Config(enhancement="three branches"),
    "resformer_parallel": Config(parallel=True, enhancement=None),
}

CHANNELS = (64, 128, 256, 512)  # of the four maps
SWIN_BLOCKS = 2  # per stage; the second one's windows are shifted by half
MLP_RATIO = 4
DROP_PATH = 0.1  # of the last Swin block; the others scale linearly from 0
HEAD_WIDTH = 32  # between the two linears of the class head
PATCH_KERNELS = ((2, 32), (4, 16), (8, 8), (16, 8))  # kernel and channels of the embeddings of the picture
DILATIONS = (6, 12, 18)
SPATIAL_KERNEL = 7
MASKED = -100.0  # added to the scores of tokens that are no neighbours


class ChannelAttention(nn.Module):
    """x * sigmoid(a) + x, with a mixed of the means of three neighbouring channels (ECA, arXiv:1910.03151)."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W)"""
        means = x.mean(dim=(2, 3)).unsqueeze(1)  # (N, 1, C)
        return x * torch.sigmoid(self.mix(means)).reshape(x.shape[0], -1, 1, 1) + x


class SpatialAttention(nn.Module):
    """x * sigmoid(convolution of the mean and the maximum over channels); CBAM, arXiv:1807.06521."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        return x * torch.sigmoid(self.mix(both))


def normed(convolution: nn.Module, channels: int, *, activate: bool = True) -> nn.Sequential:
    """A convolution, batch norm, and ReLU unless `activate` is off."""
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), *([nn.ReLU()] if activate else []))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added; He et al., arXiv:1512.03385."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = normed(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), outputs)
        self.second = normed(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), outputs, activate=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = normed(nn.Conv2d(inputs, outputs, 1, stride, bias=False), outputs, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class PatchEmbedding(nn.Module):
    """Four convolutions of the picture with windows of 2 to 16 pixels: (N, 3, S, S) -> (N, 64, S/2, S/2)."""

    def __init__(self) -> None:
        super().__init__()
        self.views = nn.ModuleList(nn.Conv2d(3, width, k, 2, (k - 2) // 2) for k, width in PATCH_KERNELS)
        self.attention = ChannelAttention()
        self.norm = MapNorm(sum(width for _, width in PATCH_KERNELS))

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(self.attention(torch.cat([view(image) for view in self.views], dim=1)))


class Merge(nn.Module):
    """Half the side, twice the channels, through windows of 2 and of 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = MapNorm(channels)
        self.near = nn.Conv2d(channels, channels, 2, 2)
        self.wide = nn.Conv2d(channels, channels, 4, 2, 1)
        self.attention = ChannelAttention()

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.attention(torch.cat((self.near(x), self.wide(x)), dim=1))


class WindowAttention(nn.Module):
    """Attention inside square windows with a learned bias for every offset; Liu et al., arXiv:2103.14030."""

    offsets: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        place = torch.stack(torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij")).flatten(1)
        apart = place[:, :, None] - place[:, None, :] + window - 1
        self.register_buffer("offsets", apart[0] * (2 * window - 1) + apart[1], persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(windows, tokens, width); `mask` (windows, heads or 1, tokens, tokens) is added to the scores."""
        windows, tokens, width = x.shape
        q, k, v = (
            part.reshape(windows, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        scores = q @ k.transpose(-2, -1) * self.scale + self.bias[self.offsets].permute(2, 0, 1)
        if mask is not None:
            scores = scores + mask
        return self.out((torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(windows, tokens, width))


@cache
def strangers(side: int, window: int, shift: int) -> np.ndarray:
    """float32 (windows, 1, tokens, tokens): what is added to scores on a map that was rolled by `shift`.

    The last windows of a rolled map hold pixels of opposite borders, which must not see each other.
    """
    edges = np.zeros(side, np.int64)
    edges[side - window : side - shift] = 1
    edges[side - shift :] = 2
    parts = 3 * edges[:, None] + edges[None]
    per_side = side // window
    parts = parts.reshape(per_side, window, per_side, window).transpose(0, 2, 1, 3).reshape(per_side**2, 1, -1)
    return np.where(parts[..., :, None] == parts[..., None, :], 0.0, MASKED).astype(np.float32)


class SwinBlock(nn.Module):
    """x + attention in windows, then x + an MLP that ends with channel attention; on maps (N, C, H, W)."""

    def __init__(self, width: int, heads: int, window: int, *, shifted: bool, drop: float) -> None:
        super().__init__()
        self.window, self.shifted = window, shifted
        self.norm1 = MapNorm(width)
        self.attention = WindowAttention(width, heads, window)
        self.norm2 = MapNorm(width)
        self.widen = nn.Conv2d(width, MLP_RATIO * width, 1)
        self.narrow = nn.Conv2d(MLP_RATIO * width, width, 1)
        self.channels = ChannelAttention()
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        side = x.shape[-1]
        # a map of one window has no border between windows that shifting could bridge
        shift = self.window // 2 if self.shifted and side > self.window else 0
        y = self.norm1(x).permute(0, 2, 3, 1)
        mask = None
        if shift:
            y = torch.roll(y, (-shift, -shift), (1, 2))
            mask = torch.from_numpy(strangers(side, self.window, shift)).to(y.device).repeat(x.shape[0], 1, 1, 1)
        y = from_windows(self.attention(in_windows(y, self.window), mask), side, self.window)
        if shift:
            y = torch.roll(y, (shift, shift), (1, 2))
        x = x + self.drop(y.permute(0, 3, 1, 2))
        return x + self.drop(self.channels(self.narrow(F.gelu(self.widen(self.norm2(x))))))


def in_windows(x: Tensor, window: int) -> Tensor:
    """(N, H, W, C) -> (N * windows, tokens, C), in steps of rank 4: a row of a window is window * C numbers."""
    n, height, breadth, channels = x.shape
    x = x.reshape(n * height // window, window, breadth // window, window * channels).transpose(1, 2)
    return x.reshape(-1, window * window, channels)


def from_windows(x: Tensor, side: int, window: int) -> Tensor:
    """The inverse of `in_windows` for a square map."""
    channels = x.shape[-1]
    x = x.reshape(-1, side // window, window, window * channels).transpose(1, 2)
    return x.reshape(-1, side, side, channels)


class FourBranches(nn.Module):
    """Dilated enhancement of a skip: 1x1 and three dilated 3x3 convolutions fused, a shortcut, spatial attention."""

    def __init__(self, c: int) -> None:
        super().__init__()
        dilated = [normed(nn.Conv2d(c, c, 3, padding=rate, dilation=rate, bias=False), c) for rate in DILATIONS]
        self.branches = nn.ModuleList([normed(nn.Conv2d(c, c, 1, bias=False), c), *dilated])
        self.fuse = normed(nn.Conv2d(4 * c, c, 3, padding=1, bias=False), c, activate=False)
        self.shortcut = normed(nn.Conv2d(c, c, 1, bias=False), c, activate=False)
        self.attention = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        y = self.fuse(torch.cat([branch(x) for branch in self.branches], dim=1))
        return self.attention(F.relu(y + self.shortcut(x)))


class ThreeBranches(nn.Module):
    """Dilated enhancement as a sum of three branches, no shortcut."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                normed(nn.Conv2d(c, c, 3, padding=rate, dilation=rate, bias=False), c, activate=False),
                normed(nn.Conv2d(c, c, 1, bias=False), c, activate=False),
            )
            for rate in DILATIONS
        )
        self.attention = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = (branch(x) for branch in self.branches)
        return self.attention(F.relu(first + second + third))


ENHANCEMENTS = {"four branches": FourBranches, "three branches": ThreeBranches}


class Up(nn.Module):
    """Twice the side by a learned 2x2 step, joined with the skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(inputs, outputs, 2, 2)
        self.join = normed(nn.Conv2d(2 * outputs, outputs, 3, padding=1, bias=False), outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.join(torch.cat((skip, self.grow(x)), dim=1))


class ResFormer(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        c, self.parallel, self.window = CHANNELS, config.parallel, config.window
        self.stem = normed(nn.Conv2d(3, c[0], 7, 1, 3, bias=False), c[0])
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.embed = PatchEmbedding()
        self.residual = nn.ModuleList(
            nn.Sequential(
                BasicBlock(before, after, 1 if before == after else 2),
                *(BasicBlock(after, after, 1) for _ in range(count - 1)),
            )
            for before, after, count in zip((c[0], *c), c, config.blocks, strict=False)
        )
        total = SWIN_BLOCKS * len(c)
        self.swin = nn.ModuleList(
            nn.Sequential(
                *(
                    SwinBlock(
                        width, heads, config.window, shifted=bool(k % 2),
                        drop=DROP_PATH * (stage * SWIN_BLOCKS + k) / (total - 1),
                    )
                    for k in range(SWIN_BLOCKS)
                )
            )
            for stage, (width, heads) in enumerate(zip(c, config.heads, strict=True))
        )  # fmt: skip
        self.merge = nn.ModuleList(Merge(width) for width in c[:-1])
        enhance = ENHANCEMENTS[config.enhancement] if config.enhancement else lambda _: nn.Identity()
        self.enhance = nn.ModuleList(enhance(width) for width in c)
        self.up = nn.ModuleList(Up(2 * width, width) for width in c[-2::-1])
        self.mask = nn.Conv2d(c[0], 1, 1, bias=False)
        self.scales = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU()) for width in c[-2:])
        self.reduce = nn.Linear(sum(c[-2:]), HEAD_WIDTH)
        self.classifier = nn.Linear(HEAD_WIDTH, num_classes)
        for linear in (self.reduce, self.classifier):
            nn.init.xavier_normal_(linear.weight)

    def encoded(self, image: Tensor) -> list[Tensor]:
        """The four maps, of sides S/2, S/4, S/8, S/16."""
        conv, tokens, maps = self.pool(self.stem(image)), self.embed(image), []
        if self.parallel:
            x = conv + tokens
            for stage, (residual, swin) in enumerate(zip(self.residual, self.swin, strict=True)):
                x = residual(x) + swin(self.merge[stage - 1](x) if stage else x)
                maps.append(x)
            return maps
        x = conv
        for stage, (residual, swin) in enumerate(zip(self.residual, self.swin, strict=True)):
            x = swin(residual(x) + (self.merge[stage - 1](x) if stage else tokens))
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """RGB (N, 3, S, S) in [0, 1] -> logits (N, K) and mask logits (N, 1, S, S)."""
        fits = 16 * self.window
        if x.shape[2] != x.shape[3] or x.shape[2] % fits:
            raise InputError(
                f"this network takes squares whose side is a multiple of {fits} pixels (its attention windows are "
                f"{self.window} tokens wide), got {x.shape[2]} x {x.shape[3]}; resformer_lite takes multiples of 32"
            )
        maps = self.encoded(x)
        pooled = [head(y).mean(dim=(2, 3)) for head, y in zip(self.scales, maps[-2:], strict=True)]
        logits = self.classifier(self.reduce(torch.cat(pooled, dim=1)))
        *skips, y = (enhance(y) for enhance, y in zip(self.enhance, maps, strict=True))
        for up, skip in zip(self.up, reversed(skips), strict=True):
            y = up(y, skip)
        # the 1x1 convolution and the resize commute; this way round the resize has one channel, not 64
        return logits, F.interpolate(self.mask(y), size=x.shape[2:], mode="bilinear", align_corners=True)


def build(name: str, *, num_classes: int) -> ResFormer:
    return ResFormer(VARIANTS[name], num_classes)
