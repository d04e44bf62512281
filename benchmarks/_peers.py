"""Well-known networks with random weights, behind the same input and output as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._untrained import settled

if TYPE_CHECKING:
    from torch import nn

    from edge.models.deployed import Deployed

PEERS = ("mobilenetv2", "efficientnet_b0", "mobilevit_s")


def peer(name: str, classes: int, images: np.ndarray) -> Deployed:
    """RGB 0..255, float32 (1, S, S, 3) -> probabilities (1, `classes`), in evaluation mode.

    `images`: uint8 (N, S, S, 3), which settle its random weights.
    """
    import transformers
    from torch import nn

    from edge.models.deployed import Deployed

    # The configurations' own defaults are MobileNetV2 1.0 and MobileViT-S; that of EfficientNet is B7.
    b0 = transformers.EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, dropout_rate=0.2
    )
    kinds: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "mobilenetv2": (transformers.MobileNetV2ForImageClassification, transformers.MobileNetV2Config()),
        "efficientnet_b0": (transformers.EfficientNetForImageClassification, b0),
        "mobilevit_s": (transformers.MobileViTForImageClassification, transformers.MobileViTConfig()),
    }
    build, config = kinds[name]
    config.num_labels = classes
    network = build(config)
    if name == "efficientnet_b0":  # its pooler is a window of 1280 pixels, which becomes gigabytes of padding
        network.efficientnet.pooler = nn.AdaptiveAvgPool2d(1)
    backbone, deviation = settled(logits_of(network), images)
    return Deployed(backbone, mean=(0.0,) * 3, std=(1.0,) * 3, temperature=deviation, layout="NHWC").eval()


def logits_of(network: nn.Module) -> nn.Module:
    """`network` with its logits (N, K) for an answer instead of a record that holds them."""
    from torch import nn

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x).logits

    return Logits()
