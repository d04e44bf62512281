"""Pixel attention in files: static, nothing resized, and as exact in half precision and 8 bits as the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import PASSES, rewrite
from convert._judge import broken_rules
from convert._tflite.audit import audit
from convert._tflite.file import lower
from convert._tflite.quantise import quantise
from edge.checkpoint import Checkpoint, Preprocess
from edge.labels import PAD_UFES_20
from edge.metrics.statistics import sqnr_db
from edge.models import create_model
from edge.models.deployed import Deployed
from edge.models.ppcr import EPS, LIFT, PPCA, Places, with_ppca
from edge.preprocess import PREPROCESS_VERSION
from edge.runtimes.litert import LiteRT
from edge.runtimes.reference import Reference
from tests.convert._rewriting import count

NEAR = 2e-6  # of a probability
SIDE = 64  # pixels; the tables are kept for 256


def awake(net: nn.Module) -> nn.Module:
    """The network with statistics and tables as a training leaves them, far from zero."""
    torch.manual_seed(0)
    for part in net.modules():
        if isinstance(part, PPCA):
            nn.init.normal_(part.weight, std=0.5)
    net.train()
    with torch.no_grad():
        for _ in range(10):
            net(torch.rand(8, 3, SIDE, SIDE) * torch.rand(8, 3, 1, 1))
    net.classifier.weight.data *= 8
    return net.eval()


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)

    def forward(self, x):
        return F.relu(x + self.bn(self.conv(x)))


class Small(nn.Module):
    """A residual network of another family."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 16, 4, 4), nn.MaxPool2d(2)
        self.first, self.second = Block(), Block()
        self.classifier = nn.Linear(16, 6)

    def forward(self, x):
        return self.classifier(self.second(self.down(self.first(F.relu(self.stem(x))))).mean((2, 3)))


NETWORKS = {
    "small": lambda: with_ppca(Small(), Places("Block", "bn", side=256)),
    "hierattn_xs_ppcr": lambda: create_model("hierattn_xs_ppcr"),
}


def deployed(net: nn.Module) -> Deployed:
    return Deployed(awake(net), mean=(0.5,) * 3, std=(0.25,) * 3, temperature=1.0, layout="NHWC").eval()


def pictures(number: int) -> np.ndarray:
    """Noise, in a colour for each."""
    rng = np.random.default_rng(0)
    return (rng.random((number, SIDE, SIDE, 3)) * rng.integers(30, 256, (number, 1, 1, 3))).astype(np.uint8)


def answers(module: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.concatenate([module(torch.from_numpy(image[None]).float()).double().numpy() for image in images])


@pytest.mark.slow(reason="converts a whole network")
@pytest.mark.parametrize("name", NETWORKS)
def test_file_resizes_nothing(name: str, tmp_path: Path) -> None:
    module, images, path = deployed(NETWORKS[name]()), pictures(4), tmp_path / "x.tflite"
    lowered = lower(module, torch.zeros(1, SIDE, SIDE, 3))
    assert lowered.by == "operator by operator"
    path.write_bytes(lowered.content)
    expected = answers(module, images)
    assert np.ptp(expected, axis=0).max() > 100 * NEAR  # the pictures make a difference
    np.testing.assert_allclose(LiteRT(path).run(images).probabilities, expected, atol=NEAR)
    found = audit(path)
    assert not [kind for kind in found.operators if kind.startswith(("RESIZE", "GATHER"))]
    assert (found.xnnpack_partitions, found.largest_rank, broken_rules(found, "fp32")) == (1, 4, [])
    for recipe, least in (("fp16", 50), ("int8-weights", 30), ("int8-dynamic", 30)):
        path.write_bytes(quantise(lowered.content, recipe))
        noise = sqnr_db(np.log(expected), np.log(LiteRT(path).run(images).probabilities))
        assert np.median(noise) > least, recipe


def test_attention_adds_no_layout_operator(tmp_path: Path) -> None:
    found = {}
    for name, net in (("with", NETWORKS["small"]()), ("without", Small())):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(lower(deployed(net), torch.zeros(1, SIDE, SIDE, 3)).content)
        found[name] = audit(path)
    assert found["with"].layout_operators == found["without"].layout_operators == 0
    extra = sum(found["with"].operators.values()) - sum(found["without"].operators.values())
    # a fixed convolution, a square, two sums, + eps, 1 / root, four products and a sigmoid
    assert extra == 2 * 11


def test_tables_are_constants_after_the_shared_rewrites() -> None:
    """What Core ML and Core AI get holds neither the resizing nor the grid it starts from."""
    graph = trace(deployed(NETWORKS["small"]()), torch.zeros(1, SIDE, SIDE, 3))
    assert count(graph, "upsample") == 2
    graph, _ = rewrite(graph, PASSES)
    assert count(graph, "upsample") == 0
    tables = [node for node in graph.graph.nodes if node.op == "get_attr" and node.meta["val"].numel() > 5000]
    assert not tables


@pytest.mark.slow(reason="a Core ML package of full size")
@pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning")
def test_core_ml_resizes_nothing(tmp_path: Path) -> None:
    from convert._coreml.audit import audit as audit_package
    from convert._coreml.program import exported, float_program, rewritten
    from edge.runtimes.coreml.classifier import CoreML

    state = awake(create_model("hierattn_xs_ppcr")).state_dict()
    held = Checkpoint("hierattn_xs_ppcr", PAD_UFES_20, Preprocess(PREPROCESS_VERSION, SIDE), state)
    path = tmp_path / "x.mlpackage"
    float_program(held, exported(held, rewritten(held)), "fp16").save(str(path))
    assert not [kind for kind in audit_package(path).operators if "resize" in kind or "upsample" in kind]
    images = pictures(4)
    noise = sqnr_db(
        np.log(Reference(held).run(images).probabilities),
        np.log(np.maximum(CoreML(path).run(images).probabilities, 1e-7)),
    )
    assert np.median(noise) > 45


# Half precision


def test_eps_is_a_normal_number_in_half_precision() -> None:
    """A processor that takes smaller ones for zero would divide by zero."""
    assert LIFT**2 * EPS >= np.finfo(np.float16).tiny > EPS


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 20.0])
def test_half_precision_neither_overflows_nor_divides_by_zero(size: float) -> None:
    module = PPCA(32, 4, eps=EPS).double()
    torch.manual_seed(0)
    nn.init.normal_(module.weight, std=0.3)
    x = (size * torch.randn(2, 32, 4, 4)).half()
    with torch.inference_mode():
        expected = module(x.double()) / size if size else module(x.double())
        got = module.half()(x).double() / (size or 1.0)
    assert got.isfinite().all()
    assert (got - expected).abs().max() < 0.03
