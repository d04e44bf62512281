"""ShuffleNetV2 1x: half of the channels pass, half are convolved, then both are shuffled.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018, arXiv:1807.11164,
table 5. 2,278,604 parameters with the 1000 classes of ImageNet, which is the 2.28 M of published tables; 1,261,804
with 8 classes. Modules stand where torchvision's do, so that its files (`shufflenetv2_x1-*.pth`) fit but for the last
linear layer, `fc`, which `from_upstream` renames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .layers import initialise

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect


@dataclass(frozen=True)
class Config:
    channels: tuple[int, int, int, int, int]  # of the stem, of the three stages, of the last convolution
    repeats: tuple[int, int, int] = (4, 8, 4)  # blocks of the stages, the first with stride 2


VARIANTS = {"shufflenetv2": Config(channels=(24, 116, 232, 464, 1024))}


def pointwise(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def depthwise(channels: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False), nn.BatchNorm2d(channels)]


class Block(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride); stride 1 keeps the channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        strided = stride > 1
        self.branch1 = nn.Sequential(*([*depthwise(inputs, stride), *pointwise(inputs, half)] if strided else []))
        self.branch2 = nn.Sequential(
            *pointwise(inputs if strided else half, half), *depthwise(half, stride), *pointwise(half, half)
        )
        self.strided = strided

    def forward(self, x: Tensor) -> Tensor:
        left, right = (x, x) if self.strided else x.chunk(2, dim=1)
        return shuffled(torch.cat((self.branch1(left), self.branch2(right)), dim=1))


def shuffled(x: Tensor) -> Tensor:
    """The channels of the two halves by turns: 0, C/2, 1, C/2 + 1, …"""
    batch, channels, height, breadth = x.shape
    return x.reshape(batch, 2, channels // 2, height, breadth).transpose(1, 2).reshape(x.shape)


class ShuffleNetV2(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        stem, *stages, last = config.channels
        self.conv1 = nn.Sequential(nn.Conv2d(3, stem, 3, 2, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(Block(before, after, 2), *(Block(after, after, 1) for _ in range(repeats - 1)))
            for before, after, repeats in zip((stem, *stages), stages, config.repeats, strict=False)
        )
        self.conv5 = nn.Sequential(*pointwise(stages[-1], last))
        self.classifier = nn.Linear(last, num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W), H and W multiples of 32 -> logits (N, num_classes)."""
        x = self.maxpool(self.conv1(x))  # (N, stem, H/4, W/4)
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))  # (N, last, H/32, W/32)
        return self.classifier(x.mean(dim=(2, 3)))


def build(name: str, *, num_classes: int) -> ShuffleNetV2:
    return ShuffleNetV2(VARIANTS[name], num_classes)


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the last linear layer of torchvision's `shufflenet_v2_x1_0`; all else has their names."""
    return {key.replace("fc.", "classifier."): value for key, value in state.items()}
