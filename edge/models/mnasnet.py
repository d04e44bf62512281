"""MnasNet 1.0: inverted residuals whose kernels and widths were searched by latency on a phone.

Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019, arXiv:1807.11626; the form
without squeeze and excitation (B1). Modules stand where torchvision's do, so that its files (`mnasnet1.0_top1_*.pth`)
fit but for the number of the last linear layer. Batch norms have PyTorch's momentum, 0.1: torchvision's 0.0003 suits
ImageNet's hundreds of thousands of steps; in a few thousand the statistics would hardly leave their start.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .layers import initialise
from .timm_names import Place, is_timm, renamed_from_timm

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect


@dataclass(frozen=True)
class Stage:
    outputs: int  # channels
    kernel: int
    stride: int  # of its first block
    expansion: int  # hidden / input channels
    blocks: int


@dataclass(frozen=True)
class Config:
    stem: tuple[int, int]  # channels of the first convolution, and of the separable one behind it
    stages: tuple[Stage, ...]
    last: int  # channels of the last convolution
    dropout: float = 0.2


VARIANTS = {
    "mnasnet": Config(
        stem=(32, 16),
        stages=(
            Stage(24, 3, 2, 3, blocks=3),
            Stage(40, 5, 2, 3, blocks=3),
            Stage(80, 5, 2, 6, blocks=3),
            Stage(96, 3, 1, 6, blocks=2),
            Stage(192, 5, 2, 6, blocks=4),
            Stage(320, 3, 1, 6, blocks=1),
        ),
        last=1280,
    )
}


def unit(inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution without bias, batch norm, ReLU."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.layers = nn.Sequential(
            *unit(inputs, hidden),
            *unit(hidden, hidden, kernel, stride=stride, groups=hidden),
            *unit(hidden, outputs)[:2],  # a linear bottleneck
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class MnasNet(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        first, separable = config.stem
        inputs = [separable, *(stage.outputs for stage in config.stages)]
        self.layers = nn.Sequential(
            *unit(3, first, 3, stride=2),
            *unit(first, first, 3, groups=first),
            *unit(first, separable)[:2],
            *(stack(before, stage) for before, stage in zip(inputs, config.stages, strict=False)),
            *unit(inputs[-1], config.last),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.last, num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W), H and W multiples of 32 -> logits (N, num_classes)."""
        return self.classifier(self.dropout(self.layers(x).mean(dim=(2, 3))))


def stack(inputs: int, stage: Stage) -> nn.Sequential:
    """The blocks of a stage."""
    return nn.Sequential(
        InvertedResidual(inputs, stage.outputs, stage.kernel, stage.stride, stage.expansion),
        *(
            InvertedResidual(stage.outputs, stage.outputs, stage.kernel, 1, stage.expansion)
            for _ in range(stage.blocks - 1)
        ),
    )


def build(name: str, *, num_classes: int) -> MnasNet:
    return MnasNet(VARIANTS[name], num_classes)


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the last linear layer of torchvision's `mnasnet1_0`; all else has their names. Or timm's `mnasnet_100`."""
    if is_timm(state):
        return renamed_from_timm(state, from_timm)
    return {key.replace("classifier.1.", "classifier."): value for key, value in state.items()}


def from_timm(place: Place) -> str:
    """Our name of a layer of timm's; a convolution, its batch norm and its activation have three numbers in a row."""
    if place.part in {"stem", "head"}:
        return f"layers.{place.index + (14 if place.part == 'head' else 0)}"
    if place.part == "classifier":
        return place.part
    if place.stage == 0:  # depthwise and projection lie among the layers outside of the stages
        return f"layers.{3 + 3 * place.slot + place.index}"
    return f"layers.{7 + place.stage}.{place.block}.layers.{3 * place.slot + place.index}"
