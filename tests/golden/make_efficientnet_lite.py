"""Write efficientnet_lite.json: what the network of the package `efficientnet_lite_pytorch` computes.

    pip install efficientnet-lite-pytorch==0.1.0
    python tests/golden/make_efficientnet_lite.py

In float64 and evaluation mode, with parameters and buffers filled by `upstream_rule.fill` and inputs by its `image`,
(x - 0.5) * 4, so that the batch norms see both signs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from upstream_rule import fill, image
from writing import write_or_check

FILE = Path(__file__).with_name("efficientnet_lite.json")
SIDES = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}  # of the published weights
CLASSES = 6


def case(name: str, side: int) -> dict:
    net = EfficientNet.from_name(name, num_classes=CLASSES).double()
    state = {key: torch.from_numpy(fill(key, tuple(value.shape))) for key, value in net.state_dict().items()}
    net.load_state_dict(state)
    pixels = (torch.from_numpy(image(0, (1, 3, side, side))) - 0.5) * 4
    with torch.inference_mode():
        logits = net.eval()(pixels)[0].tolist()
    shapes = {key: list(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")}
    return {
        "seed": 0,
        "side": side,
        "parameters": sum(value.numel() for value in net.parameters()),
        "logits": logits,
        "tensors": shapes,
    }


def main() -> int:
    golden = {
        "source": "PyPI efficientnet-lite-pytorch 0.1.0 (Apache-2.0)",
        "models": {name.replace("-", "_"): case(name, side) for name, side in SIDES.items()},
    }
    return write_or_check(json.dumps(golden) + "\n", FILE, __doc__)


if __name__ == "__main__":
    sys.exit(main())
