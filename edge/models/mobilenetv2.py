"""MobileNetV2: inverted residuals with linear bottlenecks.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, arXiv:1801.04381. The network is
that of the transformers package, with the even padding and the batch norms of torchvision's, so that torchvision's
files (`mobilenet_v2-*.pth`) give their answers; Google's own weights are for `mobilenetv2_tf`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

from edge.errors import InputError

from .from_transformers import Classifier, transformers_for
from .timm_names import Place, is_timm, renamed_from_timm

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect


@dataclass(frozen=True)
class Config:
    width: float  # multiplies the channels of every layer but the last convolution
    tf_padding: bool  # at stride 2 on an even side: right and below only, as TensorFlow pads; else all around
    epsilon: float  # of the batch norms
    dropout: float = 0.2


VARIANTS = {"mobilenetv2": Config(width=1.0, tf_padding=False, epsilon=1e-5)}


def network(name: str, config: Config, num_classes: int) -> Classifier:
    transformers = transformers_for(name)
    theirs = transformers.MobileNetV2Config(
        depth_multiplier=config.width, tf_padding=config.tf_padding, layer_norm_eps=config.epsilon
    )
    backbone = transformers.MobileNetV2Model(theirs)
    features = backbone.conv_1x1.convolution.out_channels
    return Classifier(backbone, features=features, dropout=config.dropout, num_classes=num_classes)


def build(name: str, *, num_classes: int) -> Classifier:
    return network(name, VARIANTS[name], num_classes)


# torchvision's names; the second group of a convolution with its batch norm says which of the two.
PARTS = {"0": "convolution", "1": "normalization"}
PLACES = (  # (theirs, ours), the first that fits is taken; {} is the block's number less two
    (r"features\.0\.([01])\.", "conv_stem.first_conv"),
    (r"features\.18\.([01])\.", "conv_1x1"),
    (r"features\.1\.conv\.0\.([01])\.", "conv_stem.conv_3x3"),
    (r"features\.1\.conv\.(1)\.", "conv_stem.reduce_1x1.convolution"),
    (r"features\.1\.conv\.(2)\.", "conv_stem.reduce_1x1.normalization"),
    (r"features\.(\d+)\.conv\.0\.([01])\.", "layer.{}.expand_1x1"),
    (r"features\.(\d+)\.conv\.1\.([01])\.", "layer.{}.conv_3x3"),
    (r"features\.(\d+)\.conv\.(2)\.", "layer.{}.reduce_1x1.convolution"),
    (r"features\.(\d+)\.conv\.(3)\.", "layer.{}.reduce_1x1.normalization"),
)


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of torchvision's `mobilenet_v2` or timm's `mobilenetv2_100` to ours; values are untouched."""
    if any(key.startswith("mobilenet_v2.") for key in state):
        raise InputError(
            "these are weights of transformers' MobileNetV2, which pads as TensorFlow does; give `model` mobilenetv2_tf"
        )
    if is_timm(state):
        state = renamed_from_timm(state, torchvisions)
    return {renamed(key): value for key, value in state.items()}


def torchvisions(place: Place) -> str:
    """Torchvision's name of a layer of timm's."""
    outside = {"stem": f"features.0.{place.index}", "head": f"features.18.{place.index}", "classifier": "classifier.1"}
    block = f"features.{place.number + 1}.conv"
    if place.part in outside:
        return outside[place.part]
    if place.part == "project":
        return f"{block}.{place.slot + place.index}"
    return f"{block}.{place.slot}.{place.index}"


def renamed(key: str) -> str:
    for pattern, place in PLACES:
        if match := re.match(pattern, key):
            *block, part = match.groups()
            ours = place.format(int(block[0]) - 2) if block else place
            if not ours.endswith(tuple(PARTS.values())):
                ours += f".{PARTS[part]}"
            return f"backbone.{ours}.{key[match.end() :]}"
    return key.replace("classifier.1.", "classifier.")
