"""MobileNetV3-Large: inverted residuals found by search, some with squeeze and excitation, hard-swish.

Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244, table 1. Modules stand where torchvision's do,
so that its files (`mobilenet_v3_large-*.pth`) fit but for the two linear layers, which `from_upstream` renames.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .layers import initialise
from .timm_names import Place, is_timm, renamed_from_timm

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect
EPSILON = 1e-3  # of the batch norms
TIMM_EPSILON = 1e-5  # of those of timm's `mobilenetv3_large_100`


@dataclass(frozen=True)
class Block:
    kernel: int
    hidden: int  # channels of the depthwise convolution
    outputs: int
    squeezed: int  # channels of squeeze and excitation, 0: none
    activation: type[nn.Module]
    stride: int


RE, HS = nn.ReLU, nn.Hardswish
STEM = 16  # channels
LARGE = (
    Block(3, 16, 16, 0, RE, 1),
    Block(3, 64, 24, 0, RE, 2),
    Block(3, 72, 24, 0, RE, 1),
    Block(5, 72, 40, 24, RE, 2),
    Block(5, 120, 40, 32, RE, 1),
    Block(5, 120, 40, 32, RE, 1),
    Block(3, 240, 80, 0, HS, 2),
    Block(3, 200, 80, 0, HS, 1),
    Block(3, 184, 80, 0, HS, 1),
    Block(3, 184, 80, 0, HS, 1),
    Block(3, 480, 112, 120, HS, 1),
    Block(3, 672, 112, 168, HS, 1),
    Block(5, 672, 160, 168, HS, 2),
    Block(5, 960, 160, 240, HS, 1),
    Block(5, 960, 160, 240, HS, 1),
)


@dataclass(frozen=True)
class Config:
    blocks: tuple[Block, ...]
    last: int  # channels of the last convolution
    hidden: int  # values of the linear layer before the classifier
    dropout: float = 0.2


VARIANTS = {"mobilenetv3_large": Config(LARGE, last=960, hidden=1280)}


class Unit(nn.Sequential):
    """Convolution without bias, batch norm, activation (None: none)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        activation: type[nn.Module] | None,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=EPSILON),
            *([activation()] if activation else []),
        )


class SqueezeExcitation(nn.Module):
    """x times a gate for each channel, from the channels' means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation, self.gate = nn.ReLU(), nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc2(self.activation(self.fc1(x.mean(dim=(2, 3), keepdim=True)))))


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, block: Block) -> None:
        super().__init__()
        hidden, activation = block.hidden, block.activation
        parts: list[nn.Module] = [] if hidden == inputs else [Unit(inputs, hidden, 1, activation=activation)]
        parts.append(Unit(hidden, hidden, block.kernel, stride=block.stride, groups=hidden, activation=activation))
        if block.squeezed:
            parts.append(SqueezeExcitation(hidden, block.squeezed))
        parts.append(Unit(hidden, block.outputs, 1, activation=None))
        self.block = nn.Sequential(*parts)
        self.residual = block.stride == 1 and inputs == block.outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self.residual else y


class MobileNetV3(nn.Module):
    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        inputs = [STEM, *(block.outputs for block in config.blocks)]
        self.features = nn.Sequential(
            Unit(3, STEM, 3, stride=2, activation=HS),
            *(InvertedResidual(before, block) for before, block in zip(inputs, config.blocks, strict=False)),
            Unit(inputs[-1], config.last, 1, activation=HS),
        )
        self.hidden = nn.Linear(config.last, config.hidden)
        self.activation, self.dropout = HS(), nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W), H and W multiples of 32 -> logits (N, num_classes)."""
        y = self.features(x).mean(dim=(2, 3))  # (N, last)
        return self.classifier(self.dropout(self.activation(self.hidden(y))))


def build(name: str, *, num_classes: int) -> MobileNetV3:
    return MobileNetV3(VARIANTS[name], num_classes)


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the two linear layers of torchvision's `mobilenet_v3_large`; all else has their names.

    Or timm's `mobilenetv3_large_100`, whose batch norms have another epsilon: their weights are scaled so that ours
    gives the same answers.
    """
    if is_timm(state):
        state = with_our_epsilon(renamed_from_timm(state, torchvisions))
    return {
        key.replace("classifier.0.", "hidden.").replace("classifier.3.", "classifier."): value
        for key, value in state.items()
    }


def torchvisions(place: Place) -> str:
    """Torchvision's name of a layer of timm's."""
    outside = {
        "stem": f"features.0.{place.index}", "last": f"features.16.{place.index}",
        "hidden": "classifier.0", "classifier": "classifier.3",
    }  # fmt: skip
    if place.part in outside:
        return outside[place.part]
    inner = f"fc{place.index + 1}" if place.part == "squeeze" else place.index
    return f"features.{place.number + 1}.block.{place.slot}.{inner}"


def with_our_epsilon(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """w / sqrt(v + theirs) = w' / sqrt(v + ours) for every norm; the 1x1 convolution behind the mean becomes linear."""
    ours = dict(state)
    for key, variance in state.items():
        weight = state.get(norm := key.replace("running_var", "weight"))
        if key.endswith(".running_var") and weight is not None and weight.shape == variance.shape:
            scale = ((variance.double() + EPSILON) / (variance.double() + TIMM_EPSILON)).sqrt()
            ours[norm] = (weight.double() * scale).to(weight.dtype)
    hidden = ours.get("classifier.0.weight")
    if hidden is not None and hidden.ndim == 4:
        ours["classifier.0.weight"] = hidden.flatten(1)
    return ours
