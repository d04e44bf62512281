"""EfficientNet-Lite as a `.tflite`: TensorFlow's padding at even and odd maps, and nothing that needs a float unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from convert._tflite.file import float_model
from edge.checkpoint import Checkpoint, Preprocess
from edge.labels import PAD_UFES_20
from edge.models import create_model, normalisation
from edge.preprocess import PREPROCESS_VERSION
from edge.runtimes.litert import LiteRT
from edge.tflite.flatbuffer import operator_names, unpack

SIDE = 96  # maps of 48, 24, 12, 6 and 3 pixels
WHOLE = {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}
BEFORE_AND_BEHIND = {"SUB", "DIV", "MUL"}  # the normalisation, and the temperature


@pytest.mark.slow(reason="converts a whole network")
def test_the_file_is_the_network_and_all_of_it_has_8_bit_kernels(tmp_path):
    torch.manual_seed(0)
    net = create_model("efficientnet_lite0", 6).eval()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
    preprocess = Preprocess(PREPROCESS_VERSION, SIDE, *normalisation("efficientnet_lite0"))
    checkpoint = Checkpoint("efficientnet_lite0", PAD_UFES_20, preprocess, net.state_dict())
    content = float_model(checkpoint).content
    path = tmp_path / "lite.tflite"
    path.write_bytes(content)
    images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = checkpoint.deployed(layout="NHWC")(torch.from_numpy(images).float()).numpy()
    found = LiteRT(path).run(images).probabilities
    assert np.abs(found - expected).max() <= 1e-5 and expected.std() > 1e-3
    model, names = unpack(content), operator_names()
    kinds = [names[model.operatorCodes[o.opcodeIndex].builtinCode] for o in model.subgraphs[0].operators]
    assert set(kinds) <= WHOLE | BEFORE_AND_BEHIND
    assert kinds.count("DEPTHWISE_CONV_2D") == 16 and kinds.count("CONV_2D") == 33 and kinds.count("ADD") == 9
