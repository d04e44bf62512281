"""Fully connected layers in 8 bits in the form that every runtime computes rightly, Android's own on ARM included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._tflite.channel_scales import SUFFIX, with_scales_behind
from convert._tflite.file import lower
from convert._tflite.quantise import quantise, recipe_file
from edge.errors import InputError
from edge.tflite.flatbuffer import operators_of, pack, unpack
from edge.tflite.opens_from import opens_from
from edge.tflite.versions import with_versions
from tests._phones import needs_android
from tests.convert.tflite._answers import answers

SIDE, COUNT = 16, 3


class Tokens(nn.Module):
    """Linear layers on tokens, with rows of very different size, with and without bias, into a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.stem, self.up, self.down = nn.Conv2d(3, 32, 4, 4), nn.Linear(32, 96), nn.Linear(96, 32, bias=False)
        self.head = nn.Linear(32, 5)
        with torch.no_grad():
            for layer in (self.up, self.down, self.head):
                rows = 2.0 ** torch.randint(-4, 3, (layer.out_features, 1), generator=generator)
                layer.weight.mul_(rows)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x.permute(0, 3, 1, 2) / 255).flatten(2).transpose(1, 2)
        x = x + self.down(torch.relu(self.up(x)))
        return torch.softmax(self.head(x.mean(1)), -1)


@pytest.fixture(scope="module")
def float32() -> bytes:
    torch.manual_seed(0)
    return lower(Tokens().eval(), torch.zeros(1, SIDE, SIDE, 3)).content


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)


def test_the_answers_stay_and_old_releases_open_it(float32: bytes, images: np.ndarray, tmp_path: Path) -> None:
    plain = quantise(float32, "int8-dynamic")
    content = recipe_file("int8-dynamic", float32, float32, None)
    assert opens_from(with_versions(plain)) == "LiteRT / TFLite 2.17" and "2.17" not in opens_from(content)
    alike = {"xnnpack": plain, "reference": with_ranges_of_xnnpack(plain)}
    for mode, plain in alike.items():
        np.testing.assert_allclose(
            answers(content, tmp_path, images, mode), answers(plain, tmp_path, images, mode), atol=2e-5
        )
    products = [version for name, version in operators_of(unpack(content)) if name == "FULLY_CONNECTED"]
    assert len(products) == 3 and set(products) <= {3, 5, 6}


def with_ranges_of_xnnpack(content: bytes) -> bytes:
    """The file whose products ask plain kernels for asymmetric ranges, which XNNPACK takes without being asked."""
    model = unpack(content)
    for operator in model.subgraphs[0].operators:
        if hasattr(operator.builtinOptions, "asymmetricQuantizeInputs"):
            operator.builtinOptions.asymmetricQuantizeInputs = True
    return pack(model)


def test_each_product_is_followed_by_its_scales_alone(float32: bytes) -> None:
    """Mali's compiler fails on FULLY_CONNECTED of rank 3 with 8-bit weights into an ADD (LiteRT issue 9277)."""
    model = unpack(recipe_file("int8-dynamic", float32, float32, None))
    graph = model.subgraphs[0]
    names = [tensor.name for tensor in graph.tensors]
    products = [o for o in graph.operators if names[o.outputs[0]].endswith(SUFFIX)]
    assert len(products) == 3
    for product in products:
        (reader,) = [o for o in graph.operators if product.outputs[0] in o.inputs]
        scales = graph.tensors[reader.inputs[1]]
        assert reader.builtinOptions.__class__.__name__ == "MulOptionsT"
        assert list(scales.shape) == [graph.tensors[product.outputs[0]].shape[-1]]
        assert names[product.outputs[0]] == names[reader.outputs[0]] + SUFFIX


def test_an_output_without_weights_keeps_its_bias(images: np.ndarray, tmp_path: Path) -> None:
    """Its scale is next to nothing, and the bias is divided by it: a pruned row must not become infinite."""
    torch.manual_seed(0)
    network = Tokens().eval()
    with torch.no_grad():
        network.up.weight[3], network.up.bias[3], network.up.weight[5], network.head.weight[1] = 0, 0.7, 1e-30, 0
    float32 = lower(network, torch.zeros(1, SIDE, SIDE, 3)).content
    content = recipe_file("int8-dynamic", float32, float32, None)
    for mode in ("xnnpack", "xnnpack-fp16"):
        difference = answers(content, tmp_path, images, mode) - answers(float32, tmp_path, images)
        assert np.abs(difference).max() < 0.01  # and no NaN


def test_sums_stay_in_the_range_of_half_precision(images: np.ndarray, tmp_path: Path) -> None:
    """Of weights with the scale 1 they are a hundred times the layer's results, and infinite in fp16."""
    torch.manual_seed(0)
    network = Tokens().eval()
    with torch.no_grad():
        network.stem.weight.mul_(1000)
        network.up.weight.mul_(0.1)
    float32 = lower(network, torch.zeros(1, SIDE, SIDE, 3)).content
    content = recipe_file("int8-dynamic", float32, float32, None)
    difference = answers(content, tmp_path, images, "xnnpack-fp16") - answers(float32, tmp_path, images)
    assert np.abs(difference).max() < 0.02


class Shared(nn.Module):
    """One linear layer, read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.head = nn.Conv2d(3, 32, 4, 4), nn.Linear(32, 32), nn.Linear(32, 5)
        with torch.no_grad():
            self.mix.weight.mul_(2.0 ** torch.randint(-4, 3, (32, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x.permute(0, 3, 1, 2) / 255).flatten(2).transpose(1, 2)
        return torch.softmax(self.head(self.mix(torch.relu(self.mix(x))).mean(1)), -1)


def test_layers_that_share_their_weights(images: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(0)
    float32 = lower(Shared().eval(), torch.zeros(1, SIDE, SIDE, 3)).content
    content = recipe_file("int8-dynamic", float32, float32, None)
    np.testing.assert_allclose(
        answers(content, tmp_path, images), answers(quantise(float32, "int8-dynamic"), tmp_path, images), atol=2e-5
    )


def test_a_file_without_such_layers_stays_as_it_is(float32: bytes) -> None:
    assert with_scales_behind(float32) == float32


@needs_android
def test_androids_library_on_arm(float32: bytes, images: np.ndarray, tmp_path: Path) -> None:
    """The fault that this is for is seen, its version is refused, and the form is right."""
    wanted = answers(float32, tmp_path, images)
    plain = quantise(float32, "int8-dynamic")
    assert np.abs(answers(plain, tmp_path, images) - wanted).max() < 0.05  # right here
    assert np.abs(answers(plain, tmp_path, images, "android") - wanted).max() > 0.2
    with pytest.raises(InputError, match=r"Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'"):
        answers(with_versions(plain), tmp_path, images, "android")
    content = recipe_file("int8-dynamic", float32, float32, None)
    assert np.abs(answers(content, tmp_path, images, "android") - wanted).max() < 0.05


def test_a_file_of_another_tool_gets_its_versions(float32: bytes) -> None:
    """ai-edge-quantizer leaves every operator the version of its float form."""
    model = unpack(quantise(float32, "int8-weights"))
    for code in model.operatorCodes:
        code.version = 1
    versions = dict(operators_of(unpack(with_versions(pack(model)))))
    assert versions["DEQUANTIZE"] == 5 and versions["FULLY_CONNECTED"] == 5 and versions["CONV_2D"] == 1
