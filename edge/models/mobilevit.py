"""MobileViT-S: convolutions for the neighbourhood, transformers over patches for the whole map.

Mehta and Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer", ICLR 2022,
arXiv:2110.02178. The network is that of the transformers package. Its published weights (`apple/mobilevit-small`) take
the colours as BGR in [0, 1]; `from_upstream` turns the first convolution round, so that ours takes RGB in [0, 1].
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

from .from_transformers import Classifier, transformers_for
from .timm_names import is_timm

MEAN, STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # the authors only divide by 255
SIDE = 256  # pixels of the published weights


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int]  # of the tokens of the three transformer stages
    channels: tuple[int, int, int, int, int, int, int]  # of the stem, the five stages and the last convolution
    dropout: float = 0.1


VARIANTS = {"mobilevit_s": Config(widths=(144, 192, 240), channels=(16, 32, 64, 96, 128, 160, 640))}


def build(name: str, *, num_classes: int) -> Classifier:
    config, transformers = VARIANTS[name], transformers_for(name)
    theirs = transformers.MobileViTConfig(hidden_sizes=list(config.widths), neck_hidden_sizes=list(config.channels))
    backbone = transformers.MobileViTModel(theirs)
    return Classifier(backbone, features=config.channels[-1], dropout=config.dropout, num_classes=num_classes)


STEM = "backbone.conv_stem.convolution.weight"  # (16, 3, 3, 3)


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of transformers' MobileViTForImageClassification to ours, the stem's colours BGR -> RGB.

    Or those of timm's `mobilevit_s`, which takes RGB as its other networks do.
    """
    if is_timm(state):
        return from_timm(state)
    ours = {key.replace("mobilevit.", "backbone."): value for key, value in state.items()}
    if STEM in ours:
        ours[STEM] = ours[STEM].flip(1)
    return ours


# timm's names -> ours; {} are numbers, in order
STAGE = r"stages\.(\d)\."
TRANSFORMER = STAGE + r"1\.transformer\.(\d)\."
LAYER = "backbone.encoder.layer.{}."
TIMM = (
    (r"stem\.", "backbone.conv_stem."),
    (r"final_conv\.", "backbone.conv_1x1_exp."),
    (r"head\.fc\.", "classifier."),
    (r"stages\.([01])\.(\d)\.conv1_1x1\.", f"{LAYER}layer.{{}}.expand_1x1."),
    (r"stages\.([01])\.(\d)\.conv2_kxk\.", f"{LAYER}layer.{{}}.conv_3x3."),
    (r"stages\.([01])\.(\d)\.conv3_1x1\.", f"{LAYER}layer.{{}}.reduce_1x1."),
    (STAGE + r"0\.conv1_1x1\.", f"{LAYER}downsampling_layer.expand_1x1."),
    (STAGE + r"0\.conv2_kxk\.", f"{LAYER}downsampling_layer.conv_3x3."),
    (STAGE + r"0\.conv3_1x1\.", f"{LAYER}downsampling_layer.reduce_1x1."),
    (STAGE + r"1\.conv_kxk\.", f"{LAYER}conv_kxk."),
    (STAGE + r"1\.conv_1x1\.", f"{LAYER}conv_1x1.convolution."),
    (STAGE + r"1\.conv_proj\.", f"{LAYER}conv_projection."),
    (STAGE + r"1\.conv_fusion\.", f"{LAYER}fusion."),
    (STAGE + r"1\.norm\.", f"{LAYER}layernorm."),
    (TRANSFORMER + r"norm1\.", f"{LAYER}transformer.layer.{{}}.layernorm_before."),
    (TRANSFORMER + r"norm2\.", f"{LAYER}transformer.layer.{{}}.layernorm_after."),
    (TRANSFORMER + r"attn\.proj\.", f"{LAYER}transformer.layer.{{}}.attention.output.dense."),
    (TRANSFORMER + r"attn\.qkv\.", f"{LAYER}transformer.layer.{{}}.attention.attention.qkv."),
    (TRANSFORMER + r"mlp\.fc1\.", f"{LAYER}transformer.layer.{{}}.intermediate.dense."),
    (TRANSFORMER + r"mlp\.fc2\.", f"{LAYER}transformer.layer.{{}}.output.dense."),
)


def from_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    ours = {}
    for key, value in state.items():
        name = timm_renamed(key)
        if ".qkv." in name and value.ndim and value.shape[0] % 3 == 0:
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                ours[name.replace("qkv", part)] = third
        else:
            ours[name] = value
    return ours


def timm_renamed(key: str) -> str:
    for pattern, place in TIMM:
        if match := re.match(pattern, key):
            rest = key[match.end() :]
            if rest.startswith(("conv.", "bn.")):
                rest = rest.replace("conv.", "convolution.", 1).replace("bn.", "normalization.", 1)
            return place.format(*match.groups()) + rest
    return key
