"""HiFuse: convolutions and shifted-window attention side by side, fused at every stage.

Huo et al., "HiFuse: Hierarchical multi-scale feature fusion network for medical image classification", Biomedical
Signal Processing and Control 87:105534, 2024, arXiv:2209.10218. Written from a description of the network; it computes
what the authors' released code computes (`tests/golden/hifuse_*.json`, 1e-9 in float64).

Every size exists twice. The paper draws the 3x3 convolution of the inverted MLP as depthwise, and `hifuse_tiny` has it
so; the released code hands the number of groups on and drops it, so that the authors' weights have a dense one:
`hifuse_tiny_released`. `hifuse_compact.py` is the one for phones.

Input is RGB normalised by MEAN and STD, any side that is a multiple of 32. The authors' windows of 7 fit sides that are
multiples of 224; elsewhere the maps are filled up to whole windows with places that nothing attends to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import InputError
from edge.models.layers import MapNorm, StochasticDepth

MEAN = (0.5, 0.5, 0.5)  # RGB, of values in [0, 1]
STD = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Config:
    depths: tuple[int, int, int, int]  # blocks per stage, in the local and in the global branch alike
    depthwise: bool  # the 3x3 of the inverted MLP; dense as released
    drop: float = 0.0  # stochastic depth of the last block of a branch, the others scale linearly, and of each fusion


TINY, SMALL, BASE = (2, 2, 2, 2), (2, 2, 6, 2), (2, 2, 18, 2)
VARIANTS = {
    "hifuse_tiny": Config(TINY, depthwise=True),
    "hifuse_small": Config(SMALL, depthwise=True),
    "hifuse_base": Config(BASE, depthwise=True),
    "hifuse_tiny_released": Config(TINY, depthwise=False),
    "hifuse_small_released": Config(SMALL, depthwise=False),
    "hifuse_base_released": Config(BASE, depthwise=False),
}

CHANNELS = (96, 192, 384, 768)
HEADS = (3, 6, 12, 24)
PATCH = 4  # pixels; both branches begin by patches of 4x4
WINDOW = 7  # places
SHIFT = 3  # places, in every second block
MASKED = -100.0  # added to the score of two places that do not belong together
SQUEEZE = 16  # channels / hidden channels of channel attention
WIDER = 4  # hidden / input channels of the inverted MLP
MAP_EPS = 1e-6  # of the layer norms of maps and of the head; those of the global branch have 1e-5


class NormedConvolution(nn.Sequential):
    """Convolution that keeps the size of the map, then batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias), nn.BatchNorm2d(outputs, eps=1e-5)
        )


# Local branch


class LocalBlock(nn.Module):
    def __init__(self, width: int, drop: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width, eps=MAP_EPS)
        self.linear = nn.Linear(width, width)
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.drop(F.gelu(self.linear(y)).permute(0, 3, 1, 2))


class LocalStage(nn.Module):
    """Maps (N, C, H, W) -> (N, width, H / 2, W / 2); the first stage takes the picture and divides by 4."""

    def __init__(self, stage: int, drops: list[float]) -> None:
        super().__init__()
        width = CHANNELS[stage]
        if stage == 0:
            self.down = nn.Sequential(nn.Conv2d(3, width, PATCH, PATCH), MapNorm(width, eps=MAP_EPS))
        else:
            before = CHANNELS[stage - 1]
            self.down = nn.Sequential(MapNorm(before, eps=MAP_EPS), nn.Conv2d(before, width, 2, 2))
        self.blocks = nn.Sequential(*(LocalBlock(width, drop) for drop in drops))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.down(x))


# Global branch; its maps are (N, H, W, C)


