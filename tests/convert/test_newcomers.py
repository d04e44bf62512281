"""What others' networks are often made of: no transpose that the arithmetic does not ask for, one piece for XNNPACK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._judge import broken_rules
from convert._tflite.audit import audit
from convert._tflite.file import lower
from convert._tflite.quantise import quantise
from edge.metrics.statistics import sqnr_db
from edge.models.deployed import Deployed
from edge.runtimes.litert import LiteRT
from tests.convert._rewriting import Of

SIDE, CLASSES, WIDTH = 32, 5, 8
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


class NormOfChannels(nn.Module):
    """Layer norm over the channels of a map, written out, with weights that broadcast as (C, 1, 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(width) + 0.5), nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(1, keepdim=True)
        x = x / torch.sqrt(x.pow(2).mean(1, keepdim=True) + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class NormByVariance(NormOfChannels):
    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 1, keepdim=True, unbiased=False)
        x = (x - mean) * torch.rsqrt(variance + 1e-6)
        return x * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class Depthwise(nn.Module):
    def __init__(self, width: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.mix, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), norm(width)
        self.wide, self.narrow = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1)
        self.scale = nn.Parameter(torch.rand(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.narrow(F.gelu(self.wide(self.norm(self.mix(x)))))


def conv(inputs: int = 3, outputs: int = WIDTH, kernel: int = 3, stride: int = 2, padding: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding)


def stem(activation: nn.Module) -> nn.Module:
    return nn.Sequential(conv(kernel=7, padding=3), nn.BatchNorm2d(WIDTH), activation, nn.MaxPool2d(3, 2, 1))


def head(width: int = WIDTH, pooled=lambda x: x.mean((2, 3))) -> nn.Module:
    return Of(lambda m, x: m.classifier(pooled(x)), classifier=nn.Linear(width, CLASSES))


def depthwise(norm: type[nn.Module]) -> nn.Module:
    down = nn.Sequential(norm(WIDTH), conv(WIDTH, 16, 2, 2, 0))
    return nn.Sequential(conv(kernel=4, stride=4, padding=0), norm(WIDTH), Depthwise(WIDTH, norm), down, head(16))


def squeezed(pooled, spread) -> nn.Module:
    layers = {"a": nn.Linear(WIDTH, 4), "b": nn.Linear(4, WIDTH)}
    gate = Of(lambda m, x: x * spread(torch.sigmoid(m.b(F.relu(m.a(pooled(x)))))), **layers)
    return nn.Sequential(conv(), gate, conv(WIDTH), head())


def halves(_: nn.Module, x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    return torch.cat([2 * a, b.tanh(), x[:, 3:5], x[:, 1].unsqueeze(1)], 1)


def by_view(y: Tensor) -> Tensor:
    return y.view(1, WIDTH, 1, 1)


def normalised(_: nn.Module, x: Tensor) -> Tensor:
    return F.layer_norm(x.permute(0, 2, 3, 1), (WIDTH,)).permute(0, 3, 1, 2)


def dense(m: nn.Module, x: Tensor) -> Tensor:
    return F.gelu(m.dense(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def tokens(m: nn.Module, x: Tensor) -> Tensor:
    return m.norm(x.flatten(2).transpose(1, 2)).mean(1)


def merging(m: nn.Module, x: Tensor) -> Tensor:
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
    x = torch.cat([x[..., 0::2, 0::2, :], x[..., 1::2, 0::2, :], x[..., 0::2, 1::2, :], x[..., 1::2, 1::2, :]], -1)
    return m.reduce(m.norm(x)).mean((1, 2))


def focus(_: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([x[..., a::2, b::2] for b in (0, 1) for a in (0, 1)], 1)


def every_second(_: nn.Module, x: Tensor) -> Tensor:
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 1))


MERGING = {"norm": nn.LayerNorm(4 * WIDTH), "reduce": nn.Linear(4 * WIDTH, CLASSES, bias=False)}
NETWORKS = {
    "padded first layer": lambda: nn.Sequential(conv(), nn.ReLU(), conv(WIDTH), head()),
    "first layer without padding": lambda: nn.Sequential(conv(padding=0), head()),
    "norm of channels": lambda: depthwise(NormOfChannels),
    "norm of channels by their variance": lambda: depthwise(NormByVariance),
    "maximum": lambda: nn.Sequential(conv(), head(pooled=lambda x: x.amax((2, 3)))),
    "a residual network's first layers": lambda: nn.Sequential(stem(nn.ReLU()), conv(WIDTH), head()),
    "the same with negative values": lambda: nn.Sequential(stem(nn.SiLU()), nn.MaxPool2d(2, 2, 1), conv(WIDTH), head()),
    "pools of one size": lambda: nn.Sequential(
        conv(), nn.MaxPool2d(5, 1, 2), nn.MaxPool2d(3, 2, ceil_mode=True), head()
    ),
    "squeezed": lambda: squeezed(lambda x: x.mean((2, 3)), lambda y: y[:, :, None, None]),
    "squeezed by a view": lambda: squeezed(lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), by_view),
    "halves": lambda: nn.Sequential(conv(), Of(halves), conv(11), head()),
    "tokens": lambda: nn.Sequential(conv(), Of(tokens, norm=nn.LayerNorm(WIDTH)), nn.Linear(WIDTH, CLASSES)),
    "layer norm in between": lambda: nn.Sequential(conv(), Of(normalised), conv(WIDTH), head()),
    "patch merging": lambda: nn.Sequential(conv(kernel=4, stride=4, padding=0), Of(merging, **MERGING)),
    "focus": lambda: nn.Sequential(Of(focus), conv(12), head()),
    "every second place": lambda: nn.Sequential(conv(), Of(every_second), conv(WIDTH + 3), head()),
    "pixels shuffled": lambda: nn.Sequential(conv(), conv(WIDTH, 32, 1, 1, 0), nn.PixelShuffle(2), head()),
    "pixels unshuffled": lambda: nn.Sequential(nn.PixelUnshuffle(2), conv(12), head()),
    "channels last and back": lambda: nn.Sequential(conv(), Of(dense, dense=nn.Linear(WIDTH, WIDTH)), head()),
}
TRANSPOSES = {
    "patch merging": 1,
    "focus": 1,
    "pixels shuffled": 2,
    "pixels unshuffled": 2,
}  # where there is no way around them


def deployed(net: nn.Module) -> Deployed:
    torch.manual_seed(0)
    for part in net.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    return Deployed(net, mean=MEAN, std=STD, temperature=0.3, layout="NHWC").eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_takes_no_needless_transpose_and_is_one_piece(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = deployed(NETWORKS[name]())
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = np.concatenate([module(torch.from_numpy(image[None]).float()).numpy() for image in images])
    lowered = lower(module, torch.zeros(1, SIDE, SIDE, 3))
    assert lowered.by == "operator by operator"
    path = tmp_path / "x.tflite"
    path.write_bytes(lowered.content)
    np.testing.assert_allclose(LiteRT(path).run(images).probabilities, expected, atol=2e-6)
    found = audit(path)
    assert found.operators.get("TRANSPOSE", 0) == TRANSPOSES.get(name, 0)
    assert (found.xnnpack_partitions, found.largest_rank, broken_rules(found, "fp32")) == (1, 4, [])


@pytest.mark.parametrize("padding", [0, 1])
def test_normalisation_is_one_difference(padding: int, tmp_path: Path) -> None:
    """The scale is in the first layer; the mean stays for what rounding would lose, not only where there is padding."""
    net = deployed(nn.Sequential(conv(stride=1, padding=padding), head()))
    path = tmp_path / "x.tflite"
    path.write_bytes(lower(net, torch.zeros(1, SIDE, SIDE, 3)).content)
    assert set(audit(path).operators) == {"SUB", "CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}


def test_eight_bits_are_as_good_as_without_a_mean(tmp_path: Path) -> None:
    """What normalisation centres, the first layer's rounded weights must see centred."""
    torch.manual_seed(1)
    net = deployed(nn.Sequential(conv(kernel=4, stride=4, padding=0), nn.GELU(), conv(WIDTH), head()))
    images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = np.concatenate([net(torch.from_numpy(image[None]).float()).double().numpy() for image in images])
    path = tmp_path / "x.tflite"
    for recipe, least in (("fp16", 55), ("int8-weights", 35)):
        path.write_bytes(quantise(lower(net, torch.zeros(1, SIDE, SIDE, 3)).content, recipe))
        assert np.median(sqnr_db(np.log(expected), np.log(LiteRT(path).run(images).probabilities))) > least
