"""Networks that no pass was written for: they come out right, flat and quantisable, or they end with a clear word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convert._tflite.audit import audit
from convert._tflite.file import lower
from convert._tflite.quantise import quantise
from edge.metrics.statistics import read_back_logits, sqnr_db
from edge.models.deployed import Deployed
from edge.runtimes.litert import LiteRT

SIDE = 64
CLASSES = 6


class WindowAttention(nn.Module):
    """Attention inside windows with a position bias; queries, keys and values from one projection."""

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.randn(heads, length, length) * 0.2)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5 + self.bias
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width))


class WindowBlock(nn.Module):
    def __init__(self, width: int, window: int, shift: int) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, 2, window * window)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.window, self.shift = window, shift

    def forward(self, x: Tensor) -> Tensor:
        batch, height, breadth, width = x.shape
        w = self.window
        y = torch.roll(self.before(x), (-self.shift, -self.shift), (1, 2)) if self.shift else self.before(x)
        y = y.reshape(batch, height // w, w, breadth // w, w, width).permute(0, 1, 3, 2, 4, 5)
        y = self.attention(y.reshape(-1, w * w, width)).reshape(batch, height // w, breadth // w, w, w, width)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(x.shape)
        x = x + (torch.roll(y, (self.shift, self.shift), (1, 2)) if self.shift else y)
        return x + self.mlp(self.after(x))


class Windows(nn.Module):
    """Shifted windows on channels-last maps, patches merged by strided slices."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.blocks = nn.Sequential(WindowBlock(16, 4, 0), WindowBlock(16, 4, 2))
        self.merge, self.last, self.norm = nn.Linear(64, 32), WindowBlock(32, 4, 0), nn.LayerNorm(32)
        self.classifier = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.patches(x).permute(0, 2, 3, 1))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.classifier(self.norm(self.last(self.merge(x))).mean((1, 2)))


class DepthwiseBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.narrow(F.gelu(self.widen(y)))).permute(0, 3, 1, 2)


class Depthwise(nn.Module):
    """Large depthwise kernels, norms over channels of a depthwise convolution, attention to places by mean and max."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.blocks = nn.Sequential(DepthwiseBlock(16), DepthwiseBlock(16))
        self.down, self.last = nn.Conv2d(16, 32, 2, 2, padding="valid"), DepthwiseBlock(32)
        self.places = nn.Conv2d(2, 1, 7, padding="same")
        self.classifier = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.down(self.blocks(self.patches(x))))
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return self.classifier((x * torch.sigmoid(self.places(both))).mean((2, 3)))


class Mixed(nn.Module):
    """Groups with a shuffle, squeeze and excite, dilation, a pyramid of pools, fused attention."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.groups = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.norm, self.dilated = nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.squeeze, self.excite, self.slope = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1), nn.PReLU(16)
        self.pools = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(n), nn.Conv2d(16, 4, 1)) for n in (1, 2, 3, 6))
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.classifier = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.norm(self.groups(F.relu6(self.stem(F.pad(x, (0, 0, 0, 0)))))))
        batch, _, height, breadth = x.shape
        x = x.reshape(batch, 4, 4, height, breadth).transpose(1, 2).reshape(x.shape)
        x = x * F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = F.hardtanh(self.slope(self.dilated(F.max_pool2d(x, 3, 2, 1))), -2.0, 3.0)
        size = x.shape[2:]
        x = torch.cat([x, *(F.interpolate(pool(x), size=size, mode="bilinear") for pool in self.pools)], 1)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.classifier(F.leaky_relu(F.pad(tokens, (0, 0, 1, 2), value=0.5)).mean(1))


def module_of(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    net = kind()
    for part in net.modules():
        if isinstance(part, nn.LayerNorm | nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    net.classifier.weight.data *= 5
    return Deployed(net, mean=(0.5,) * 3, std=(0.2,) * 3, temperature=1.2, layout="NHWC").eval()


@pytest.mark.parametrize("kind", [Windows, Depthwise, Mixed])
def test_a_family_that_no_pass_knows(kind: type[nn.Module], tmp_path: Path) -> None:
    module = module_of(kind)
    images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = np.concatenate([module(torch.from_numpy(image[None]).float()).double().numpy() for image in images])
    lowered = lower(module, torch.zeros(1, SIDE, SIDE, 3))
    assert lowered.by == "operator by operator"
    path = tmp_path / "x.tflite"
    path.write_bytes(lowered.content)
    np.testing.assert_allclose(LiteRT(path).run(images).probabilities, expected, atol=2e-6)
    made_of = audit(path)
    assert made_of.largest_rank <= 4 and made_of.layout_operators <= 40
    assert made_of.xnnpack_partitions == {Mixed: 2}.get(kind, 1)  # padding by 0.5 is no operator of XNNPACK's
    for recipe, bound in (("fp16", 55), ("int8-weights", 35), ("int8-dynamic", 30)):
        path.write_bytes(quantise(lowered.content, recipe))
        found = LiteRT(path).run(images).probabilities
        assert np.median(sqnr_db(read_back_logits(expected), read_back_logits(found))) > bound, recipe


class Unknowable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        chosen = torch.nonzero(x.mean((0, 2, 3)) > 0)  # how many, nobody knows beforehand
        return torch.ones(1, CLASSES) * chosen.sum()


def test_what_no_file_can_hold_is_refused(given: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    from convert import to_tflite
    from convert._tflite import file as _tflite

    module = Deployed(Unknowable(), mean=(0.5,) * 3, std=(0.2,) * 3, temperature=1.0, layout="NHWC").eval()
    right = _tflite.lower
    monkeypatch.setattr(_tflite, "lower", lambda _network, example: right(module, example))
    assert to_tflite.main([*given, "--recipe", "fp32", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "cannot be converted" in said and "aten.nonzero.default" in said and "Unknowable" in said
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["convert.log"]
