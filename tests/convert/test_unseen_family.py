"""Networks that the rewrites were not written for: small ones like families that others may bring."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._tflite.file import Lowered, lower, unpack
from convert._tflite.quantise import quantise
from edge.metrics.statistics import sqnr_db
from edge.models.deployed import Deployed
from tests.convert.tflite.test_emit import answer

SIDE, CLASSES = 32, 5
LOWEST = {"fp16": 65.0, "int8-weights": 40.0, "int8-dynamic": 38.0}  # dB of the log probabilities


class WindowAttention(nn.Module):
    """Attention inside windows of 4 x 4 tokens, with a bias per relative position and, if shifted, a mask."""

    def __init__(self, width: int, heads: int, side: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, 4, shift
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.table = nn.Parameter(torch.randn((2 * self.window - 1) ** 2, heads))
        places = torch.stack(torch.meshgrid(*[torch.arange(self.window)] * 2, indexing="ij")).flatten(1)
        apart = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0) + self.window - 1
        self.register_buffer("index", apart[..., 0] * (2 * self.window - 1) + apart[..., 1])
        regions = torch.zeros(1, side, side, 1)
        for i, rows in enumerate((slice(0, -4), slice(-4, -shift or None), slice(-shift, None))):
            for j, columns in enumerate((slice(0, -4), slice(-4, -shift or None), slice(-shift, None))):
                regions[:, rows, columns] = 3 * i + j
        tokens = self.windows(regions).squeeze(-1)
        self.register_buffer("mask", (tokens[:, None] != tokens[:, :, None]).float() * -100)

    def windows(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        k = self.window
        return x.view(n, h // k, k, w // k, k, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, k * k, c)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        k = self.window
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = self.windows(y)
        q, key, v = self.qkv(y).reshape(len(y), k * k, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * (c // self.heads) ** -0.5) @ key.transpose(-2, -1)
        scores = scores + self.table[self.index.view(-1)].view(k * k, k * k, -1).permute(2, 0, 1).unsqueeze(0)
        if self.shift:
            count = len(self.mask)
            scores = scores.view(n, count, self.heads, k * k, k * k) + self.mask[None, :, None]
            scores = scores.view(-1, self.heads, k * k, k * k)
        y = self.out((F.softmax(scores, -1) @ v).transpose(1, 2).reshape(len(y), k * k, c))
        y = y.view(n, h // k, w // k, k, k, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class Windows(nn.Module):
    """Attention in windows that shift, a stage of half the side by merging 2 x 2 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.one = nn.Sequential(WindowAttention(16, 2, 8, 0), WindowAttention(16, 2, 8, 2))
        self.merge, self.reduce = nn.LayerNorm(64), nn.Linear(64, 24, bias=False)
        self.two = WindowAttention(24, 3, 4, 0)
        self.last, self.classifier = nn.LayerNorm(24), nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.norm(self.stem(x).permute(0, 2, 3, 1)))
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        x = self.two(self.reduce(self.merge(torch.cat(parts, -1))))
        return self.classifier(self.last(x).mean((1, 2)))


class NormOfMaps(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Modern(nn.Module):
    """A depthwise 7 x 7, a layer norm, two dense layers with GELU, a scale per channel, a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.mix(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(F.gelu(self.wide(y)))
        return x + y.permute(0, 3, 1, 2)


class BothAttentions(nn.Module):
    """Weights of channels from their mean and maximum, then of places from the mean and maximum over channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Conv2d(width, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, width, 1))
        self.places = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.shared(F.adaptive_avg_pool2d(x, 1)) + self.shared(F.adaptive_max_pool2d(x, 1))
        x = x * torch.sigmoid(pooled)
        seen = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        return x * torch.sigmoid(self.places(seen))


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, 4), NormOfMaps(16))
        self.one = nn.Sequential(Modern(16), Modern(16), BothAttentions(16))
        self.down = nn.Sequential(NormOfMaps(16), nn.Conv2d(16, 24, 2, 2))
        self.two = nn.Sequential(Modern(24), Modern(24))
        self.norm, self.classifier = nn.LayerNorm(24), nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.down(self.one(self.stem(x))))
        return self.classifier(self.norm(x.mean((-2, -1))))


