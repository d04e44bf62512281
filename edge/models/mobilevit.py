"""MobileViT-S: convolutions for the neighbourhood, transformers over patches for the whole map.

Mehta and Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer", ICLR 2022,
arXiv:2110.02178. The network is that of the transformers package. Its published weights (`apple/mobilevit-small`) take
the colours as BGR in [0, 1]; `from_upstream` turns the first convolution round, so that ours takes RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .from_transformers import Classifier, transformers_for

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
    """Rename the tensors of transformers' MobileViTForImageClassification to ours, the stem's colours BGR -> RGB."""
    ours = {key.replace("mobilevit.", "backbone."): value for key, value in state.items()}
    if STEM in ours:
        ours[STEM] = ours[STEM].flip(1)
    return ours
