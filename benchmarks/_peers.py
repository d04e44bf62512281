"""Well-known networks with random weights, behind the same input and output as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert._untrained import settled
from edge.checkpoint import Preprocess
from edge.models import create_model, normalisation
from edge.preprocess import PREPROCESS_VERSION

if TYPE_CHECKING:
    from edge.models.deployed import Deployed

PEERS = ("mobilenetv2", "efficientnet_b0", "mobilevit_s")


def peer(name: str, classes: int, images: np.ndarray) -> Deployed:
    """RGB 0..255, float32 (1, S, S, 3) -> probabilities (1, `classes`), in evaluation mode.

    `images`: uint8 (N, S, S, 3), which settle its random weights.
    """
    import torch

    from edge.models.deployed import Deployed

    torch.manual_seed(0)
    preprocess = Preprocess(PREPROCESS_VERSION, images.shape[1], *normalisation(name))
    network = settled(create_model(name, classes), images, preprocess)
    return Deployed(network, mean=preprocess.mean, std=preprocess.std, temperature=1.0, layout="NHWC").eval()