class Groups(nn.Module):
    """Grouped convolutions, channel shuffle, squeeze and excitation, dilation, a pyramid of pools, two attentions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.PReLU(16))
        self.a = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=4, bias=False), nn.BatchNorm2d(16))
        self.b = nn.Conv2d(16, 16, 3, 1, 2, dilation=2, groups=2)
        self.squeeze = nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 16, 1), nn.Hardsigmoid())
        self.pools = nn.ModuleList(nn.Conv2d(16, 4, 1) for _ in range(4))
        self.after = nn.Sequential(nn.BatchNorm2d(32), nn.LeakyReLU(0.1, inplace=True), nn.Conv2d(32, 24, 3, 2, 1))
        self.attention = nn.MultiheadAttention(24, 3, batch_first=True)
        self.q, self.k, self.v = (nn.Linear(24, 24) for _ in range(3))
        self.token = nn.Parameter(torch.randn(1, 1, 24))
        self.classifier = nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        n, c, h, w = x.shape
        y = F.hardswish(self.a(x)).view(n, 4, c // 4, h, w).transpose(1, 2).reshape(n, c, h, w)
        x += self.b(y) * self.squeeze(F.adaptive_avg_pool2d(y, 1))
        rows = [x]
        for size, layer in zip((1, 2, 3, 6), self.pools, strict=True):
            pooled = layer(F.adaptive_avg_pool2d(x, size))
            rows.append(F.interpolate(pooled, size=(h, w), mode="bilinear", align_corners=False))
        x = F.max_pool2d(self.after(torch.cat(rows, 1)), 2)
        tokens = torch.cat([self.token.expand(n, -1, -1), x.flatten(2).transpose(1, 2)], 1)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        q, k, v = (p(tokens).view(n, -1, 3, 8).transpose(1, 2) for p in (self.q, self.k, self.v))
        tokens = tokens + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, -1, 24)
        return self.classifier(tokens[:, 0] + 3 * tokens[:, 1:].mean(1))


NETWORKS = {"windows": Windows, "convolutions": Convolutions, "groups": Groups}


def whole(net: nn.Module) -> nn.Module:
    """The network as phones get it, with weights and statistics of their own and answers that are not all alike."""
    torch.manual_seed(0)
    for part in net.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.normal_(part.weight, 1.0, 0.3)
            nn.init.normal_(part.bias, 0.0, 0.3)
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    wrapped = Deployed(net, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25), temperature=0.7, layout="NHWC")
    return wrapped.eval()


def pictures() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [255 * torch.rand(1, SIDE, SIDE, 3, generator=generator) ** (0.5 + i) for i in range(4)]


@pytest.fixture(scope="module", params=NETWORKS)
def made(request) -> tuple[nn.Module, Lowered]:
    torch.manual_seed(2)
    module = whole(NETWORKS[request.param]())
    return module, lower(module, torch.zeros(1, SIDE, SIDE, 3))


def expected_of(module: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return np.concatenate([module(x).numpy() for x in pictures()])


def test_gives_the_probabilities_of_torch(made):
    module, lowered = made
    expected = expected_of(module)
    assert np.ptp(expected, axis=0).max() > 0.02  # the pictures make a difference
    for reference in (False, True):
        got = np.concatenate([answer(lowered.content, x, reference=reference) for x in pictures()])
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_is_written_operator_by_operator(made):
    _, lowered = made
    assert lowered.by == "operator by operator"
    assert max(len(tensor.shape) for tensor in unpack(lowered.content).subgraphs[0].tensors) <= 4


@pytest.mark.parametrize("recipe", LOWEST)
def test_recipes_are_close(made, recipe):
    module, lowered = made
    content = quantise(lowered.content, recipe)
    assert content != lowered.content
    got = np.concatenate([answer(content, x, reference=False) for x in pictures()])
    found = sqnr_db(np.log(expected_of(module)), np.log(got))
    assert found.min() > LOWEST[recipe]
