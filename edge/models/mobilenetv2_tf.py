"""MobileNetV2 as Google trained it: the padding, the batch norms and the colours of TensorFlow.

For the weights in transformers' format (`google/mobilenet_v2_1.0_224`: `model.safetensors` or `pytorch_model.bin`). At
stride 2 it looks one pixel further right and down than `mobilenetv2`, so that the weights of one give other answers in
the other. Its 1001 classes start with "background".
"""

from __future__ import annotations

from torch import Tensor

from .from_transformers import Classifier
from .mobilenetv2 import Config, network

MEAN = STD = (0.5, 0.5, 0.5)
VARIANTS = {"mobilenetv2_tf": Config(width=1.0, tf_padding=True, epsilon=1e-3)}


def build(name: str, *, num_classes: int) -> Classifier:
    return network(name, VARIANTS[name], num_classes)


def from_upstream(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of transformers' MobileNetV2ForImageClassification to ours; values are untouched."""
    return {key.replace("mobilenet_v2.", "backbone."): value for key, value in state.items()}
