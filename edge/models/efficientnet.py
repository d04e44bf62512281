"""EfficientNet-B0: inverted residuals with squeeze and excitation, found by search, scaled evenly.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, arXiv:1905.11946.
The network is that of the transformers package, with a plain mean for its pooler (a window of 1280 pixels, which a
converter spells out as gigabytes of padding) and stochastic depth (arXiv:1603.09382) for its dropout of single values.
`efficientnet_b0` has the even padding and the batch norms of torchvision's, for `efficientnet_b0_rwightman-*.pth`;
`efficientnet_b0_tf` those of TensorFlow, for transformers' `google/efficientnet-b0`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor, nn

from .from_transformers import Classifier, transformers_for
from .layers import StochasticDepth
from .timm_names import Place, is_timm, renamed_from_timm

# Of ImageNet. google/efficientnet-b0 states the roots of STD, because its preprocessing divides by them twice.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FEATURES = 1280
STOCHASTIC_DEPTH = 0.2  # of the last block; the others scale linearly with their place
REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks of the seven stages


@dataclass(frozen=True)
class Config:
    tf_padding: bool  # at stride 2 on an even side: one pixel more right and below, as TensorFlow pads; else all around
    epsilon: float  # of the batch norms
    dropout: float = 0.2


VARIANTS = {
    "efficientnet_b0": Config(tf_padding=False, epsilon=1e-5),
    "efficientnet_b0_tf": Config(tf_padding=True, epsilon=1e-3),
}


def build(name: str, *, num_classes: int) -> Classifier:
    config, transformers = VARIANTS[name], transformers_for(name)
    theirs = transformers.EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=FEATURES, batch_norm_eps=config.epsilon
    )
    backbone = transformers.EfficientNetModel(theirs)
    backbone.pooler = nn.AdaptiveAvgPool2d(1)
    blocks = backbone.encoder.blocks
    for number, block in enumerate(blocks):
        block.projection.dropout = StochasticDepth(STOCHASTIC_DEPTH * number / len(blocks))
    if not config.tf_padding:
        backbone.embeddings.padding = nn.Identity()
        backbone.embeddings.convolution.padding = (1, 1)
        for block in blocks:
            layer = block.depthwise_conv
            layer.depthwise_conv_pad = nn.Identity()
            layer.depthwise_conv.padding = tuple(side // 2 for side in layer.depthwise_conv.kernel_size)
    return Classifier(backbone, features=FEATURES, dropout=config.dropout, num_classes=num_classes)


# torchvision's stage and block -> the block's number in one list of all
FIRST = dict(enumerate(accumulate(REPEATS, initial=0), start=1))
CONVOLUTIONS = {
    "expand": "expansion.expand_{}",
    "depthwise": "depthwise_conv.depthwise_{}",
    "project": "projection.project_{}",
}
SQUEEZE = {"fc1": "squeeze_excite.reduce", "fc2": "squeeze_excite.expand"}
WITHOUT_EXPANSION = ("depthwise", "squeeze", "project")  # the parts of a block of the first stage
WITH_EXPANSION = ("expand", *WITHOUT_EXPANSION)


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename torchvision's tensors, timm's, or those of transformers' EfficientNetForImageClassification, to ours.

    timm's `efficientnet_b0` and `tf_efficientnet_b0` have the same names; `edge.timm_files` tells them apart.
    """
    if is_timm(state):
        state = renamed_from_timm(state, torchvisions)
    return {renamed(key): value for key, value in state.items()}


def torchvisions(place: Place) -> str:
    """Torchvision's name of a layer of timm's."""
    outside = {"stem": f"features.0.{place.index}", "head": f"features.8.{place.index}", "classifier": "classifier.1"}
    if place.part in outside:
        return outside[place.part]
    inner = f"fc{place.index + 1}" if place.part == "squeeze" else place.index
    return f"features.{place.stage + 1}.{place.block}.block.{place.slot}.{inner}"


def renamed(key: str) -> str:
    if match := re.match(r"features\.([08])\.([01])\.", key):
        first = {"0": "embeddings.convolution", "1": "embeddings.batchnorm"}
        last = {"0": "encoder.top_conv", "1": "encoder.top_bn"}
        return f"backbone.{(first if match[1] == '0' else last)[match[2]]}.{key[match.end() :]}"
    if match := re.match(r"features\.(\d)\.(\d)\.block\.(\d)\.(\w+)\.", key):
        stage, block, part, inner = int(match[1]), int(match[2]), int(match[3]), match[4]
        kind = (WITHOUT_EXPANSION if stage == 1 else WITH_EXPANSION)[part]
        ours = SQUEEZE[inner] if kind == "squeeze" else convolution(kind, inner)
        return f"backbone.encoder.blocks.{FIRST[stage] + block}.{ours}.{key[match.end() :]}"
    return key.replace("classifier.1.", "classifier.").replace("efficientnet.", "backbone.")


def convolution(kind: str, inner: str) -> str:
    """Our name of a convolution ("0") or of its batch norm ("1")."""
    norm = "norm" if kind == "depthwise" else "bn"
    return CONVOLUTIONS[kind].format({"0": "conv", "1": norm}[inner])
