"""Files that were broken on purpose, and whether the layer that was broken is the one that is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convert import _tflite
from convert._layers import name_of, weighted
from edge.models.deployed import Deployed
from edge.parity.layers.findings import checked, compared
from edge.parity.layers.network import Network
from edge.runtimes.inside import look_inside

SIDE = 32  # pixels


class Small(nn.Module):
    """What rewrites change most: batch norm, a residual, tokens in a stream of layer norms, attention, a gated GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.inner = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.widen = nn.Conv2d(8, 16, 4, 4)
        self.norm1, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.norm2, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.widen(x + self.inner(x)).flatten(2).transpose(1, 2)
        q, k, v = (part.reshape(1, 16, 2, 8).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        y = torch.softmax(q @ k.transpose(-2, -1) * 8**-0.5, -1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(1, 16, 16))
        x = x + self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return self.head(self.norm(x).mean(1))


@pytest.fixture(scope="module")
def model() -> Deployed:
    torch.manual_seed(0)
    net = Small()
    with torch.no_grad():
        for _ in range(10):
            net.stem(torch.rand(4, 3, SIDE, SIDE))
            net.inner(net.stem(torch.rand(4, 3, SIDE, SIDE)))
    for norm in (net.norm1, net.norm2, net.norm):
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.normal_(norm.bias)
    net.head.weight.data *= 4
    return Deployed(net, mean=(0, 0, 0), std=(1, 1, 1), temperature=1.3, layout="NHWC").eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def lowered(model: Deployed) -> _tflite.Lowered:
    return _tflite.lower(model, torch.zeros(1, SIDE, SIDE, 3))


@pytest.fixture(scope="module")
def network(model: Deployed, images: np.ndarray) -> Network:
    return Network(model, images)


def found(network: Network, path: Path, images: np.ndarray) -> dict:
    network.reset()
    return compared(network, look_inside(path, path.suffix[1:], images))


def broken(lowered: _tflite.Lowered, module: str, change: Callable[[np.ndarray], np.ndarray], path: Path) -> Path:
    """The file with the weights of one module's layer changed."""
    content = _tflite.unpack(lowered.content)
    layer = next(one for one in weighted(content) if lowered.modules[name_of(content, one.output)][0] == module)
    buffer = content.buffers[content.subgraphs[0].tensors[layer.weight].buffer]
    values = np.frombuffer(bytes(buffer.data), np.float32).reshape(layer.shape).copy()
    buffer.data = np.frombuffer(change(values).astype(np.float32).tobytes(), np.uint8)
    path.write_bytes(_tflite.pack(content))
    return path


def test_the_traced_network_is_the_model(network: Network, model: Deployed, images: np.ndarray) -> None:
    with torch.inference_mode():
        answers = [model(torch.from_numpy(image[None]).float())[0].numpy() for image in images]
    assert checked(network, np.array(answers)) < 1e-6


def test_an_intact_file_is_not_accused(network: Network, lowered, images: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(lowered.content)
    result = found(network, tmp_path / "x.tflite", images)
    assert result["first"] is None and result["counts"]["off"] == 0
    placed = {row["module"] for row in result["rows"] if row["status"] == "ok"}
    assert {"stem.0", "inner.0", "widen", "qkv", "out", "up", "down", "head"} <= placed  # it did look
    assert all(row["own_db"] is None or row["own_db"] > 90 for row in result["rows"] if row["status"] == "ok")


def one_row_negated(weights: np.ndarray) -> np.ndarray:
    weights[..., 0] *= -1
    return weights


@pytest.mark.parametrize("module", ["stem.0", "inner.0", "widen", "qkv", "out", "up", "down", "head"])
@pytest.mark.parametrize(
    "change",
    [lambda w: w * 1.01, one_row_negated, lambda w: np.random.default_rng(0).normal(size=w.shape)],
    ids=["one per cent more", "one channel's sign", "noise"],
)
def test_a_changed_weight_is_named(
    network: Network, lowered, images: np.ndarray, tmp_path: Path, module: str, change
) -> None:
    result = found(network, broken(lowered, module, change, tmp_path / "x.tflite"), images)
    assert result["first"] is not None
    row = result["rows"][result["first"]]
    assert row["module"] == module, (row["op"], row["kind"], row["module"])
    assert row["kind"] in {"CONV_2D", "FULLY_CONNECTED"}
    assert result["counts"]["off"] <= 3  # what lies behind it inherits, and is not accused
    assert row["file_range"]["high"] > row["file_range"]["low"]
    assert row["torch_range"]["high"] > row["torch_range"]["low"]