@lru_cache(maxsize=64)
def apart(height: int, width: int, window: int, shift: int) -> np.ndarray | None:
    """What is added to scores so that only neighbours attend to each other: float32 (windows, 1, L, L), L = window^2.

    Windows are in row-major order over a map of height x width places that was filled up to whole windows below and on
    the right and then rolled up and to the left by `shift`: places that only the rolling brought together do not attend
    to each other, and nothing attends to the filling. None where all of them are neighbours.
    """
    rows, columns = (
        np.roll(np.where(np.arange(whole) < side, 1 + (np.arange(whole) < shift), 0), -shift)
        for side, whole in ((height, filled(height, window)), (width, filled(width, window)))
    )
    regions = np.where((rows[:, None] > 0) & (columns[None] > 0), 3 * rows[:, None] + columns[None], 0)
    regions = regions.reshape(len(rows) // window, window, len(columns) // window, window)
    regions = regions.transpose(0, 2, 1, 3).reshape(-1, 1, 1, window * window)
    different = regions != regions.swapaxes(2, 3)
    return np.where(different, MASKED, 0.0).astype(np.float32) if different.any() else None


def filled(side: int, window: int) -> int:
    """The side of a map filled up to whole windows."""
    return -(-side // window) * window


def rolled(x: Tensor, axes: tuple[int, int], shifts: tuple[int, int]) -> Tensor:
    """`torch.roll`, spelled out: as an operation of its own it is a gather in Core ML, which falls back to the CPU."""
    for axis, shift in zip(axes, shifts, strict=True):
        if shift:
            before, cut = (slice(None),) * axis, -shift % x.shape[axis]
            x = torch.cat([x[(*before, slice(cut, None))], x[(*before, slice(cut))]], axis)
    return x


def into_windows(x: Tensor, window: int) -> Tensor:
    """(N, H, W, C) -> (N * windows, window^2, C), windows in row-major order, and so the places inside."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // window, window, width // window, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, channels)


def out_of_windows(x: Tensor, window: int, height: int, width: int) -> Tensor:
    """The inverse of `into_windows` for a map of height x width places."""
    x = x.reshape(-1, height // window, width // window, window, window, x.shape[-1])
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, x.shape[-1])


def offsets(height: int, width: int, reach: int) -> np.ndarray:
    """int64 (L, L): for each query and key of a window of L = height x width places the row of the bias table.

    The table has (2 reach + 1)^2 rows, one for each distance of at most `reach` places down and to the right, row-major
    from (-reach, -reach) on; what is further away takes the last row or column.
    """
    places = np.indices((height, width)).reshape(2, -1)
    down, right = (places[:, :, None] - places[:, None, :]).clip(-reach, reach) + reach
    return down * (2 * reach + 1) + right


class WindowAttention(nn.Module):
    index: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.register_buffer("index", torch.from_numpy(offsets(WINDOW, WINDOW, WINDOW - 1)), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(windows, L, C) -> likewise. `mask`: (windows of one picture, 1, L, L), added to the scores."""
        windows, places, width = x.shape
        q, k, v = self.qkv(x).reshape(windows, places, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = q * (width // self.heads) ** -0.5 @ k.transpose(-2, -1)  # (windows, heads, L, L)
        scores = scores + self.table[self.index].permute(2, 0, 1)
        if mask is not None:
            scores = scores + mask.repeat(windows // len(mask), 1, 1, 1)
        y = torch.softmax(scores, dim=-1) @ v
        return self.out(y.transpose(1, 2).reshape(windows, places, width))


class GlobalBlock(nn.Module):
    def __init__(self, width: int, heads: int, shift: int, drop: float) -> None:
        super().__init__()
        self.shift = shift
        self.norm = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads)
        self.unused_norm = nn.LayerNorm(width).requires_grad_(False)
        self.linear = nn.Linear(width, width)
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        whole = filled(height, WINDOW), filled(width, WINDOW)
        y = self.norm(x)
        if whole != (height, width):
            y = F.pad(y, (0, 0, 0, whole[1] - width, 0, whole[0] - height))
        y = rolled(y, (1, 2), (-self.shift, -self.shift))
        mask = apart(height, width, WINDOW, self.shift)
        y = self.attention(into_windows(y, WINDOW), None if mask is None else torch.from_numpy(mask).to(y))
        y = rolled(out_of_windows(y, WINDOW, *whole), (1, 2), (self.shift, self.shift))
        y = y[:, :height, :width] if whole != (height, width) else y
        return x + self.drop(F.gelu(self.linear(y)))


class PatchEmbedding(nn.Module):
    """The picture (N, 3, H, W) -> (N, H / 4, W / 4, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, PATCH, PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.projection(x).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """(N, H, W, C) -> (N, H / 2, W / 2, 2 C)."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * before)
        self.reduction = nn.Linear(4 * before, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
        return self.reduction(self.norm(torch.cat(parts, dim=-1)))


class GlobalStage(nn.Module):
    def __init__(self, stage: int, drops: list[float]) -> None:
        super().__init__()
        width = CHANNELS[stage]
        self.down = PatchMerging(CHANNELS[stage - 1], width) if stage else PatchEmbedding(width)
        self.blocks = nn.Sequential(
            *(GlobalBlock(width, HEADS[stage], SHIFT * (k % 2), drop) for k, drop in enumerate(drops))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.down(x))


# Fusion


class InvertedMLP(nn.Module):
    """Maps (N, inputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, *, depthwise: bool) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs if depthwise else 1, bias=False)
        self.norm = nn.BatchNorm2d(inputs, eps=1e-5)
        self.widen = nn.Conv2d(inputs, WIDER * inputs, 1, bias=False)
        self.narrow = NormedConvolution(WIDER * inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.gelu(self.spatial(x)) + x)
        return self.narrow(F.gelu(self.widen(x)))


class Fusion(nn.Module):
    """Adaptive hierarchical fusion of a stage: local and global maps of it, and what the stage before fused.

    Every stage has both kinds of input, with and without a stage before, and uses one.
    """

    def __init__(self, stage: int, *, depthwise: bool, drop: float) -> None:
        super().__init__()
        width = CHANNELS[stage]
        self.squeeze = nn.Sequential(
            nn.Conv2d(width, width // SQUEEZE, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(width // SQUEEZE, width, 1, bias=False),
        )
        self.places = NormedConvolution(2, 1, 7, bias=False)
        self.local = NormedConvolution(width, width, 1, bias=True)
        self.context = NormedConvolution(width, width, 1, bias=True)
        self.before = NormedConvolution(width // 2, width, 1, bias=True)
        self.norm_three, self.three = MapNorm(3 * width, eps=MAP_EPS), NormedConvolution(3 * width, width, 1, bias=True)
        self.norm_two, self.two = MapNorm(2 * width, eps=MAP_EPS), NormedConvolution(2 * width, width, 1, bias=True)
        self.norm_out = MapNorm(3 * width, eps=MAP_EPS)
        self.mlp = InvertedMLP(3 * width, width, depthwise=depthwise)
        self.drop = StochasticDepth(drop)
        unused = (self.norm_two, self.two) if stage else (self.before, self.norm_three, self.three)
        for module in unused:  # training on several devices waits for the gradient of everything that has one
            module.requires_grad_(False)

    def forward(self, local: Tensor, context: Tensor, before: Tensor | None) -> Tensor:
        """`local` and `context`: (N, C, H, W); `before`: (N, C / 2, 2 H, 2 W) -> (N, C, H, W)."""
        both = [self.local(local), self.context(context)]
        if before is None:
            shortcut = None
            mixed = self.two(self.norm_two(torch.cat(both, 1)))
        else:
            shortcut = F.avg_pool2d(F.relu(self.before(before)), 2)
            mixed = self.three(self.norm_three(torch.cat([shortcut, *both], 1)))
        seen = torch.cat([local.amax(1, keepdim=True), local.mean(1, keepdim=True)], 1)
        local = local * torch.sigmoid(self.places(seen))
        largest, mean = (self.squeeze(pool(context, dim=(2, 3), keepdim=True)) for pool in (torch.amax, torch.mean))
        context = context * torch.sigmoid(largest + mean)
        y = self.drop(self.mlp(self.norm_out(torch.cat([context, local, F.gelu(mixed)], 1))))
        return y if shortcut is None else shortcut + y


class HiFuse(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        rates = np.linspace(0, config.drop, sum(config.depths)).tolist()
        drops = [rates[sum(config.depths[:s]) : sum(config.depths[: s + 1])] for s in range(4)]
        self.local = nn.ModuleList(LocalStage(stage, drops[stage]) for stage in range(4))
        self.context = nn.ModuleList(GlobalStage(stage, drops[stage]) for stage in range(4))
        self.fusions = nn.ModuleList(Fusion(stage, depthwise=config.depthwise, drop=config.drop) for stage in range(4))
        self.norm = nn.LayerNorm(CHANNELS[-1], eps=MAP_EPS)
        # the global branch's own head, which the authors declare and do not use
        self.unused_norm = nn.LayerNorm(CHANNELS[-1]).requires_grad_(False)
        self.unused_head = nn.Linear(CHANNELS[-1], num_classes).requires_grad_(False)
        self.classifier = nn.Linear(CHANNELS[-1], num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W), H and W multiples of 32 -> logits (N, num_classes)."""
        local, context, fused = x, x, None
        for local_stage, context_stage, fusion in zip(self.local, self.context, self.fusions, strict=True):
            local = local_stage(local)  # (N, C, H/4, W/4), then /8, /16, /32
            context = context_stage(context)
            fused = fusion(local, context.permute(0, 3, 1, 2), fused)
        assert fused is not None
        return self.classifier(self.norm(fused.mean(dim=(2, 3))))


def initialise(module: nn.Module) -> None:
    """Normal with deviation 0.02, cut at two deviations, as is usual where layer norms set the scale; zero biases."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.table, std=0.02)


def build(name: str, *, num_classes: int) -> HiFuse:
    return HiFuse(VARIANTS[name], num_classes)


def earlier(name: str) -> Callable[[re.Match], str]:
    """The authors count stages from 1, we from 0: `name.<stage>.`."""
    return lambda match: f"{name}.{int(match[1]) - 1}."


# The authors' names, one rule a line, applied in this order; `\1` keeps what the group matched.
RENAMES: tuple[tuple[str, str | Callable[[re.Match], str]], ...] = (
    (r"^norm\.", "unused_norm."),
    (r"^head\.", "unused_head."),
    (r"^conv_norm\.", "norm."),
    (r"^conv_head\.", "classifier."),
    (r"^downsample_layers\.(\d)\.", r"local.\1.down."),
    (r"^stages\.(\d)\.", r"local.\1.blocks."),
    (r"\.dwconv\.", ".depthwise."),
    (r"\.pwconv\.", ".linear."),
    (r"^patch_embed\.proj\.", "context.0.down.projection."),
    (r"^patch_embed\.norm\.", "context.0.down.norm."),
    (r"^(layers\d\.blocks\.\d+)\.norm1\.", r"\1.norm."),
    (r"^(layers\d\.blocks\.\d+)\.norm2\.", r"\1.unused_norm."),
    (r"^layers(\d)\.", earlier("context")),
    (r"\.downsample\.", ".down."),
    (r"\.attn\.relative_position_bias_table$", ".attention.table"),
    (r"\.attn\.proj\.", ".attention.out."),
    (r"\.attn\.", ".attention."),
    (r"\.fc1\.", ".linear."),
    (r"^fu(\d)\.", earlier("fusions")),
    (r"\.se\.", ".squeeze."),
    (r"\.spatial\.", ".places."),
    (r"\.W_l\.", ".local."),
    (r"\.W_g\.", ".context."),
    (r"\.Updim\.", ".before."),
    (r"\.W3\.", ".three."),
    (r"\.W\.", ".two."),
    (r"\.norm1\.", ".norm_three."),
    (r"\.norm2\.", ".norm_two."),
    (r"\.norm3\.", ".norm_out."),
    (r"\.residual\.conv1\.conv\.", ".mlp.spatial."),
    (r"\.residual\.bn1\.", ".mlp.norm."),
    (r"\.residual\.conv2\.conv\.", ".mlp.widen."),
    (r"\.residual\.conv3\.", ".mlp.narrow."),
    (r"\.conv\.", ".0."),
    (r"\.bn\.", ".1."),
)
INDEX = ".attn.relative_position_index"  # follows from the window; authors' state dicts may hold it


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the authors' state dict to ours; values are untouched.

    Index tables are left out, as they are computed here; InputError if one is not that of a window of 7.
    """
    renamed = {}
    for theirs, value in state.items():
        if theirs.endswith(INDEX):
            if not np.array_equal(value.numpy(), offsets(WINDOW, WINDOW, WINDOW - 1)):
                raise InputError(
                    f"{theirs} is not the index table of a window of {WINDOW} x {WINDOW} places; these weights were "
                    "trained with another window, which this network does not have"
                )
            continue
        ours = theirs
        for pattern, replacement in RENAMES:
            ours = re.sub(pattern, replacement, ours)
        renamed[ours] = value
    return renamed
