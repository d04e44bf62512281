"""EfficientNet-Lite: EfficientNet without squeeze and excitation, with ReLU6: it runs in whole integers.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, arXiv:1905.11946,
table 1, and the Lite variants of TensorFlow's model garden: the stem and the head are not scaled by width, nor are the
blocks of the first and the last stage repeated. The published weights were trained with TensorFlow's SAME padding,
224, 240 and 260 pixels and values (x - 127) / 128.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil

import torch.nn.functional as F
from torch import Tensor, nn

from .layers import StochasticDepth, initialise
from .timm_names import Place, is_timm, renamed_from_timm

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # RGB of values in [0, 1]
EPSILON = 1e-3  # of the batch norms
STEM, HEAD = 32, 1280  # channels
STOCHASTIC_DEPTH = 0.2  # of the last block; the others scale linearly with their place
CHANNEL_MULTIPLE = 8


@dataclass(frozen=True)
class Stage:
    outputs: int  # channels before scaling
    kernel: int
    stride: int  # of its first block
    expansion: int  # hidden / input channels
    blocks: int  # before scaling


STAGES = (
    Stage(16, 3, 1, 1, blocks=1),
    Stage(24, 3, 2, 6, blocks=2),
    Stage(40, 5, 2, 6, blocks=2),
    Stage(80, 3, 2, 6, blocks=3),
    Stage(112, 5, 1, 6, blocks=3),
    Stage(192, 5, 2, 6, blocks=4),
    Stage(320, 3, 1, 6, blocks=1),
)


@dataclass(frozen=True)
class Config:
    width: float  # multiplies the channels of the stages
    depth: float  # multiplies the blocks of all stages but the first and the last
    dropout: float
    side: int  # pixels, near those of the published weights: 224, 240 and 260


VARIANTS = {
    "efficientnet_lite0": Config(width=1.0, depth=1.0, dropout=0.2, side=224),
    "efficientnet_lite1": Config(width=1.0, depth=1.1, dropout=0.2, side=256),
    "efficientnet_lite2": Config(width=1.1, depth=1.2, dropout=0.3, side=256),
}


class SameConv2d(nn.Conv2d):
    """A convolution without bias and with TensorFlow's SAME padding: an odd pixel of padding goes right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0  # at stride 2 it depends on the map
        super().__init__(inputs, outputs, kernel, stride, padding=padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == (1, 1):
            return super().forward(x)
        above, below = self.pixels_around(x.shape[2])
        left, right = self.pixels_around(x.shape[3])
        return super().forward(F.pad(x, (left, right, above, below)))

    def pixels_around(self, side: int) -> tuple[int, int]:
        """Pixels of padding before and behind a map of `side` pixels."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


def unit(inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution, batch norm, ReLU6."""
    return [
        SameConv2d(inputs, outputs, kernel, stride=stride, groups=groups),
        nn.BatchNorm2d(outputs, eps=EPSILON),
        nn.ReLU6(),
    ]


class InvertedResidual(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride), rounded up."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, *, expansion: int, drop_probability: float
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = nn.Sequential(*(unit(inputs, hidden) if expansion > 1 else []))
        self.depthwise = nn.Sequential(*unit(hidden, hidden, kernel, stride=stride, groups=hidden))
        self.project = nn.Sequential(*unit(hidden, outputs)[:2])  # a linear bottleneck
        self.residual = stride == 1 and inputs == outputs
        self.drop = StochasticDepth(drop_probability if self.residual else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + self.drop(y) if self.residual else y


class EfficientNetLite(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*unit(3, STEM, 3, stride=2))
        blocks = scaled_blocks(config)
        self.blocks = nn.Sequential(
            *(
                InvertedResidual(
                    inputs, outputs, stage.kernel, stride,
                    expansion=stage.expansion, drop_probability=STOCHASTIC_DEPTH * number / len(blocks),
                )
                for number, (stage, inputs, outputs, stride) in enumerate(blocks)
            )
        )  # fmt: skip
        self.head = nn.Sequential(*unit(blocks[-1][2], HEAD))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(HEAD, num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W), any H and W from 32 -> logits (N, num_classes)."""
        return self.classifier(self.dropout(self.head(self.blocks(self.stem(x))).mean(dim=(2, 3))))


def scaled_blocks(config: Config) -> list[tuple[Stage, int, int, int]]:
    """(stage, input channels, output channels, stride) of every block, in order."""
    blocks: list[tuple[Stage, int, int, int]] = []
    inputs = STEM
    for place, stage in enumerate(STAGES):
        outputs = scaled_channels(stage.outputs, config.width)
        fixed = place in (0, len(STAGES) - 1)
        repeats = stage.blocks if fixed else ceil(stage.blocks * config.depth)
        for number in range(repeats):
            blocks.append((stage, inputs, outputs, stage.stride if number == 0 else 1))
            inputs = outputs
    return blocks


def scaled_channels(channels: int, width: float) -> int:
    """The nearest multiple of 8 to channels * width, but not less than 0.9 of it."""
    wanted = channels * width
    rounded = max(CHANNEL_MULTIPLE, int(wanted + CHANNEL_MULTIPLE / 2) // CHANNEL_MULTIPLE * CHANNEL_MULTIPLE)
    return rounded if rounded >= 0.9 * wanted else rounded + CHANNEL_MULTIPLE


def build(name: str, *, num_classes: int) -> EfficientNetLite:
    return EfficientNetLite(VARIANTS[name], num_classes)


# Names in `efficientnet_lite_pytorch` -> ours. Its blocks without expansion have no `_expand_conv` and no `_bn0`.
OUTSIDE = {
    "_conv_stem.": "stem.0.",
    "_bn0.": "stem.1.",
    "_conv_head.": "head.0.",
    "_bn1.": "head.1.",
    "_fc.": "classifier.",
}
IN_BLOCKS = ("expand", "depthwise", "project")
IN_A_BLOCK = {
    "_expand_conv.": "expand.0.",
    "_bn0.": "expand.1.",
    "_depthwise_conv.": "depthwise.0.",
    "_bn1.": "depthwise.1.",
    "_project_conv.": "project.0.",
    "_bn2.": "project.1.",
}


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of `efficientnet_lite_pytorch` and its weight packages, or of timm's `tf_efficientnet_lite0`.

    Values are untouched.
    """
    if is_timm(state):
        return renamed_from_timm(state, from_timm)
    return {renamed(key): value for key, value in state.items()}


def from_timm(place: Place) -> str:
    if place.part in IN_BLOCKS:
        return f"blocks.{place.number}.{place.part}.{place.index}"
    return place.part if place.part == "classifier" else f"{place.part}.{place.index}"


def renamed(key: str) -> str:
    match = re.match(r"_blocks\.(\d+)\.", key)
    table, place, rest = (IN_A_BLOCK, f"blocks.{match[1]}.", key[match.end() :]) if match else (OUTSIDE, "", key)
    for theirs, ours in table.items():
        if rest.startswith(theirs):
            return f"{place}{ours}{rest[len(theirs) :]}"
    return key
