"""Whole small networks, converted from torch.export by coremltools, saved, and run: against torch itself."""

from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge.runtimes import coreml

# coremltools looks into its own table of operators in a way that it calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")


class MobileBlocks(nn.Module):
    """Inverted bottlenecks with depthwise convolutions, a residual, squeeze and excitation, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.first = self.block(8, 8, 1)
        self.second = self.block(8, 16, 2)
        self.squeeze = nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1), nn.Hardsigmoid())
        self.head = nn.Linear(16, 10)

    @staticmethod
    def block(ins: int, outs: int, stride: int) -> nn.Sequential:
        wide = 4 * ins
        return nn.Sequential(
            nn.Conv2d(ins, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, outs, 1, bias=False), nn.BatchNorm2d(outs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.second(x + self.first(x))
        x = x * self.squeeze(F.adaptive_avg_pool2d(x, 1))
        return self.head(x.mean((2, 3)))


class Transformer(nn.Module):
    """Patches, a class token, positions, and pre-norm blocks with attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 32))
        self.places = nn.Parameter(torch.randn(1, 17, 32))
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(5))
        self.mixes = nn.ModuleList(nn.Linear(32, 96) for _ in range(2))
        self.outs = nn.ModuleList(nn.Linear(32, 32) for _ in range(2))
        self.wides = nn.ModuleList(nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)) for _ in range(2))
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        for i in range(2):
            q, k, v = self.mixes[i](self.norms[2 * i](x)).reshape(x.shape[0], 17, 3, 4, 8).permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
            x = x + self.outs[i](seen)
            x = x + self.wides[i](self.norms[2 * i + 1](x))
        return self.head(self.norms[4](x)[:, 0])


class Ladder(nn.Module):
    """Down by pooling, up by bilinear sampling and by a transposed convolution, with skips."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.middle, self.deep = self.pair(3, 8), self.pair(8, 16), self.pair(16, 24)
        self.up = nn.ConvTranspose2d(24, 16, 2, 2)
        self.joined = self.pair(32, 16)
        self.leave = self.pair(24, 8)
        self.last = nn.Conv2d(8, 2, 1)

    @staticmethod
    def pair(ins: int, outs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(ins, outs, 3, padding=1), nn.BatchNorm2d(outs), nn.LeakyReLU(0.1))

    def forward(self, x: Tensor) -> Tensor:
        high = self.enter(x)
        low = self.middle(F.max_pool2d(high, 2, 2))
        x = torch.cat([self.up(self.deep(F.avg_pool2d(low, 3, 2, 1))), low], 1)
        x = F.interpolate(self.joined(x), scale_factor=2, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.last(self.leave(torch.cat([x, high], 1))))


def answers(network: type[nn.Module], tmp_path, ios, half: bool) -> tuple[np.ndarray, np.ndarray]:
    """Of 16 images, (torch's, ours)."""
    torch.manual_seed(0)
    model = network()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):  # statistics other than 0 and 1, for the norm to do something
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
    model.eval()
    images = torch.rand(16, 3, 32, 32)
    program = torch.export.export(model, (images[:1],)).run_decompositions({})
    converted = ct.convert(
        program,
        minimum_deployment_target=ios,
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        skip_model_load=True,
    )
    converted.save(str(tmp_path / "network.mlpackage"))
    ours = coreml.load(tmp_path / "network.mlpackage")
    (given,), (made,) = ours.input_description, ours.output_description
    found = [ours.predict({given.name: image.numpy()})[made.name] for image in images.split(1)]
    with torch.inference_mode():
        return model(images).numpy(), np.concatenate(found)


NETWORKS = [MobileBlocks, Transformer, Ladder]


@pytest.mark.parametrize("ios", [ct.target.iOS15, ct.target.iOS18])
@pytest.mark.parametrize("network", NETWORKS)
def test_float32_programs_answer_as_torch_does(network, ios, tmp_path):
    expected, found = answers(network, tmp_path, ios, half=False)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_float16_programs_answer_nearly_so(network, tmp_path):
    expected, found = answers(network, tmp_path, ct.target.iOS16, half=True)
    signal, noise = (expected**2).reshape(16, -1).sum(1), ((found - expected) ** 2).reshape(16, -1).sum(1)
    assert noise.max() > 0
    assert np.median(10 * np.log10(signal / noise)) >= 45
