"""Write published.json.gz: the tensors of torchvision's and timm's networks that dermedge has, and their answers.

    pip install --no-deps timm==1.0.31 torchvision==0.28.0
    python tests/golden/make_published.py

In float64 and evaluation mode, with parameters and buffers filled by `upstream_rule.fill` and the input by its `image`,
(x - 0.5) * 4. Classifiers of 1000 classes; kept are the first eight logits.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import timm
import torch
import torchvision
from torch import nn
from upstream_rule import fill, image
from writing import write_or_check

FILE = Path(__file__).with_name("published.json.gz")
SIDE = 96  # odd maps in the last stage
KEPT = 8  # logits
TORCHVISION = {
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3_large": "mobilenet_v3_large",
    "mnasnet": "mnasnet1_0",
    "shufflenetv2": "shufflenet_v2_x1_0",
    "efficientnet_b0": "efficientnet_b0",
}
TIMM = {  # has no ShuffleNetV2
    "mobilenetv2": "mobilenetv2_100",
    "mobilenetv3_large": "mobilenetv3_large_100",
    "mnasnet": "mnasnet_100",
    "efficientnet_b0": "efficientnet_b0",
    "efficientnet_b0_tf": "tf_efficientnet_b0",
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_lite2": "tf_efficientnet_lite2",
    "mobilevit_s": "mobilevit_s",
}


def case(package: str, model: str, network: str, build: Callable[[], nn.Module]) -> dict:
    net = build().double().eval()
    state = net.state_dict()
    for key, value in state.items():
        value.copy_(torch.from_numpy(fill(key, tuple(value.shape))))
    pixels = (torch.from_numpy(image(0, (1, 3, SIDE, SIDE))) - 0.5) * 4
    with torch.inference_mode():
        logits = net(pixels)[0]
    return {
        "package": package,
        "model": model,
        "network": network,
        "side": SIDE,
        "logits": logits[:KEPT].tolist(),
        "tensors": {key: list(value.shape) for key, value in state.items()},
    }


def main() -> int:
    cases = [
        case("torchvision", ours, theirs, lambda name=theirs: torchvision.models.get_model(name, weights=None))
        for ours, theirs in TORCHVISION.items()
    ]
    cases += [case("timm", ours, theirs, lambda name=theirs: timm.create_model(name)) for ours, theirs in TIMM.items()]
    versions = {"timm": timm.__version__, "torchvision": torchvision.__version__.partition("+")[0]}
    return write_or_check(json.dumps({"versions": versions, "cases": cases}) + "\n", FILE, __doc__)


if __name__ == "__main__":
    sys.exit(main())
